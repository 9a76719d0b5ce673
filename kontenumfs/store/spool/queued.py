# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What is queued, by number and by key, and which entries wait for which. It does no I/O."""

from collections.abc import Iterator
from dataclasses import replace

from kontenumfs.store.beliefs import ABSENT, Belief
from kontenumfs.store.spool.entries import After, Entry, Kind, Link, State
from kontenumfs.store.spool.slots import Phase, Slot, Stuck, forget


class Queued:
    """Entries that are not stored, by number; two that touch the same key keep their order."""

    def __init__(self) -> None:
        self._slots: dict[int, Slot] = {}
        self._writers: dict[str, list[int]] = {}
        self._readers: dict[str, set[int]] = {}
        self._stuck = Stuck()
        self.bytes = 0
        """Of all bodies."""

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[Entry]:
        return (slot.entry for slot in self._slots.values())

    def __contains__(self, number: int) -> bool:
        return number in self._slots

    @property
    def keys(self) -> "dict[str, list[int]]":
        """The keys that are changed, each with the entries that do it."""
        return self._writers

    def oldest(self) -> Entry | None:
        """The entry that has waited longest."""
        return next((slot.entry for slot in self._slots.values()), None)

    def get(self, number: int) -> Entry | None:
        """An entry, while it is not stored."""
        slot = self._slots.get(number)
        return None if slot is None else slot.entry

    def last(self, key: str) -> Entry | None:
        """The last entry that changes a key."""
        writers = self._writers.get(key)
        return self._slots[writers[-1]].entry if writers else None

    def touching(self, key: str) -> list[int]:
        """The entries that change or read a key."""
        return sorted({*self._writers.get(key, ()), *self._readers.get(key, ())})

    def state(self, key: str) -> State | None:
        """What a key will have; None where nothing is queued that changes it."""
        writers = self._writers.get(key)
        if not writers:
            return None
        last = self._slots[writers[-1]].entry
        if last.kind is Kind.DELETE:
            return State(last, None)
        made = last
        for number in reversed(writers):
            made = self._slots[number].entry
            if made.kind is not Kind.APPEND or made.expected is ABSENT:
                return State(last, last.size, made.attributes)
        return State(last, last.size, None)

    def _reading(self, writer: Entry) -> list[Entry]:
        readers = self._readers.get(writer.key, set())
        numbers = sorted(self._slots[writer.number].needed_by & readers)
        return [self._slots[number].entry for number in numbers]

    @property
    def parked(self) -> list[Entry]:
        """What the store has refused for good."""
        slots = (self._slots[number] for number in self._stuck)
        return [slot.entry for slot in slots if slot.phase is Phase.PARKED]

    def is_stuck(self, number: int) -> bool:
        """Whether an entry is parked, or waits for one that is."""
        return number in self._stuck

    def phase(self, number: int) -> Phase:
        """How far an entry is; raises KeyError for one that is not here."""
        return self._slots[number].phase

    def doubtful(self, number: int) -> bool:
        """Whether an entry may have reached the store already."""
        return self._slots[number].doubtful

    def promise(self, number: int) -> None:
        """Somebody waits for just this version to be stored: it is not taken back any more."""
        slot = self._slots.get(number)
        if slot is not None and not slot.entry.promised:
            slot.entry = replace(slot.entry, promised=True)

    def update(self, entry: Entry) -> None:
        """The same request, which rests on something else now, or whose bytes lie elsewhere."""
        self._slots[entry.number].entry = entry

    def is_at_rest(self, number: int) -> bool:
        """Whether an entry is neither new nor with the store."""
        return self._slots[number].phase in (Phase.WAITING, Phase.PARKED)

    # What waits for what

    def _link(self, slot: Slot) -> None:
        """Take in an entry, behind all that touch its keys."""
        entry = slot.entry
        number = entry.number
        for key in {entry.key, *entry.sources}:
            writers = self._writers.get(key)
            if writers:
                slot.needs.add(writers[-1])
        slot.needs |= self._readers.get(entry.key, set())
        for needed in slot.needs:
            self._slots[needed].needed_by.add(number)
        self._slots[number] = slot
        self._writers.setdefault(entry.key, []).append(number)
        for source in entry.sources:
            self._readers.setdefault(source, set()).add(number)
        self.bytes += entry.length

    def _unlink(self, number: int) -> tuple[Slot, list[Slot]]:
        """Take an entry out; returns it, and those that wait for nothing any more."""
        slot = self._slots.pop(number)
        entry = slot.entry
        self.bytes -= entry.length
        forget(self._writers, entry.key, number)
        for source in set(entry.sources):
            forget(self._readers, source, number)
        for needed in slot.needs:
            self._slots[needed].needed_by.discard(number)
        for dependent in slot.needed_by:
            self._slots[dependent].needs.discard(number)
        dependents = (self._slots[dependent] for dependent in slot.needed_by)
        return slot, [other for other in dependents if not other.needs]

    def resolve(self, number: int, made: Belief) -> list[Entry]:
        """It is known what an entry has made; returns those that believe in that, as they are now.

        What is queued until it is `done` finds it by `made`.
        """
        self._slots[number].made = made
        return self._resolve(number, made)

    def made(self, number: int) -> Belief | None:
        """What an entry has made, from when that is known until it is done."""
        return self._slots[number].made

    def _resolve(self, number: int, made: Link) -> list[Entry]:
        link, changed = After(number), []
        for dependent in sorted(self._slots[number].needed_by):
            entry = self._slots[dependent].entry
            now = replace(
                entry,
                expected=made if entry.expected == link else entry.expected,
                source_expected=made if entry.source_expected == link else entry.source_expected,
            )
            if now != entry:
                self._slots[dependent].entry = now
                changed.append(now)
        return changed
