# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""How many requests run side by side: those that stall are in nobody's way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

STALLED_SECONDS = 1.0
"""A request that has neither sent nor received anything for so long gives its place away."""
MOST_STALLED = 240
"""Requests that may stall beside those that move: a bound for descriptors (1,024 by default)."""


@dataclass(eq=False, slots=True)
class Place:
    """One request's.

    Args:
        moved: when a byte was sent or received last, on trio's clock.
        counts: whether it is one of those that move.
    """

    moved: float
    counts: bool = True

    def move(self) -> None:
        """A byte was sent or received."""
        self.moved = trio.current_time()


class Places:
    """Gives places away, first come, first served.

    A store that does not answer for some keys would else take all places, one after another, and
    whoever wants something of another key would wait as long as those.

    Args:
        count: requests that move at once.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._taken: list[Place] = []
        self._turn = trio.StrictFIFOLock()
        self._left = trio.Event()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[Place]:
        """Wait for a place, and have it in the block."""
        place = await self._wait()
        try:
            yield place
        finally:
            self._taken.remove(place)
            self._left.set()

    async def _wait(self) -> Place:
        async with self._turn:
            while not self._is_free():
                self._left = trio.Event()
                with trio.move_on_at(self._next_stall()):
                    await self._left.wait()
            place = Place(trio.current_time())
            self._taken.append(place)
            return place

    def _is_free(self) -> bool:
        moving = [place for place in self._taken if place.counts]
        if len(moving) < self._count:
            return True
        if len(self._taken) - len(moving) >= MOST_STALLED:
            return False
        stalled = min(moving, key=lambda place: place.moved)
        if trio.current_time() - stalled.moved < STALLED_SECONDS:
            return False
        stalled.counts = False
        return True

    def _next_stall(self) -> float:
        """When the next place may be given away; not before one leaves, where too many stall."""
        if sum(not place.counts for place in self._taken) >= MOST_STALLED:
            return float("inf")
        return min(place.moved for place in self._taken if place.counts) + STALLED_SECONDS
