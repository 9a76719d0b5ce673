# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Calls at a certain time: whoever has no time set costs nothing."""

import heapq
from collections.abc import Callable
from itertools import count

import trio


class Timers:
    """Calls by time, the next one first; a time is in seconds on the owner's clock.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = trio.current_time) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._earlier = trio.Event()

    def call_at(self, when: float, call: Callable[[], None]) -> None:
        """Have `call` be made at `when`, besides the calls that are set already."""
        if not self._heap or when < self._heap[0][0]:
            self._earlier.set()
        heapq.heappush(self._heap, (when, next(self._numbers), call))

    async def run(self) -> None:
        """Make the calls that are due, until cancelled; what they set anew waits for its turn."""
        while True:
            now = self._clock()
            due: list[Callable[[], None]] = []
            while self._heap and self._heap[0][0] <= now:
                due.append(heapq.heappop(self._heap)[2])
            for call in due:
                call()
            self._earlier = trio.Event()
            with trio.move_on_at(self._heap[0][0] if self._heap else float("inf")):
                await self._earlier.wait()
