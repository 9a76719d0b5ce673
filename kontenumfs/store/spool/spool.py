# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The spool itself: takes requests, acknowledges them when they are on the disk, has them sent."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from kontenumfs.protocol.errors import (
    DeadlineExceeded,
    NoSuchKey,
    Parked,
    SpoolFull,
    SpoolRefused,
)
from kontenumfs.store.api import Body, Store
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, Version, plain_etag, refusal
from kontenumfs.store.outage import Outage, WatchedReads
from kontenumfs.store.spool.entries import After, Entry, Kind, Link
from kontenumfs.store.spool.journal import Journal
from kontenumfs.store.spool.order import PUBLISH_LAST, directory, last_names
from kontenumfs.store.spool.overlay import Overlay
from kontenumfs.store.spool.queue import Queue
from kontenumfs.store.spool.runner import Runner
from kontenumfs.store.spool.sending import Placed
from kontenumfs.store.spool.tokens import Tokens

log = logging.getLogger(__name__)

OVERHEAD = 512
"""Bytes that count for an entry beside its body."""


@dataclass(frozen=True, slots=True)
class SpoolOptions:
    """How a spool is used.

    Args:
        size: bytes that may wait in it.
        deadline: seconds that a writer waits for room, and for what must be in the store.
        publish_last: globs of names that point to others.
        is_spooled: whether what is written to a key may be acknowledged by the disk.
    """

    size: int
    deadline: float = 60.0
    publish_last: Sequence[str] = PUBLISH_LAST
    is_spooled: Callable[[str], bool] = lambda key: True


Make = Callable[[], Entry]


class Spool:
    """What is acknowledged and not stored yet, in memory and on the disk.

    Args:
        store: where it goes; keeps beliefs (store.conditional).
        place: the directory of this spool alone.
        whose: what it is the spool of; another one is refused.
        placed: tells the bytes of an append from others' of the same length, where it can.
        outage: learns whether the store answers.
        wall: the time of day in seconds since the epoch.
    """

    def __init__(
        self,
        store: Store,
        place: Path,
        whose: Mapping[str, str],
        options: SpoolOptions,
        *,
        placed: Placed | None = None,
        outage: Outage | None = None,
        wall: Callable[[], float] = time.time,
        journal: Journal | None = None,
    ) -> None:
        self.options = options
        self.store = store
        self.journal = journal or Journal(place, whose)
        self.outage = Outage() if outage is None else outage
        self._placed = placed
        self._wall = wall
        self._reserved = 0
        self._scope = trio.CancelScope()
        self._idle = trio.Event()
        self._idle.set()
        self._is_over = False
        self.problems: list[str] = []
        """What the last start found damaged or cut."""
        self.found = 0
        """Entries that the last daemon had left."""

    def open(self) -> None:
        """Take over what the last daemon left. It blocks, and comes before any other call.

        Raises SpoolRefused for a spool that is not ours to use, or that the disk does not give.
        """
        try:
            found = self.journal.open()
        except OSError as error:
            raise SpoolRefused(f"spool {self.journal.directory}: {error.strerror}") from error
        self.queue = Queue(last_names(self.options.publish_last), clock=trio.current_time)
        self.tokens = Tokens(self.journal.spool)
        reads = WatchedReads(self.store, self.outage)
        self.overlay = Overlay(reads, self.queue, self.tokens)
        self.runner = Runner(
            self.store,
            self.queue,
            self.journal,
            self.tokens,
            self.overlay,
            placed=self._placed,
            outage=self.outage,
        )
        for entry in found.entries.values():
            self.queue.push(entry, durable=True, doubtful=True)
        self.problems, self.found = found.problems, len(found.entries)
        for problem in found.problems:
            log.error("spool %s: %s", self.journal.directory, problem)
        if self.found:
            log.warning(
                "spool %s: %d requests of the last mount are not stored yet: %d bytes",
                self.journal.directory,
                self.found,
                self.queue.bytes,
            )

    async def run(self) -> None:
        """Send, until `stop`; may be begun again after a defect."""
        if self._is_over:
            return
        with trio.CancelScope() as self._scope:
            self._idle = trio.Event()
            try:
                await self.runner.run()
            finally:
                self._idle.set()

    async def stop(self) -> None:
        """Send nothing more; return when nothing is under way."""
        self._is_over = True
        self._scope.cancel()
        await self._idle.wait()

    def close(self) -> None:
        """Let go of the disk, when nothing runs any more; what is in the spool stays there."""
        self.journal.close(is_empty=not len(self.queue))

    # What somebody believes

    def link(self, key: str, expected: Belief, *, changes: bool = True) -> Link:
        """What a request believes of a key, as the queue or the store can be told it.

        Args:
            changes: whether the request changes the key.

        Raises PreconditionFailed where it is not what will be there, and Parked where a person
        must decide first.
        """
        last = self.queue.last(key)
        if last is None:
            return self.concrete(key, expected)
        if last.parked and changes and last.kind is not Kind.DELETE:
            raise Parked(f"{key!r}: {last.parked}")
        made = self.queue.made(last.number)
        if expected is UNKNOWN and changes:
            return UNKNOWN
        size = None if last.kind is Kind.DELETE else last.size
        now: Belief = ABSENT
        if size is not None:
            now = Version(self.tokens.of(last.number), size)
        is_so = expected is UNKNOWN or (expected is ABSENT) == (now is ABSENT)
        if is_so and isinstance(expected, Version) and isinstance(now, Version):
            etags = {plain_etag(now.etag)}
            if isinstance(made, Version):
                etags.add(plain_etag(made.etag))
            etag = plain_etag(expected.etag)
            is_so = etag in etags if etag else expected.size == now.size
        if not is_so:
            raise refusal("spool", key, expected, now)
        if made is not None:
            return made
        return ABSENT if now is ABSENT else After(last.number)

    def concrete(self, key: str, expected: Belief) -> Belief:
        """What somebody believes of a key of which nothing is queued, as the store can be told it.

        Raises PreconditionFailed for a token that nobody remembers, as after any change.
        """
        link = self.tokens.inward(expected)
        if isinstance(link, After):
            raise refusal("spool", key, expected, UNKNOWN)
        return link

    # What is acknowledged

    async def acknowledge(self, make: Make, body: Body = ()) -> Entry:
        """Return when a request is on the disk.

        Args:
            make: makes the entry, without number and bytes, and links what it believes. It is
                called when there is room, right before the entry is queued; what it raises is
                raised, and nothing is queued.

        Raises SpoolFull and SpoolFailed. The entry is queued even if the caller is cancelled.
        """
        length = sum(len(piece) for piece in body)
        await self._room(length)
        try:
            pieces = await self.journal.prepare(body)
            try:
                entry = make()
            except BaseException:
                self.journal.forget(pieces or ())
                raise
            if pieces is None:
                pieces = self.journal.add_body(body)
            entry = self._queued(replace(entry, pieces=pieces))
        finally:
            self._reserved -= length + OVERHEAD
            self.runner.moved()
        await self.journal.flush()
        self.queue.confirm(entry.number)
        self.runner.wake()
        return entry

    def _queued(self, entry: Entry) -> Entry:
        number, now = self.journal.next_number(), self._wall()
        entry = replace(entry, number=number, created=now)
        change = self.queue.push(entry)
        added = [*change.changed, *([change.added] if change.added is not None else [])]
        self.journal.record(added, change.dropped)
        self.runner.dropped(change.dropped)
        return entry

    async def through(self, make: Make, body: Body = ()) -> Entry:
        """Return when a request is in the store, in its turn, without writing it to the disk.

        Raises what the store reports: nothing has been acknowledged then.
        """
        entry = replace(make(), number=self.journal.next_number(), created=self._wall())
        entry = replace(entry, promised=True)
        outcome = self.runner.outcome(entry.number)
        self.runner.direct[entry.number] = [bytes(piece) for piece in body]
        self.queue.push(entry, durable=True, alone=True)
        with trio.move_on_after(self.options.deadline), self._hurrying():
            await outcome.wait()
            return entry
        if self.queue.withdraw(entry.number):
            self.runner.dropped([entry.number])
            raise DeadlineExceeded(f"{entry.key!r}: what comes before it is not stored yet")
        await outcome.wait()
        return entry

    def condition(self, key: str) -> tuple[str, str]:
        """How far a key is: ``stored``, ``spooled`` or ``parked``, and why it is parked."""
        entries = [self.queue.get(number) for number in self.queue.touching(key)]
        ours = [entry for entry in entries if entry is not None and entry.key == key]
        if not ours:
            return "stored", ""
        why = next((entry.parked for entry in ours if entry.parked), "")
        return ("parked", why) if why else ("spooled", "")

    @property
    def age(self) -> float:
        """Seconds that the oldest entry has waited; 0 where none does."""
        oldest = self.queue.oldest()
        return 0.0 if oldest is None else max(0.0, self._wall() - oldest.created)

    # What is waited for

    async def _room(self, length: int) -> None:
        """Wait until so many bytes find room; raises SpoolFull when there was none in time."""
        with trio.move_on_after(self.options.deadline):
            while self.used + length + OVERHEAD > self.options.size:
                with self._hurrying():
                    await self.runner.progress.wait()
            self._reserved += length + OVERHEAD
            return
        raise SpoolFull(
            f"spool {self.journal.directory}: {self.used} of {self.options.size} bytes wait, and "
            f"none were stored within {self.options.deadline:g} s"
        )

    @property
    def used(self) -> int:
        """Bytes that count towards the size."""
        return self.queue.bytes + OVERHEAD * len(self.queue) + self._reserved

    def holds(self, length: int) -> bool:
        """Whether a body could ever wait here."""
        return length + OVERHEAD <= self.options.size

    async def sync(self, key: str) -> None:
        """Return when what was acknowledged for a key is in the store, as it is now.

        Raises what the store has refused it with, and DeadlineExceeded; it stays queued then.
        """
        last = self.queue.last(key)
        if last is None:
            return
        if self.queue.is_stuck(last.number):
            raise Parked(f"{key!r}: {last.parked or 'what comes before it is parked'}")
        self.queue.promise(last.number)
        outcome = self.runner.outcome(last.number)
        with trio.move_on_after(self.options.deadline), self._hurrying():
            await outcome.wait()
            return
        raise DeadlineExceeded(f"{key!r}: not stored within {self.options.deadline:g} s, but kept")

    def changed_in(self, prefix: str) -> list[str]:
        """The keys right below a prefix that something is queued for, and the prefix itself."""
        return [key for key in self.queue.keys if prefix in (key, directory(key))]

    async def settled(self, key: str) -> None:
        """Return when nothing is queued that changes a key; raises as `sync` does."""
        while self.queue.last(key) is not None:
            await self.sync(key)

    async def drain(self, seconds: float) -> int:
        """Send all that can be sent; returns how many entries are left when time is up."""
        with trio.move_on_after(seconds), self._hurrying():
            while any(not self.queue.is_stuck(entry.number) for entry in self.queue):
                await self.runner.progress.wait()
        return len(self.queue)

    @contextmanager
    def _hurrying(self) -> Iterator[None]:
        """Have nothing linger for the length of the block: somebody waits for the store."""
        self.queue.hurry += 1
        self.runner.wake()
        try:
            yield
        finally:
            self.queue.hurry -= 1

    # What a person decides

    async def retry(self, key: str | None = None) -> int:
        """Send again what is parked, of one key or of all; returns how many entries."""
        parked = [entry for entry in self.queue.parked if key in (None, entry.key)]
        self.journal.record([self.queue.retry(entry.number) for entry in parked])
        await self.journal.flush()
        self.runner.wake()
        return len(parked)

    async def drop(self, key: str) -> int:
        """Forget what is parked of a key, for ever; what waits behind it goes on."""
        parked = [entry for entry in self.queue.parked if entry.key == key]
        for entry in parked:
            changed = self.queue.drop(entry.number)
            self.journal.record(changed, [entry.number])
            log.warning("dropped from the spool: key=%r (%s)", key, entry.parked)
            self.runner.dropped([entry.number])
        await self.journal.flush()
        return len(parked)

    async def export(self, key: str) -> list[bytes]:
        """The bytes that wait for a key, of the last entry that has any.

        Raises NoSuchKey where there is none, and OSError or ValueError where they are damaged.
        """
        for number in reversed(self.queue.touching(key)):
            entry = self.queue.get(number)
            if entry is not None and entry.key == key and entry.pieces:
                return await self.journal.read(entry.pieces)
        raise NoSuchKey(code="NoSuchKey", operation="spool export", resource=key)
