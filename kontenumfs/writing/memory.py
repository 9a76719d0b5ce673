# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The memory that all files of a mount share for bytes the store has not taken yet."""

from collections import deque
from collections.abc import Iterator
from math import inf
from typing import Protocol

import trio

from kontenumfs.protocol.errors import DeadlineExceeded
from kontenumfs.store.operation import last_sent
from kontenumfs.store.tasks import Spawner


class Holder(Protocol):
    """A file whose bytes wait in memory."""

    @property
    def can_send_early(self) -> bool:
        """Whether some of them may be sent before they fill a chunk."""

    async def send_early(self) -> None:
        """Send what waits; never raises because of the store."""


class MemoryBudget:
    """Bytes that may wait in memory; a writer that finds none left waits its turn.

    Args:
        limit: bytes.
        nursery: files that are asked to send early do so here.
        patience: seconds that a writer waits while the store takes nothing from anybody.

    Grants are first come, first served, so that one busy file cannot starve the others. Where
    nothing can be released (every buffer belongs to a part that is too short to be sent), the
    wait would never end, and the request is granted over the limit instead.
    """

    def __init__(self, limit: int, nursery: Spawner, *, patience: float = inf) -> None:
        self.limit = limit
        self._patience = patience
        self._stored = -inf
        self.used = 0
        self.peak = 0
        self._nursery = nursery
        self._levels: list[dict[Holder, None]] = [{} for _ in range(64)]
        self._level: dict[Holder, int] = {}
        self._moving: set[Holder] = set()
        self._waiting: deque[tuple[int, trio.Event]] = deque()

    async def reserve(self, count: int) -> None:
        """Wait until `count` bytes are free and take them.

        Raises DeadlineExceeded when the store has taken nothing for as long as one waits for it:
        what stalls gives its memory back once a deadline, and many writers would wait for many.
        A cancelled wait takes nothing.
        """
        if not self._waiting and (self.used + count <= self.limit or not self._reclaim()):
            self.take(count)
            return
        granted = trio.Event()
        entry = (count, granted)
        self._waiting.append(entry)
        self._grant()  # behind others too: it has the first of them ask for memory again
        try:
            await self._turn(granted)
        except BaseException:
            if granted.is_set():
                self.release(count)
            else:
                self._waiting.remove(entry)
                self._grant()
            raise

    async def _turn(self, granted: trio.Event) -> None:
        began = trio.current_time()
        while not granted.is_set():
            until = max(began, self._stored, last_sent()) + self._patience
            if trio.current_time() >= until:
                raise DeadlineExceeded(f"no memory has come free within {self._patience:g} s")
            with trio.CancelScope(deadline=until):
                await granted.wait()

    def stored(self) -> None:
        """Note that the store has taken something: who waits may wait on."""
        self._stored = trio.current_time()

    def note(self, holder: Holder, count: int, *, moving: bool) -> None:
        """Note that `holder` could send `count` bytes.

        Args:
            moving: whether bytes of it are on their way, whose memory comes free then.
        """
        level = count.bit_length()
        before = self._level.get(holder, 0)
        if level != before:
            self._levels[before].pop(holder, None)
            self._level.pop(holder, None)
        if level and level != before:
            self._levels[level][holder] = None
            self._level[holder] = level
        (self._moving.add if moving else self._moving.discard)(holder)

    def _reclaim(self) -> bool:
        """Have the fullest file send what it holds; returns whether any bytes will be released."""
        if self._moving:
            return True
        for holder in self._fullest():
            if holder.can_send_early:
                self._nursery.start_soon(holder.send_early)
                return True
        return False

    def _fullest(self) -> Iterator[Holder]:
        """Yield holders by what they have noted; within a factor of two, whoever came first."""
        for level in reversed(self._levels):
            yield from level

    def release(self, count: int) -> None:
        """Give `count` bytes back and let the next writers in."""
        self.used -= count
        self._grant()

    def take(self, count: int) -> None:
        """Take `count` bytes without waiting, for what bounds itself in another way."""
        self.used += count
        self.peak = max(self.peak, self.used)

    def _grant(self) -> None:
        while self._waiting:
            count, granted = self._waiting[0]
            if self.used and self.used + count > self.limit and self._reclaim():
                return
            self._waiting.popleft()
            self.take(count)
            granted.set()


class Share:
    """What one file has taken of the budget: the one place where its memory is counted."""

    def __init__(self, budget: MemoryBudget, holder: Holder) -> None:
        self._budget = budget
        self._holder = holder
        self._held = 0
        self._noted = (0, False)

    async def reserve(self, count: int) -> None:
        """Wait until `count` bytes are free and take them; the next `hold` tells what became.

        Raises DeadlineExceeded where the store stands still meanwhile.
        """
        await self._budget.reserve(count)
        self._held += count

    def hold(self, count: int, *, sendable: int, moving: bool, stored: bool) -> None:
        """Hold `count` bytes from now on, of which `sendable` could be sent.

        Args:
            moving: whether bytes of the file are on their way.
            stored: whether what is held no more is in the store.
        """
        change = count - self._held
        self._held = count
        if change > 0:
            self._budget.take(change)
        elif change < 0:
            if stored:
                self._budget.stored()
            self._budget.release(-change)
        if (sendable, moving) != self._noted:
            self._noted = (sendable, moving)
            self._budget.note(self._holder, sendable, moving=moving)

    def wake(self) -> None:
        """Let waiting writers in: a transfer has ended, which may have held nothing."""
        self._budget.release(0)
