# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The namespace: which names exist and what they are, from one cache that listings feed.

A directory is a prefix, a file is an object. What this mount does itself is seen at once; what
others do is seen within `ttl` seconds.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from operator import attrgetter

import trio
from cachetools import LRUCache

from kontenumfs.protocol.errors import FileMissing, NameTooLong, UnexpectedAnswer
from kontenumfs.protocol.names import MAX_KEY_BYTES
from kontenumfs.store.api import ListPage, ObjectInfo, Store
from kontenumfs.store.single_flight import SingleFlight
from kontenumfs.store.tasks import open_flat_nursery
from kontenumfs.tree.changes import Changes
from kontenumfs.tree.describe import Describer
from kontenumfs.tree.kernel import Kernel
from kontenumfs.tree.listing import Listing
from kontenumfs.tree.local import is_local
from kontenumfs.tree.node import NEVER, Directory, File, Node
from kontenumfs.tree.refreshes import Refreshes
from kontenumfs.tree.remembered import RememberedAttributes
from kontenumfs.tree.walk import Walks

LISTINGS = 1024
"""Listings that may be under way; one that is forgotten begins anew."""


class Tree(Changes):
    """Every name that the kernel was told of, and what listings said of the others.

    Args:
        store: the bucket.
        prefix: what every key of this mount starts with: empty, or ends with a slash.
        ttl: seconds that an answer of the store is believed.
        entries: names that are kept in memory.
        heads: how many HEAD requests run side by side at most.
        trust_listings: stat() shows what listings tell, and no HEAD is sent for it.
        remembered: attributes that earlier mounts have learnt.
        kernel: is told of changes that the kernel did not ask for.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        *,
        prefix: str = "",
        ttl: float = 60.0,
        entries: int = 1_000_000,
        heads: int = 16,
        trust_listings: bool = False,
        remembered: RememberedAttributes | None = None,
        kernel: Kernel | None = None,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        super().__init__(
            prefix=prefix,
            ttl=ttl,
            entries=entries,
            remembered=remembered,
            kernel=kernel,
            clock=clock,
        )
        self.store = store
        self.describer = Describer(self, parallel=heads, trust_listings=trust_listings)
        self.refreshes = Refreshes()
        self._listings: LRUCache[Directory, Listing] = LRUCache(LISTINGS)
        self._walks = Walks(self)
        self._flights = SingleFlight[Node]()
        self.answered = 0
        """Lookups that memory has answered."""
        self.asked = 0
        """Lookups that the store had to be asked for."""

    # What the kernel holds

    def forget(self, inode: int, count: int) -> None:
        """The kernel drops `count` lookups of `inode`."""
        node = self.inodes.forget(inode, count)
        if node is not None:
            self.room.forgotten(node)

    def key(self, node: Node) -> str:
        """The object key of a file, or the prefix (with its slash) of a directory."""
        return node.key

    def child_key(self, parent: Directory, name: str, *, directory: bool = False) -> str:
        """The key that `name` has in `parent`; raises NameTooLong past S3's 1,024 bytes."""
        key = parent.key + name + ("/" if directory else "")
        if len(key.encode()) > MAX_KEY_BYTES:
            raise NameTooLong(f"the key would be longer than {MAX_KEY_BYTES} bytes: {key[:80]}...")
        return key

    # What exists

    async def lookup(self, parent: Directory, name: str) -> Node:
        """The node called `name` in `parent`; raises FileMissing.

        Costs nothing while an earlier answer is fresh; else the directory is listed where that
        is one page. Where it is more, there are one HEAD and one LIST of one key, side by side,
        and who asks for many names has page after page listed as well.
        """
        self.room.use(parent)
        self.answered += 1
        known = self._known(parent, name)
        if known is not None:
            return known
        self.answered -= 1
        self.asked += 1
        self.child_key(parent, name)
        if self.ttl and not self.fresh(parent.listed):
            await self.look_into(parent)
            known = self._known(parent, name)
        while known is None or known.removed:
            known = await self._flights.run((parent, name), lambda: self._ask(parent, name))
        return known

    async def look_into(self, parent: Directory) -> None:
        """Learn more of what is in `parent`: all of it, or a page in proportion to what was asked.

        For each two names that are asked for one by one, a page of a large directory is fetched:
        that costs half as much again if no other name is wanted, and is soon whole if many are.
        """
        if not parent.large:
            if await self._walks.fill(parent):
                return
            listing = self.listing(parent)
            await listing.read_to_page(1)
            parent.large = not listing.complete
        elif self.listing(parent).pages < parent.asked // 2:
            with suppress(UnexpectedAnswer):  # a name may be known where a listing has no end
                await self.listing(parent).read_to_page(parent.asked // 2)

    def _known(self, parent: Directory, name: str) -> Node | None:
        """What memory says of a name: the node, None where it cannot tell; raises FileMissing."""
        node = parent.children.get(name)
        if node is not None and (self.fresh(node.checked) or is_local(node)):
            return node
        if node is None:
            listing = self._listings.get(parent)
            listed = listing is not None and self.fresh(listing.began) and listing.covers(name)
            if listed or self.fresh(self.absent_since(parent, name)):
                raise FileMissing(name)
        return None

    async def _ask(self, parent: Directory, name: str) -> Node:
        """Ask the store for one name, as an object and as a prefix."""
        parent.asked += 1
        key = self.child_key(parent, name)
        asked = self.clock()
        info, page = await self.refreshes.outlast(lambda: self._ask_for_both(key))
        node: Node | None
        if page is not None and (page.objects or page.prefixes):
            node = self.directory_seen(parent, name, asked)
        elif info is not None:
            node = self.file_seen(parent, name, info, asked)
            told_all = info.attributes is not None  # else what is known of it stays
            if told_all and isinstance(node, File) and node.checked == asked:
                self.described(node, info, asked)
        else:
            node = self.nothing_seen(parent, name, asked)
        self.room.make(parent)
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
            info = await self.describer.find(key)
        return info, page

    async def list_page(
        self,
        prefix: str,
        *,
        delimiter: str = "",
        max_keys: int = 1000,
        token: str | None = None,
        start_after: str = "",
    ) -> ListPage:
        """One page of the store's listing, with the attributes that are remembered.

        What is not below `prefix` is not believed: names are cut out of keys by its length.
        """

        async def ask() -> ListPage:
            page = await self.store.list_page(
                prefix, delimiter=delimiter, max_keys=max_keys, token=token, start_after=start_after
            )
            return await self.remembered.recall(_only_below(prefix, page))

        return await self.refreshes.outlast(ask)

    async def children(self, parent: Directory) -> list[Node]:
        """Everything in `parent`, in the order of names; lists it when the cache is stale."""
        listing = await self.open_listing(parent)
        found: Iterable[Node] = parent.children.values()
        if listing is not None:
            await listing.finish()
            found = (n for n in listing.entries if n.parent is parent and not n.removed)
        return sorted(found, key=attrgetter("name"))

    async def open_listing(self, parent: Directory) -> Listing | None:
        """The listing of `parent` to read from; None where `children` needs no request."""
        self.room.use(parent)
        if self.fresh(parent.listed) or await self._walks.fill(parent):
            return None
        return self.listing(parent)

    def listing(self, parent: Directory) -> Listing:
        """The listing of `parent` that is under way, or a new one."""
        found = self._listings.get(parent)
        if found is None or found.complete or found.is_lost or not self.fresh(found.began):
            found = self._listings[parent] = Listing(self, parent)
            parent.asked = 0
        return found

    def forget_listings(self) -> None:
        """Listings that are under way count for nobody who comes from now on."""
        self._listings.clear()
        self._walks = Walks(self)
        self.refreshes.happened()

    async def describe(self, node: Node, *, exact: bool = False) -> None:
        """Make sure that the attributes of `node` are known, by one HEAD where they are not.

        With `exact`, so well that a request may replace them: what listings tell is not enough.
        Raises FileMissing when the object has gone meanwhile.
        """
        await self.describer.describe(node, exact=exact)

    async def look_again(self, node: File) -> None:
        """Ask what the object of `node` is now, whatever is remembered of it.

        Raises FileMissing when it has gone.
        """
        asked, parent = self.clock(), node.parent
        info = await self.describer.head(node.key)
        if node.local is not None or node.removed or parent is None:
            return
        if info is None:
            self.nothing_seen(parent, node.name, asked)
            raise FileMissing(node.name)
        self.described(node, info, asked)

    def doubt(self, parent: Directory, name: str) -> None:
        """A change has failed half-way: the store must tell what there is called `name`."""
        node = parent.children.get(name)
        if node is not None:
            node.checked = NEVER
        parent.missing.pop(name, None)
        parent.listed = NEVER
        self._listings.pop(parent, None)
        self.kernel.entry_changed(parent.inode, name)


def _only_below(prefix: str, page: ListPage) -> ListPage:
    objects = tuple(info for info in page.objects if info.key.startswith(prefix))
    prefixes = tuple(p for p in page.prefixes if p.startswith(prefix) and p.endswith("/"))
    if (len(objects), len(prefixes)) == (len(page.objects), len(page.prefixes)):
        return page
    return ListPage(objects, prefixes, page.next_token)
