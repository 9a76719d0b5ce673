# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What is queued, in which order it may run, and what may run now. It does no I/O.

1. Two entries that touch the same key, one of which changes it, keep their order.
2. A key that names others waits until all that was acknowledged before it is stored.
3. So does a deletion. Neither waits for deletions of other keys, which stand together.
4. What is parked holds up what touches its keys, and what waits for everything in its directory.
"""

import bisect
from collections.abc import Callable
from dataclasses import replace
from heapq import heappop, heappush

from kontenumfs.store.spool.collapse import Change, collapse
from kontenumfs.store.spool.entries import Entry, Kind
from kontenumfs.store.spool.pace import LONGEST_LINGER, Linger, Pace
from kontenumfs.store.spool.queued import Queued
from kontenumfs.store.spool.slots import Phase, Slot, forget, touch

MOST_DELETIONS = 1000
"""Keys of one DeleteObjects (AWS)."""


class Queue(Queued):
    """The entries that are not stored, by number.

    Args:
        is_last: whether a key names others.
        clock: monotonic seconds.
    """

    def __init__(self, is_last: Callable[[str], bool], *, clock: Callable[[], float]) -> None:
        self._is_last = is_last
        self._clock = clock
        super().__init__()
        self._plain: list[int] = []
        """A heap of those that may run, once they are looked at again."""
        self._barriers: list[int] = []
        """Those that wait for everything, in order."""
        self._writes: list[int] = []
        """A heap of all that is no deletion: the first of them that is active ends what may run."""
        self._deletions = Linger(LONGEST_LINGER)
        self._pace = Pace()
        self.hurry = 0
        """How many wait for something to be sent: nothing lingers then."""

    # What comes

    def push(
        self,
        entry: Entry,
        *,
        durable: bool = False,
        doubtful: bool = False,
        alone: bool = False,
    ) -> Change:
        """Queue what was just acknowledged, or what the disk had; returns what that changes.

        Args:
            durable: whether it may run at once: it is on the disk, or will never be.
            doubtful: whether it may have reached the store.
            alone: whether nothing is taken back for it.
        """
        change = Change(entry)
        if not (doubtful or alone):
            last = self.last(entry.key)
            readers = [] if last is None else self._reading(last)
            change = collapse(entry, last, readers, self._is_idle)
        for changed in change.changed:
            self._replace(changed)
        for number in change.dropped:
            self._remove(number)
        if change.added is not None:
            self._add(change.added, durable=durable, doubtful=doubtful)
        return change

    def _is_idle(self, entry: Entry) -> bool:
        slot = self._slots[entry.number]
        if slot.phase not in (Phase.NEW, Phase.WAITING, Phase.RESTING):
            return False
        if slot.doubtful or entry.promised:
            return False
        return not self._barriers or self._barriers[-1] <= entry.number

    def _add(self, entry: Entry, *, durable: bool, doubtful: bool) -> None:
        slot = Slot(entry, Phase.WAITING if durable else Phase.NEW, doubtful)
        number = entry.number
        self._link(slot)
        if not doubtful:
            is_directory = entry.kind is Kind.PUT and entry.key.endswith("/")
            self._pace.came(self._clock(), is_directory=is_directory)
        if self._waits_for_all(entry):
            bisect.insort(self._barriers, number)
        if entry.kind is Kind.DELETE:
            self._deletions.came(self._clock())
        else:
            heappush(self._writes, number)
        if entry.parked:
            slot.phase = Phase.PARKED
        if self._stuck or entry.parked:
            self._stuck.note(slot, is_barrier=self._waits_for_all(entry))
        if not slot.needs:
            self._offer(slot)

    def _waits_for_all(self, entry: Entry) -> bool:
        return entry.kind is Kind.DELETE or self._is_last(entry.key)

    def _offer(self, slot: Slot) -> None:
        if not self._waits_for_all(slot.entry):
            heappush(self._plain, slot.entry.number)

    def _replace(self, entry: Entry) -> None:
        """Put another entry in the place of the one with its number; it reads no more than that."""
        slot = self._slots[entry.number]
        self.bytes += entry.length - slot.entry.length
        gone = set(slot.entry.sources) - set(entry.sources)
        slot.entry = entry
        for source in gone:
            forget(self._readers, source, entry.number)
        for needed in list(slot.needs):
            if not touch(self._slots[needed].entry, entry):
                slot.needs.discard(needed)
                self._slots[needed].needed_by.discard(entry.number)
        if self._stuck:
            self._stick_anew()
        if not slot.needs:
            self._offer(slot)

    def confirm(self, number: int) -> None:
        """An entry is on the disk: it may run."""
        slot = self._slots.get(number)
        if slot is not None and slot.phase is Phase.NEW:
            slot.phase = Phase.WAITING
            if not slot.needs:
                self._offer(slot)

    # What may run

    def take(self, most: int) -> list[list[Entry]]:
        """What may run now, at most so many requests; deletions of one list go together."""
        taken: list[list[Entry]] = []
        if not self.hurry and self._pace.holds(self._clock()):
            return taken
        while len(taken) < most and (entry := self._next_plain()) is not None:
            taken.append([self._start(entry)])
        if len(taken) < most:
            taken += self._take_barriers(most - len(taken))
        return taken

    def _start(self, entry: Entry) -> Entry:
        self._slots[entry.number].phase = Phase.RUNNING
        return entry

    def _next_plain(self) -> Entry | None:
        while self._plain:
            slot = self._slots.get(self._plain[0])
            if slot is None or slot.phase is not Phase.WAITING or slot.needs:
                heappop(self._plain)
                continue
            heappop(self._plain)
            return slot.entry
        return None

    def _first_write(self) -> int | None:
        """The first entry that is no deletion, and neither stored nor held up."""
        while self._writes:
            number = self._writes[0]
            if number in self._slots and number not in self._stuck:
                return number
            heappop(self._writes)
        return None

    def _take_barriers(self, most: int) -> list[list[Entry]]:
        first = self._first_write()
        taken: list[list[Entry]] = []
        deletions: list[Entry] = []
        lingers = bool(self.lingers())
        for number in self._barriers:
            if (first is not None and number > first) or len(taken) >= most:
                break
            slot = self._slots[number]
            if slot.phase is not Phase.WAITING or slot.needs or number in self._stuck:
                continue
            if slot.entry.kind is not Kind.DELETE:
                taken.append([self._start(slot.entry)])
            elif not lingers and len(deletions) < MOST_DELETIONS:
                deletions.append(self._start(slot.entry))
        if deletions:
            taken.append(deletions)
            self._deletions.over()
        return taken

    def _stick_anew(self) -> None:
        self._stuck.anew(self._slots.values(), self._waits_for_all)
        self._writes = [n for n, s in self._slots.items() if s.entry.kind is not Kind.DELETE]

    def lingers(self) -> float:
        """Seconds for which a burst, or deletions, wait for more of it; 0 where nothing does."""
        if self.hurry:
            return 0.0
        now = self._clock()
        return self._pace.holds(now) or self._deletions.left(now)

    # What becomes of it

    def rest(self, number: int, *, doubtful: bool) -> None:
        """A request has failed in passing; `doubtful`: it may have reached the store."""
        slot = self._slots[number]
        slot.phase = Phase.RESTING
        slot.doubtful = slot.doubtful or doubtful

    def resume(self, number: int) -> Entry | None:
        """Run an entry again; None where it was taken back meanwhile."""
        slot = self._slots.get(number)
        if slot is None or slot.phase is not Phase.RESTING:
            return None
        return self._start(slot.entry)

    def done(self, number: int) -> None:
        """An entry is stored, and the disk knows."""
        self._remove(number)

    def drop(self, number: int) -> list[Entry]:
        """An entry is not to be sent at all; returns those that believed in it, as they are now."""
        slot = self._slots[number]
        for dependent in slot.needed_by:
            for needed in slot.needs:
                self._slots[dependent].needs.add(needed)
                self._slots[needed].needed_by.add(dependent)
        changed = self._resolve(number, slot.entry.expected)
        self._remove(number)
        self._stick_anew()
        return changed

    def withdraw(self, number: int) -> bool:
        """Take back an entry that was not begun; returns whether that was so."""
        slot = self._slots.get(number)
        if slot is None or slot.phase is not Phase.WAITING:
            return False
        self.drop(number)
        return True

    def interrupted(self) -> None:
        """Nothing runs any more: what did may run again, and may have reached the store."""
        for slot in self._slots.values():
            if slot.phase in (Phase.RUNNING, Phase.RESTING):
                slot.doubtful = slot.doubtful or slot.phase is Phase.RUNNING
                slot.phase = Phase.WAITING
                self._offer(slot)

    def _remove(self, number: int) -> None:
        slot, freed = self._unlink(number)
        self._stuck.discard(number)
        if self._waits_for_all(slot.entry):
            del self._barriers[bisect.bisect_left(self._barriers, number)]
        for other in freed:
            self._offer(other)

    def park(self, number: int, why: str) -> Entry:
        """The store has refused an entry for good; returns it as it is now."""
        slot = self._slots[number]
        slot.entry = replace(slot.entry, parked=why)
        slot.phase = Phase.PARKED
        self._stick_anew()
        return slot.entry

    def retry(self, number: int) -> Entry:
        """Try again what was parked; returns it as it is now."""
        slot = self._slots[number]
        slot.entry = replace(slot.entry, parked="")
        slot.phase, slot.doubtful = Phase.WAITING, True
        self._stick_anew()
        if not slot.needs:
            self._offer(slot)
        return slot.entry
