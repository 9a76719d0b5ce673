# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""How far each entry of the queue is, and what it waits for."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from kontenumfs.store.beliefs import Belief
from kontenumfs.store.spool.entries import Entry
from kontenumfs.store.spool.order import are_related, directory


class Phase(Enum):
    """How far an entry is."""

    NEW = "new"
    """Not on the disk yet."""
    WAITING = "waiting"
    RUNNING = "running"
    RESTING = "resting"
    """It has failed in passing, and is tried again."""
    PARKED = "parked"


@dataclass(slots=True)
class Slot:
    """An entry in the queue.

    Args:
        doubtful: whether it may have reached the store already.
        needs: entries that it waits for, for they touch the same keys.
        needed_by: those that wait for it.
        made: what it has made, once that is known.
    """

    entry: Entry
    phase: Phase = Phase.NEW
    doubtful: bool = False
    needs: set[int] = field(default_factory=set)
    needed_by: set[int] = field(default_factory=set)
    made: Belief | None = None


class Stuck:
    """What is parked, and what waits for that: numbers of entries, and their directories."""

    def __init__(self) -> None:
        self._held: dict[int, str] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def __contains__(self, number: int) -> bool:
        return number in self._held

    def __iter__(self) -> Iterator[int]:
        return iter(self._held)

    def discard(self, number: int) -> None:
        """An entry has left the queue."""
        self._held.pop(number, None)

    def note(self, slot: Slot, *, is_barrier: bool) -> None:
        """See whether an entry is held up by what is parked; those before it are known.

        Args:
            is_barrier: whether it waits for everything.
        """
        entry, where = slot.entry, directory(slot.entry.key)
        is_stuck = slot.phase is Phase.PARKED or any(number in self._held for number in slot.needs)
        if not is_stuck and is_barrier and slot.phase is not Phase.RUNNING:
            is_stuck = any(
                number < entry.number and are_related(there, where)
                for number, there in self._held.items()
            )
        if is_stuck:
            self._held[entry.number] = where

    def anew(self, slots: Iterable[Slot], is_barrier: Callable[[Entry], bool]) -> None:
        """See it for all, in their order."""
        self._held = {}
        for slot in slots:
            self.note(slot, is_barrier=is_barrier(slot.entry))


def touch(one: Entry, other: Entry) -> bool:
    """Whether one of two entries changes what the other one changes or reads."""
    return one.key == other.key or one.key in other.sources or other.key in one.sources


def forget(by_key: dict[str, Any], key: str, number: int) -> None:
    numbers = by_key.get(key)
    if numbers is not None:
        numbers.remove(number)
        if not numbers:
            del by_key[key]
