# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Who may use a connection next: key by key in turn, and a stalled request takes nobody's place."""

from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

STALLED_SECONDS = 0.25
"""A short request of which nothing was heard for so long lends its place to another one."""
STALLED_BODY_SECONDS = 2.0
"""The same for a long body, since the last slice of it was sent."""
STALLED_AT_MOST = 15
"""Requests that have lent their place, for each place: a bound for descriptors and memory."""
FOR_LOOKUPS = 4
"""Places of which only lookups (HEAD, LIST) have the use."""
SHARE = 4
"""A key of which so many requests have stalled, for each 16 places, waits for one of them."""


@dataclass(eq=False, slots=True)
class Place:
    """A request that has a connection, or waits for one."""

    key: bytes
    is_lookup: bool
    patience: float
    wake: trio.Event = field(default_factory=trio.Event)
    granted: bool = False
    heard: float = 0.0

    def move(self) -> None:
        """Something was sent or received."""
        self.heard = trio.current_time()

    @property
    def stalls_at(self) -> float:
        """When it counts as stalled, if nothing is heard of it until then."""
        return self.heard + self.patience


class Places:
    """Places for requests to one origin.

    Requests that make progress have `places` at most, and lookups a few more of their own. One of
    which nothing is heard for a moment keeps its connection, but its place is lent: a key whose
    upload hangs costs the others that moment and no more. All told there are sixteen times as many
    connections at most. Who waits, waits without a connection: lookups first, then one request of
    each key in turn.

    Args:
        places: requests side by side that make progress.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._share = max(1, places * SHARE // 16)
        self._most = places * (1 + STALLED_AT_MOST)
        self._moving: set[Place] = set()
        self._stalled: set[Place] = set()
        self._stuck: Counter[bytes] = Counter()
        self._lookups: deque[Place] = deque()
        self._queues: OrderedDict[bytes, deque[Place]] = OrderedDict()
        self._keeper: Place | None = None
        """The one among those who wait that looks at the clock for all of them."""

    @asynccontextmanager
    async def take(self, key: bytes, *, is_lookup: bool, is_long: bool) -> AsyncIterator[Place]:
        """Wait for a place, and have it for the length of the block."""
        patience = STALLED_BODY_SECONDS if is_long else STALLED_SECONDS
        place = Place(key, is_lookup, patience)
        queue = self._lookups if is_lookup else self._queues.setdefault(key, deque())
        queue.append(place)
        self._dispatch()
        try:
            await self._granted(place)
            yield place
        finally:
            self._leave(place)
            self._dispatch()

    async def _granted(self, place: Place) -> None:
        try:
            while not place.granted:
                self._keeper = self._keeper or place
                upcoming = self._next_stall() if self._keeper is place else float("inf")
                with trio.move_on_at(upcoming):
                    await place.wake.wait()
                place.wake = trio.Event()
                self._dispatch()
        finally:
            if self._keeper is place:
                self._keeper = next(
                    (other for other in self._waiting() if other is not place), None
                )
                if self._keeper is not None:
                    self._keeper.wake.set()

    def _waiting(self) -> Iterator[Place]:
        yield from self._lookups
        for queue in self._queues.values():
            yield from queue

    def _next_stall(self) -> float:
        return min((place.stalls_at for place in self._moving), default=float("inf"))

    def _leave(self, place: Place) -> None:
        if place.granted:
            self._moving.discard(place)
            if place in self._stalled:
                self._stalled.remove(place)
                self._stuck[place.key] -= 1
                self._stuck += Counter()  # drops the zeros
        elif place.is_lookup:
            self._lookups.remove(place)
        else:
            self._queues[place.key].remove(place)
            if not self._queues[place.key]:
                del self._queues[place.key]

    def _dispatch(self) -> None:
        """Give every place that is free to whoever is next."""
        now = trio.current_time()
        stalled = {place for place in self._moving if place.stalls_at <= now}
        self._moving -= stalled
        self._stalled |= stalled
        self._stuck.update(place.key for place in stalled)
        while self._lookups and self._is_free(FOR_LOOKUPS):
            self._grant(self._lookups.popleft())
        while self._is_free(0) and (key := self._next_key()) is not None:
            queue = self._queues.pop(key)
            self._grant(queue.popleft())
            if queue:
                self._queues[key] = queue  # behind the others

    def _next_key(self) -> bytes | None:
        return next((key for key in self._queues if self._stuck[key] < self._share), None)

    def _is_free(self, more: int) -> bool:
        moving, all_told = len(self._moving), len(self._moving) + len(self._stalled)
        return moving < self._places + more and all_told < self._most + more

    def _grant(self, place: Place) -> None:
        place.granted = True
        place.move()
        self._moving.add(place)
        place.wake.set()
