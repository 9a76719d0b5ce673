# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""How far each entry of the queue is, and what it waits for."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from kontenumfs.store.spool.entries import Entry


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
    """

    entry: Entry
    phase: Phase = Phase.NEW
    doubtful: bool = False
    needs: set[int] = field(default_factory=set)
    needed_by: set[int] = field(default_factory=set)


def touch(one: Entry, other: Entry) -> bool:
    """Whether one of two entries changes what the other one changes or reads."""
    return one.key == other.key or one.key in other.sources or other.key in one.sources


def forget(by_key: dict[str, Any], key: str, number: int) -> None:
    numbers = by_key.get(key)
    if numbers is not None:
        numbers.remove(number)
        if not numbers:
            del by_key[key]
