# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Sends what is queued, side by side, for as long as it takes."""

import logging
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import trio

from kontenumfs.protocol.errors import (
    KontenumError,
    Parked,
    SpoolFailed,
    StoreError,
    reported,
)
from kontenumfs.protocol.incidents import Incident, report
from kontenumfs.store.api import Store
from kontenumfs.store.beliefs import ABSENT, Belief
from kontenumfs.store.operation import operation
from kontenumfs.store.outage import Outage
from kontenumfs.store.spool.entries import After, Entry, Kind
from kontenumfs.store.spool.journal import Journal
from kontenumfs.store.spool.overlay import Overlay
from kontenumfs.store.spool.queue import Queue
from kontenumfs.store.spool.recovery import DAMAGED
from kontenumfs.store.spool.sending import Body, Placed, Sender
from kontenumfs.store.spool.tokens import Tokens
from kontenumfs.store.spool.verdict import Verdict, judge, reason
from kontenumfs.store.tasks import open_flat_nursery

log = logging.getLogger(__name__)

PARALLEL = 64
"""Requests side by side."""
FIRST_WAIT = 0.2
LONGEST_WAIT = 15.0
"""Seconds until what has failed in passing is sent again: the first time, and ever."""


class Outcome:
    """What becomes of one entry, for those who wait for it."""

    def __init__(self) -> None:
        self.settled = trio.Event()
        self.error: KontenumError | None = None

    def settle(self, error: KontenumError | None = None) -> None:
        """It is stored, or, with an error, parked."""
        self.error = error
        self.settled.set()

    async def wait(self) -> None:
        """Return when it is stored; raises why it is not."""
        await self.settled.wait()
        if self.error is not None:
            raise self.error.with_traceback(None)


class Runner:
    """Sends what the queue lets run.

    Args:
        store: where it goes.
        placed: tells the bytes of an append from others' of the same length, where it can.
        outage: learns whether the store answers.
        parallel: requests side by side.
    """

    def __init__(
        self,
        store: Store,
        queue: Queue,
        journal: Journal,
        tokens: Tokens,
        overlay: Overlay,
        *,
        placed: Placed | None = None,
        outage: Outage | None = None,
        parallel: int = PARALLEL,
    ) -> None:
        self._store = store
        self._queue = queue
        self._journal = journal
        self._tokens = tokens
        self._overlay = overlay
        self._sender = Sender(store, self._rebased, placed)
        self._outage = Outage() if outage is None else outage
        self._parallel = parallel
        self._running = 0
        self._wake = trio.Event()
        self._outcomes: dict[int, Outcome] = {}
        self.direct: dict[int, Body] = {}
        """Bodies of entries that somebody waits for and that are not on the disk."""
        self.progress = trio.Event()
        """Is set, and made anew, whenever an entry leaves the queue or is parked."""
        self.sent = 0
        """Entries that were stored."""
        self.trouble: KontenumError | None = None
        """Why the last request had to be sent again; None when one has worked since."""

    def wake(self) -> None:
        """Something may run that could not before."""
        self._wake.set()

    def outcome(self, number: int) -> Outcome:
        """What becomes of an entry that is queued."""
        return self._outcomes.setdefault(number, Outcome())

    async def run(self) -> None:
        """Send, until cancelled; may be begun again after a defect.

        Where the disk has failed, nothing is sent any more: what is in the spool is kept as it is,
        and the next start finds out what was stored.
        """
        try:
            await self._send_all()
        except SpoolFailed as error:
            report(Incident("spool", "the spool's disk has failed", error, ""))
            await trio.sleep_forever()

    async def _send_all(self) -> None:
        self._queue.interrupted()
        self._running = 0
        async with open_flat_nursery() as nursery:
            while True:
                self._wake = trio.Event()
                for batch in self._queue.take(self._parallel - self._running):
                    self._running += 1
                    nursery.start_soon(self._run, batch)
                await self._tidy()
                # What came meanwhile has set the event.
                lingers = self._queue.lingers()
                with trio.move_on_after(lingers if lingers else float("inf")):
                    await self._wake.wait()

    async def _run(self, batch: Sequence[Entry]) -> None:
        try:
            if len(batch) > 1:
                batch = await self._delete_together(batch)
            async with open_flat_nursery() as nursery:
                for entry in batch:
                    nursery.start_soon(self._run_one, entry)
        finally:
            self._running -= 1
            self._wake.set()

    async def _run_one(self, entry: Entry) -> None:
        for attempt in count():
            try:
                with operation():
                    made = await self._send(entry)
            except Exception as error:
                failure = reported(error, f"{entry.kind.value} of {entry.key!r}")
                again = await self._failed(entry, failure, attempt)
                if again is None:
                    return
                entry = again
            else:
                self.trouble = None
                await self._stored([(entry, made)])
                return

    async def _send(self, entry: Entry) -> Belief:
        body = self.direct.get(entry.number)
        if body is None:
            try:
                body = await self._journal.read(entry.pieces)
            except (OSError, ValueError) as error:
                raise Parked(f"{DAMAGED}: {error}") from error
        doubtful = self._queue.doubtful(entry.number)
        return await self._sender.send(entry, body, doubtful=doubtful)

    async def _failed(self, entry: Entry, error: KontenumError, attempt: int) -> Entry | None:
        """Wait until an entry may be sent again; None where it is not sent any more."""
        number = entry.number
        self._outage.failed(error)
        if number in self.direct:
            await self._give_back(entry, error)
            return None
        if judge(error, attempt) is Verdict.PARK:
            await self._park(entry, error)
            return None
        self.trouble = error.with_traceback(None)
        self._queue.rest(number, doubtful=True)
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempt, 10))
        wait = random.uniform(longest / 2, longest)
        if isinstance(error, StoreError) and error.retry_after is not None:
            wait = max(wait, min(error.retry_after, 10 * LONGEST_WAIT))
        level = logging.WARNING if attempt in (0, 5) else logging.INFO
        log.log(level, "waits in the spool: key=%r (%s)", entry.key, error)
        await trio.sleep(wait)
        return self._queue.resume(number)

    async def _give_back(self, entry: Entry, error: KontenumError) -> None:
        """Who waits for an entry that is on no disk hears why it was not stored."""
        changed = self._queue.drop(entry.number)
        self._journal.record(self._durable(changed))
        self._settle(entry.number, error)
        if changed:
            await self._journal.flush()

    def _durable(self, entries: Sequence[Entry]) -> list[Entry]:
        return [entry for entry in entries if entry.number not in self.direct]

    async def _park(self, entry: Entry, error: KontenumError) -> None:
        why = reason(error)
        parked = self._queue.park(entry.number, why)
        self._journal.record([parked])
        await self._journal.flush()
        report(Incident("spool", "parked in the spool", error, entry.key))
        self._settle(entry.number, error)

    async def _stored(self, done: Sequence[tuple[Entry, Belief]]) -> None:
        """Entries are in the store: the disk knows before anybody builds on it."""
        self._outage.answered()
        changed: dict[int, Entry] = {}
        for entry, made in done:
            if not isinstance(made, After) and made is not ABSENT:
                self._tokens.stored(entry.number, entry.key, getattr(made, "etag", ""))
            for other in self._queue.resolve(entry.number, made):
                changed[other.number] = other
        ended = [entry.number for entry, _ in done if entry.number not in self.direct]
        self._journal.record(self._durable([*changed.values()]), ended)
        if ended or changed:
            await self._journal.flush()
        for entry, _ in done:
            self._overlay.stored(entry)
            self._queue.done(entry.number)
            self.sent += 1
            self._settle(entry.number)

    def _settle(self, number: int, error: KontenumError | None = None) -> None:
        self.direct.pop(number, None)
        outcome = self._outcomes.pop(number, None)
        if outcome is not None:
            outcome.settle(error)
        self.moved()
        self._wake.set()

    def moved(self) -> None:
        """There may be room, or less to wait for."""
        self.progress.set()
        self.progress = trio.Event()

    def dropped(self, numbers: Sequence[int], error: KontenumError | None = None) -> None:
        """Entries were taken back: what replaces them counts for who waits."""
        for number in numbers:
            self._settle(number, error)

    async def _rebased(self, entry: Entry) -> None:
        """What an append rests on is on the disk before it is sent."""
        self._queue.update(entry)
        if entry.number not in self.direct:
            self._journal.record([entry])
            await self._journal.flush()

    # Deletions that stand together

    async def _delete_together(self, batch: Sequence[Entry]) -> Sequence[Entry]:
        """Delete in one request; returns what has to be deleted by itself."""
        keys = {entry.key: _belief(entry) for entry in batch}
        try:
            with operation():
                failed = await self._store.delete_many(keys)
        except Exception as error:
            failure = reported(error, f"deletion of {len(keys)} objects")
            log.warning("deletions wait in the spool: %s", failure)
            return [again for entry in batch if (again := await self._again(entry)) is not None]
        done = [(entry, ABSENT) for entry in batch if entry.key not in failed]
        if done:
            self.trouble = None
            await self._stored(done)
        return [
            again
            for entry in batch
            if entry.key in failed and (again := await self._again(entry)) is not None
        ]

    async def _again(self, entry: Entry) -> Entry | None:
        self._queue.rest(entry.number, doubtful=True)
        await trio.lowlevel.checkpoint()
        return self._queue.resume(entry.number)

    # Room

    async def _tidy(self) -> None:
        """Write anew the little that keeps old segments from going."""
        cramped = self._journal.cramped()
        for number in cramped:
            entry = self._queue.get(number)
            if entry is None or not self._queue.is_at_rest(number):
                continue
            try:
                body = await self._journal.read(entry.pieces)
            except (OSError, ValueError) as error:
                log.error("damaged in the spool: key=%r (%s)", entry.key, error)
                continue
            now = self._queue.get(number)
            if now is None or now.pieces != entry.pieces or not self._queue.is_at_rest(number):
                continue
            moved = replace(now, pieces=self._journal.moved(now.pieces, body))
            self._queue.update(moved)
            self._journal.record([moved])
        if cramped:
            await self._journal.flush()


def _belief(entry: Entry) -> Belief:
    assert entry.kind is Kind.DELETE
    assert not isinstance(entry.expected, After)
    return entry.expected
