# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the store was proven to do: asked when it first matters, and again while it is open."""

import logging
from collections.abc import Callable, Collection
from dataclasses import replace

import trio

from kontenumfs.store.api import Store
from kontenumfs.store.probe import PROBE_SECONDS, probe
from kontenumfs.store.proof import ITEMS, UNPROVEN, Capabilities, Item, Proof, Verb

log = logging.getLogger(__name__)

FIRST_PAUSE = 5.0
"""Seconds after which what stayed open is asked again."""
LONGEST_PAUSE = 300.0


class ProvenCapabilities:
    """Probes a store on scratch keys, once for all who ask.

    Nothing is believed that was not shown, for a server that does not know ``?append`` would
    replace the object by its tail; and nothing is given up that was not disproven.

    Args:
        store: what is probed; not a ConditionalStore, which asks this.
        area: what scratch keys begin with: a place that is cleared after a crash, too.
        seconds: that one probe may take: at most half of the mount's deadline, so that a write
            that had to wait for it still has the other half.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        area: str,
        *,
        seconds: float = PROBE_SECONDS,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._store = store
        self._area = area
        self._seconds = seconds
        self._clock = clock
        self._lock = trio.Lock()
        self._known = UNPROVEN
        self._until = 0.0
        """When the probe under way ends; whoever takes it over has no more time than this."""
        self._pause = FIRST_PAUSE
        self._not_before: dict[Item, float] = {}

    @classmethod
    def within(cls, store: Store, area: str, *, deadline: float) -> "ProvenCapabilities":
        """For a mount whose requests may take `deadline` seconds: a probe takes half at most."""
        return cls(store, area, seconds=min(PROBE_SECONDS, deadline / 2))

    @property
    def known(self) -> Capabilities:
        """What is known so far, without asking."""
        return self._known

    async def get(self, *wanted: Item) -> Capabilities:
        """What the store is proven to do; what could not be found out is OPEN.

        Never raises because of the store. All who wait share one probe and its outcome.

        Args:
            wanted: what matters now, and is asked for where it is open; everything, if none.
        """
        if not self._due(wanted):
            return self._known
        if not self._lock.locked():
            self._until = self._clock() + self._seconds
        async with self._lock:
            # Who waited has the answer of the one before, unless that one was cancelled.
            if asked := self._due(wanted):
                await self._ask(asked)
        return self._known

    def disprove(self, verb: Verb) -> None:
        """A real request has shown that a condition is not honoured."""
        if self._known.condition(verb) is not Proof.DISPROVEN:
            log.warning("the store does not honour the condition of: %s", verb.value)
            self._learn(_with(self._known, verb, Proof.DISPROVEN))

    def _due(self, wanted: Collection[Item]) -> set[Item]:
        now = self._clock()
        found = self._known.open(wanted or ITEMS)
        return {item for item in found if self._not_before.get(item, now) <= now}

    async def _ask(self, wanted: set[Item]) -> None:
        heard = trio.Event()
        found = await probe(
            self._store,
            self._area,
            known=self._known,
            wanted=wanted,
            seconds=self._until - self._clock(),
            heard=heard.set,
        )
        self._learn(found)
        left = found.open(wanted)
        if not left:
            log.info("the store was probed: %s", found)
            return
        # An outage says nothing of the store: when it has ended, writers need to know at once.
        pause = self._pause if heard.is_set() else FIRST_PAUSE
        self._not_before |= dict.fromkeys(left, self._clock() + pause)
        log.warning("not all could be found out, again in %.0f s: %s", pause, found)
        if heard.is_set():
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)

    def _learn(self, found: Capabilities) -> None:
        """Take over what was found; what requests have disproven meanwhile stays so."""
        for verb, proof in self._known.conditions.items():
            if proof is Proof.DISPROVEN:
                found = _with(found, verb, proof)
        self._known = found


def _with(known: Capabilities, verb: Verb, proof: Proof) -> Capabilities:
    return replace(known, conditions={**known.conditions, verb: proof})
