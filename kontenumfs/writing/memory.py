# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The memory that all files of a mount share for bytes the store has not taken yet."""

from collections import deque
from collections.abc import Callable, Iterator
from math import inf

import trio

from kontenumfs.protocol.errors import DeadlineExceeded
from kontenumfs.store.operation import last_sent


class MemoryBudget:
    """Bytes that may wait in memory; a writer that finds none left waits its turn.

    Args:
        limit: bytes.
        patience: seconds that a writer waits while the store takes nothing from anybody.

    `reclaim` is called when a writer has to wait: it asks the files to send early what they hold,
    and returns whether anything is under way that will release bytes.

    Grants are first come, first served, so that one busy file cannot starve the others. Where
    nothing can be released (every buffer belongs to a part that is too short to be sent), the
    wait would never end, and the request is granted over the limit instead.
    """

    def __init__(self, limit: int, *, patience: float = inf) -> None:
        self.limit = limit
        self._patience = patience
        self._stored = -inf
        self.used = 0
        self.peak = 0
        self.reclaim: Callable[[], bool] = lambda: False
        self._levels: list[dict[object, None]] = [{} for _ in range(64)]
        self._level: dict[object, int] = {}
        self._moving: set[object] = set()
        self._waiting: deque[tuple[int, trio.Event]] = deque()

    async def reserve(self, count: int) -> None:
        """Wait until `count` bytes are free and take them.

        Raises DeadlineExceeded when the store has taken nothing for as long as one waits for it:
        what stalls gives its memory back once a deadline, and many writers would wait for many.
        A cancelled wait takes nothing.
        """
        if not self._waiting and (self.used + count <= self.limit or not self.reclaim()):
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
        """The store has taken something: who waits may wait on."""
        self._stored = trio.current_time()

    def note(self, holder: object, count: int, *, moving: bool) -> None:
        """`holder` has `count` bytes that it could send, and some are on their way or none."""
        level = count.bit_length()
        before = self._level.get(holder, 0)
        if level != before:
            self._levels[before].pop(holder, None)
            self._level.pop(holder, None)
        if level and level != before:
            self._levels[level][holder] = None
            self._level[holder] = level
        (self._moving.add if moving else self._moving.discard)(holder)

    @property
    def is_moving(self) -> bool:
        """Whether anybody's bytes are on their way, so that memory comes free."""
        return bool(self._moving)

    def fullest(self) -> Iterator[object]:
        """Who has noted most, first; within a factor of two, whoever came first."""
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
            if self.used and self.used + count > self.limit and self.reclaim():
                return
            self._waiting.popleft()
            self.take(count)
            granted.set()
