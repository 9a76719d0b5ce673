# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of names, however old, where the store is away and the mount goes on without it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from kontenumfs.protocol.errors import FileMissing
from kontenumfs.store.outage import AWAY, PATIENCE, Outage
from kontenumfs.tree.cache import NameCache
from kontenumfs.tree.listing import Listing
from kontenumfs.tree.node import NEVER, Directory, File, Node

T = TypeVar("T")


class Recall:
    """Asks the store, and answers from the cache where that can and the store does not.

    Args:
        cache: is looked in.
        outage: None where nothing is answered without the store: a mount that writes through.
    """

    def __init__(self, cache: NameCache, outage: Outage | None) -> None:
        self._cache = cache
        self._outage = outage

    async def name(self, parent: Directory, name: str, ask: Callable[[], Awaitable[Node]]) -> Node:
        """Return what `ask` finds under a name, else what was there when it was last seen."""

        def recall() -> Node | None:
            return self._cache.find(parent, name, anyhow=True)

        def is_known() -> bool:
            try:
                return recall() is not None
            except FileMissing:
                return True

        if self._outage is None or not is_known():
            return await ask()
        found = await self._patiently(self._outage, ask)
        if found is None and (found := recall()) is None:
            return await ask()  # it was evicted meanwhile
        return found

    async def attributes(
        self, node: Node, ask: Callable[[], Awaitable[None]], *, exact: bool
    ) -> None:
        """Have `ask` find out about `node`, unless what is known must do.

        Args:
            exact: only all that HEAD has told will do.
        """
        is_known = node.is_described
        if not exact:
            is_known |= node.has_object
            is_known |= isinstance(node, Directory) and node.marker_checked != NEVER
        if self._outage is None or not is_known:
            await ask()
        elif not (self._outage.is_on and isinstance(node, File)):
            await self._patiently(self._outage, ask)

    async def listing(
        self, parent: Directory, ask: Callable[[], Awaitable[Listing | None]]
    ) -> Listing | None:
        """Return the listing to read from, whose first page is there; None: the cache has all."""
        if self._outage is None or parent.listed == NEVER:
            return await ask()

        async def begin() -> Listing | None:
            found = await ask()
            if found is not None:
                await found.read_to_page(1)
            return found

        return await self._patiently(self._outage, begin)

    async def _patiently(self, outage: Outage, ask: Callable[[], Awaitable[T]]) -> T | None:
        """Return what `ask` does; None where the store is away."""
        with trio.move_on_after(PATIENCE):
            try:
                return await ask()
            except AWAY:
                outage.unanswered()
                return None
        outage.unanswered()
        return None
