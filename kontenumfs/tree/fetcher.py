# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The questions to the store: HEAD and LIST, each asked once for all who want the answer."""

import logging

import trio

from kontenumfs.protocol.errors import AccessDenied, FileMissing, NotFound
from kontenumfs.protocol.names import MAX_KEY_BYTES
from kontenumfs.store.api import ListPage, ObjectInfo, Store
from kontenumfs.store.single_flight import SingleFlight
from kontenumfs.store.tasks import open_flat_nursery
from kontenumfs.tree.cache import NameCache
from kontenumfs.tree.generations import Generations
from kontenumfs.tree.node import NEVER, Directory, File, Node
from kontenumfs.tree.observations import Observations
from kontenumfs.tree.remembered import RememberedAttributes

log = logging.getLogger(__name__)


class Fetcher:
    """Asks the store, and puts what it says of single names into the cache.

    Args:
        store: the bucket.
        cache: has the clock by which answers age.
        observations: is told of single names.
        remembered: learns what HEAD tells, and adds attributes to what listings tell.
        parallel: how many HEAD requests run side by side at most.
        trust_listings: send no HEAD for what a listing can tell.
    """

    def __init__(
        self,
        store: Store,
        cache: NameCache,
        observations: Observations,
        remembered: RememberedAttributes,
        *,
        parallel: int,
        trust_listings: bool,
    ) -> None:
        self._store = store
        self._cache = cache
        self._observations = observations
        self._remembered = remembered
        self._trust_listings = trust_listings
        self._limit = trio.CapacityLimiter(parallel)
        self._generations = Generations()
        self._names = SingleFlight[Node]()
        self._heads = SingleFlight[None]()
        self._refused = NEVER

    def outdate(self) -> None:
        """Ask again whatever is under way: what it was asked for is to be as it is from now on."""
        self._generations.advance()

    @property
    def head_is_refused(self) -> bool:
        """True if the store has refused a HEAD within the ttl: it is not tried again."""
        return self._cache.fresh(self._refused)

    async def list_page(
        self,
        prefix: str,
        *,
        delimiter: str = "",
        max_keys: int = 1000,
        token: str | None = None,
        start_after: str = "",
    ) -> ListPage:
        """Return one page of the store's listing, with the attributes that are remembered."""

        async def ask() -> ListPage:
            page = await self._store.list_page(
                prefix, delimiter=delimiter, max_keys=max_keys, token=token, start_after=start_after
            )
            return await self._remembered.recall(page)

        return await self._generations.of_now(ask)

    async def head(self, key: str) -> ObjectInfo | None:
        """Return what HEAD tells, or None where there is no object.

        Some servers deny HEAD together with GET: then a listing tells size and time, and HEAD is
        not tried again within the ttl. What refuses listings too is raised.
        """
        return await self._generations.of_now(lambda: self._head(key))

    async def _head(self, key: str) -> ObjectInfo | None:
        if self.head_is_refused:
            return await self._head_by_listing(key)
        try:
            async with self._limit:
                info = await self._store.head(key)
        except NotFound:
            return None
        except AccessDenied as error:
            found = await self._head_by_listing(key)
            if self._refused == NEVER:
                log.warning("HEAD is refused, so times and modes are the listings': %s", error)
            self._refused = self._cache.clock()
            return found
        self._remembered.learn(info)
        return info

    async def _head_by_listing(self, key: str) -> ObjectInfo | None:
        page = await self.list_page(key, max_keys=1)
        return next((info for info in page.objects if info.key == key), None)

    async def fetch_name(self, parent: Directory, name: str) -> Node:
        """Ask for one name, as an object and as a prefix side by side, once for all who want it.

        Raises FileMissing where there is neither. The node may have been removed again by the time
        that a waiter runs.
        """
        return await self._names.run((parent, name), lambda: self._ask_name(parent, name))

    async def _ask_name(self, parent: Directory, name: str) -> Node:
        observations = self._observations
        observations.name_asked_for(parent)
        key = parent.child_key(name)
        asked = self._cache.clock()
        info, page = await self._generations.of_now(lambda: self._ask_for_both(key))
        node: Node | None
        if page is not None and (page.objects or page.prefixes):
            node = observations.directory_seen(parent, name, asked)
        elif info is not None:
            node = observations.file_seen(parent, name, info, asked)
            told_all = info.attributes is not None  # else what is known of it stays
            if told_all and isinstance(node, File) and node.checked == asked:
                observations.described(node, info, asked)
        else:
            node = observations.nothing_seen(parent, name, asked)
        self._cache.eviction.make_room(parent)
        if node is None:
            raise FileMissing(name)
        return node

    async def _ask_for_both(self, key: str) -> tuple[ObjectInfo | None, ListPage | None]:
        page: ListPage | None = None

        async def as_prefix() -> None:
            nonlocal page
            page = await self.list_page(key + "/", max_keys=1)

        async with open_flat_nursery() as nursery:
            if len(key.encode()) < MAX_KEY_BYTES:  # no key is longer, so nothing is below it
                nursery.start_soon(as_prefix)
            info = await (self._head_by_listing if self._trust_listings else self.head)(key)
        return info, page

    async def fetch_attributes(self, node: File) -> None:
        """Ask for the attributes of `node` by HEAD, once for all who want them.

        Raises FileMissing where there is no object any more.
        """
        await self._heads.run(node, lambda: self._ask_attributes(node))

    async def _ask_attributes(self, node: File) -> None:
        if node.has_object and self.head_is_refused:
            return
        asked = self._cache.clock()
        info = await self.head(node.key)
        if not self._observations.file_head_answered(node, info, asked):
            raise FileMissing(node.name)
