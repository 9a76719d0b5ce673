# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The spool of a filesystem: made for it, and asked for what only it can tell."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio

from kontenumfs.protocol.errors import KontenumError
from kontenumfs.protocol.names import STAGING_PREFIX
from kontenumfs.store.api import Body, Store
from kontenumfs.store.capabilities import ProvenCapabilities
from kontenumfs.store.outage import Outage
from kontenumfs.store.proof import Capabilities, Item, Proof, Verb
from kontenumfs.store.spool.order import PUBLISH_LAST
from kontenumfs.store.spool.spool import Spool, SpoolOptions
from kontenumfs.writing.digest import Search

log = logging.getLogger(__name__)

PROOF_SECONDS = 5.0
"""Between two looks whether all is known of the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooling:
    """Where and how a filesystem spools.

    Args:
        directory: of its spool alone.
        whose: what it is the spool of; another one is refused.
        size: bytes that may wait there.
        is_spooled: whether a path, a key without the mount's prefix, is safe on the disk when
            close returns.
        publish_last: globs of names that point to others.
        outage: learns whether the store answers; while it does not, names that are known are
            believed (Tree).
    """

    directory: Path
    whose: Mapping[str, str]
    size: int
    is_spooled: Callable[[str], bool]
    publish_last: Sequence[str] = PUBLISH_LAST
    outage: Outage = field(default_factory=Outage)


def make_spool(
    spooling: Spooling,
    store: Store,
    capabilities: ProvenCapabilities,
    *,
    deadline: float,
    prefix: str,
    new_key: Callable[[], str],
) -> Spool:
    """Make the spool in front of a store that keeps beliefs; it is not open yet.

    Args:
        deadline: seconds that a writer waits for room, and fsync for the store.
        prefix: of the mount's keys. What is below its staging prefix is always spooled, for it
            is part of what is.
        new_key: a key for a helper that nobody else has.
    """
    search = Search(store, new_key)

    async def placed(key: str, body: Body, start: int) -> bool | None:
        if not (await capabilities.get("digest")).digest:
            return None
        return await search.has(key, body, [start])

    staging = f"{prefix}{STAGING_PREFIX}"

    def is_spooled(key: str) -> bool:
        return key.startswith(staging) or spooling.is_spooled(key.removeprefix(prefix).rstrip("/"))

    options = SpoolOptions(
        spooling.size,
        deadline=deadline,
        publish_last=spooling.publish_last,
        is_spooled=is_spooled,
    )
    return Spool(
        store,
        spooling.directory,
        spooling.whose,
        options,
        placed=placed,
        outage=spooling.outage,
    )


@dataclass(frozen=True, slots=True)
class SpooledCapabilities:
    """What a store can do by way of a spool: every belief counts there, whatever is behind it."""

    behind: ProvenCapabilities

    async def get(self, *wanted: Item) -> Capabilities:
        """See ProvenCapabilities.get."""
        others = [item for item in wanted if not isinstance(item, Verb)]
        known = await self.behind.get(*others) if others or not wanted else self.behind.known
        return replace(known, conditions=dict.fromkeys(Verb, Proof.PROVEN))

    async def prove(self, then: Callable[[], Awaitable[None]]) -> None:
        """Find out all, so that nobody has to ask while the store is away; then call `then`."""
        while (await self.behind.get()).open(("append", "compose", "part_copy", "digest")):
            await trio.sleep(PROOF_SECONDS)
        while True:
            try:
                await then()
            except KontenumError as error:
                log.warning("not all is known of the store yet: %s", error)
                await trio.sleep(PROOF_SECONDS)
            else:
                log.info("all is known of the store that an outage could hide")
                return
