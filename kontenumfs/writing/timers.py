# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What is to be done at a certain time: whoever has no time set costs nothing."""

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Timers(Generic[T]):
    """Items by time, the next one first; a time is in seconds on the owner's clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._numbers = count()
        self._earlier = trio.Event()

    def set(self, when: float, item: T) -> None:
        """Have `item` come at `when`, besides the times that are set for it already."""
        if not self._heap or when < self._heap[0][0]:
            self._earlier.set()
        heapq.heappush(self._heap, (when, next(self._numbers), item))

    def due(self, now: float) -> Iterator[T]:
        """Take what is due; what is set meanwhile comes with the next call."""
        taken: list[T] = []
        while self._heap and self._heap[0][0] <= now:
            taken.append(heapq.heappop(self._heap)[2])
        yield from taken

    async def wait(self) -> None:
        """Return when something is due, or something earlier was set."""
        self._earlier = trio.Event()
        with trio.move_on_at(self._heap[0][0] if self._heap else float("inf")):
            await self._earlier.wait()
