# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Reading of directories: a name, a page or all of one, by the requests that cost least."""

from collections.abc import Iterable
from contextlib import suppress
from operator import attrgetter

from cachetools import LRUCache

from kontenumfs.protocol.errors import FileMissing, UnexpectedAnswer
from kontenumfs.tree.cache import NameCache
from kontenumfs.tree.fetcher import Fetcher
from kontenumfs.tree.listing import Listing
from kontenumfs.tree.node import Directory, Node
from kontenumfs.tree.observations import Observations
from kontenumfs.tree.walk import Walks

LISTINGS = 1024
"""Listings that may be under way; one that is forgotten begins anew."""


class DirectoryReader:
    """Finds names in the cache, and lists directories where it does not know them.

    Args:
        fetcher: asks the store.
        cache: is looked in first.
        observations: is told what listings tell.
    """

    def __init__(self, fetcher: Fetcher, cache: NameCache, observations: Observations) -> None:
        self._fetcher = fetcher
        self._cache = cache
        self._observations = observations
        self._listings: LRUCache[Directory, Listing] = LRUCache(LISTINGS)
        self._walks = Walks(fetcher, cache, observations)

    def find(self, parent: Directory, name: str) -> Node | None:
        """Return what memory knows of a name; None where only the store can tell.

        Raises FileMissing where it is known that there is none: also by a listing under way.
        """
        node = self._cache.find(parent, name)
        if node is None and name not in parent.children:
            listing = self._listings.get(parent)
            if listing is not None and self._cache.fresh(listing.began) and listing.covers(name):
                raise FileMissing(name)
        return node

    async def fetch(self, parent: Directory, name: str) -> Node:
        """Return the node called `name`, which memory does not know; see Tree.lookup."""
        parent.child_key(name)
        known = None
        if self._cache.ttl and not self._cache.fresh(parent.listed):
            await self.look_into(parent)
            known = self.find(parent, name)
        while known is None or known.removed:
            known = await self._fetcher.fetch_name(parent, name)
        return known

    async def look_into(self, parent: Directory) -> None:
        """Learn more of what is in `parent`: all of it, or a page in proportion to what was asked.

        For each two names that are asked for one by one, a page of a large directory is fetched:
        that costs half as much again if no other name is wanted, and is soon whole if many are.
        """
        if not parent.large:
            if await self._walks.fill(parent):
                return
            listing = self._listing(parent)
            await listing.read_to_page(1)
            self._observations.listing_is_large(parent, not listing.complete)
        elif self._listing(parent).pages < parent.asked // 2:
            with suppress(UnexpectedAnswer):  # a name may be known where a listing has no end
                await self._listing(parent).read_to_page(parent.asked // 2)

    async def children(self, parent: Directory) -> list[Node]:
        """Return everything in `parent`, in the order of names; see Tree.children."""
        listing = await self.open_listing(parent)
        found: Iterable[Node] = parent.children.values()
        if listing is not None:
            await listing.finish()
            found = (n for n in listing.entries if n.parent is parent and not n.removed)
        return sorted(found, key=attrgetter("name"))

    async def open_listing(self, parent: Directory) -> Listing | None:
        """Return the listing of `parent` to read from; see Tree.open_listing."""
        self._cache.eviction.use(parent)
        if self._cache.fresh(parent.listed) or await self._walks.fill(parent):
            return None
        return self._listing(parent)

    def _listing(self, parent: Directory) -> Listing:
        """Return the listing of `parent` that is under way, or a new one."""
        found = self._listings.get(parent)
        if found is None or found.complete or found.lost or not self._cache.fresh(found.began):
            found = Listing(self._fetcher, self._cache, self._observations, parent)
            self._listings[parent] = found
            self._observations.listing_began(parent)
        return found

    def begin_anew(self, parent: Directory | None = None) -> None:
        """Let nobody who comes from now on join a listing of `parent`, or any, that is under way.

        Who reads one already goes on with it.
        """
        if parent is not None:
            self._listings.pop(parent, None)
            return
        self._listings.clear()
        self._walks = Walks(self._fetcher, self._cache, self._observations)
