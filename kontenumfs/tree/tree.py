# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The namespace: which names exist and what they are, from one cache that listings feed.

A directory is a prefix, a file is an object. What this mount does itself is seen at once; what
others do is seen within `ttl` seconds.
"""

from collections.abc import Callable, Iterable
from operator import attrgetter

import trio
from cachetools import LRUCache

from kontenumfs.protocol.errors import FileMissing, NameTooLong
from kontenumfs.protocol.names import MAX_KEY_BYTES
from kontenumfs.store.api import ListPage, ObjectInfo, Store
from kontenumfs.store.tasks import open_flat_nursery
from kontenumfs.tree.attributes import confirm
from kontenumfs.tree.describe import Describer
from kontenumfs.tree.flights import Flights, Refreshes
from kontenumfs.tree.inodes import InodeTable
from kontenumfs.tree.kernel import Kernel, NoKernel
from kontenumfs.tree.listing import Listing
from kontenumfs.tree.node import NEVER, Directory, File, Node
from kontenumfs.tree.remembered import RememberedAttributes
from kontenumfs.tree.room import Room
from kontenumfs.tree.walk import Walks

LISTINGS = 1024
"""Listings that may be under way; one that is forgotten begins anew."""
MISSING = 4096
"""Absent names that are remembered of one directory, beside what its listing tells."""


class Tree:
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
        self.store = store
        self.ttl = ttl
        self.clock = clock
        self.kernel: Kernel = kernel or NoKernel()
        self.remembered = remembered or RememberedAttributes(None, limit=0)
        self.root = Directory(None, prefix)
        self.root.own = True
        self.inodes = InodeTable(self.root)
        self.describer = Describer(self, parallel=heads, trust_listings=trust_listings)
        self.room = Room(entries, self.kernel)
        self.refreshes = Refreshes()
        self._listings: LRUCache[Directory, Listing] = LRUCache(LISTINGS)
        self._walks = Walks(self)
        self._flights = Flights()
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

    def fresh(self, when: float) -> bool:
        """Whether an answer that was given at `when` is still believed."""
        return self.clock() - when < self.ttl

    def freshness(self, when: float) -> float:
        """Seconds that an answer of `when` is still believed."""
        return max(0.0, when + self.ttl - self.clock())

    def absent_since(self, parent: Directory, name: str) -> float:
        """When the store last said that there is no `name`."""
        return max(parent.missing.get(name, NEVER), parent.listed)

    def _is_local(self, node: Node) -> bool:
        """Whether the name exists because of this mount, whatever the store lists."""
        if isinstance(node, File):
            return node.local is not None
        if isinstance(node, Directory):
            return node.own or any(self._is_local(child) for child in node.children.values())
        return False

    def confirmed(self, node: Node, since: float) -> bool:
        """Whether the name is known to exist since then, or exists because of this mount."""
        return node.checked >= since or self._is_local(node)

    def current(self, node: Node) -> Node:
        """The node that has the name of `node`, for it may have been forgotten to make room."""
        if node.parent is None or node.removed:
            return node
        return node.parent.children.setdefault(node.name, node)

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
        while known is None:
            async with self._flights.first((parent, name)) as first:
                if first:
                    return await self._ask(parent, name)
            known = self._known(parent, name)
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
            await self.listing(parent).read_to_page(parent.asked // 2)

    def _known(self, parent: Directory, name: str) -> Node | None:
        """What memory says of a name: the node, None where it cannot tell; raises FileMissing."""
        node = parent.children.get(name)
        if node is not None and (self.fresh(node.checked) or self._is_local(node)):
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
        """One page of the store's listing, with the attributes that are remembered."""

        async def ask() -> ListPage:
            page = await self.store.list_page(
                prefix, delimiter=delimiter, max_keys=max_keys, token=token, start_after=start_after
            )
            return await self.remembered.recall(page)

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
        if found is None or found.complete or not self.fresh(found.began):
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

    # What the store said

    def listing_ended(self, parent: Directory, began: float) -> None:
        """End a listing that began at `began`: what it did not confirm is gone."""
        children = parent.children
        gone = [name for name, node in children.items() if not self.confirmed(node, began)]
        for name in gone:
            self._lose(parent, name)
        # What was removed here while the listing was under way stays removed.
        parent.missing = {n: when for n, when in parent.missing.items() if when > began}
        parent.listed = began
        self.room.count(parent)

    def file_seen(self, parent: Directory, name: str, info: ObjectInfo, when: float) -> Node | None:
        """The node of an object that the store named at `when`; None if it has gone since."""
        node = self._replaced(parent, name, File, when)
        if isinstance(node, File) and node.local is None and node.checked <= when:
            node.checked = when
            if confirm(node, info):
                self.changed(node)
        return node

    def directory_seen(self, parent: Directory, name: str, when: float) -> Node | None:
        """The node of a prefix that the store named at `when`; None if it has gone since."""
        node = self._replaced(parent, name, Directory, when)
        if isinstance(node, Directory):
            node.checked = max(node.checked, when)
        return node

    def _replaced(
        self, parent: Directory, name: str, kind: type[File] | type[Directory], when: float
    ) -> Node | None:
        """The node called `name`, made a `kind` unless what is known of it is younger."""
        old = parent.children.get(name)
        if old is None:
            if self.absent_since(parent, name) > when:
                return None
            if name in parent.missing:
                self.kernel.entry_changed(parent.inode, name)
        elif isinstance(old, kind) or old.checked > when or self._is_local(old):
            return old
        else:
            self._lose(parent, name)
        node = parent.children[name] = kind(parent, name)
        parent.missing.pop(name, None)
        return node

    def nothing_seen(self, parent: Directory, name: str, when: float) -> Node | None:
        """Drop what the store did not know at `when`; a node that is younger stays."""
        node = parent.children.get(name)
        if node is not None and (node.checked > when or self._is_local(node)):
            return node
        self._lose(parent, name)
        self.told_missing(parent, name, when)
        return None

    def told_missing(self, parent: Directory, name: str, when: float) -> None:
        """Somebody knows that there was no `name` at `when`."""
        missing = parent.missing
        missing[name] = max(when, missing.get(name, when))
        if len(missing) > MISSING:
            del missing[next(iter(missing))]

    def marker_seen(self, directory: Directory, info: ObjectInfo, when: float) -> None:
        """The store has a marker of `directory`."""
        if directory.marker_checked > when:
            return
        if confirm(directory, info):
            self.changed(directory)
        if directory.is_described:
            directory.marker_checked = when

    def no_marker_seen(self, directory: Directory, when: float) -> None:
        """A whole listing has shown no marker."""
        if directory.marker_checked <= when and directory.parent is not None:
            directory.info, directory.marker_checked = None, when

    def described(self, node: File, info: ObjectInfo, when: float) -> None:
        """HEAD has described `node` at `when`."""
        before = node.info
        node.learn(info, young=self.remembered.is_young(info))
        node.checked = when
        if before != info:
            self.changed(node)

    def changed(self, node: Node) -> None:
        """What stat() says of `node` is not what the kernel may remember."""
        if node.lookups:
            self.kernel.attributes_changed(node.inode)

    def _lose(self, parent: Directory, name: str) -> None:
        """Others have deleted what was called `name`."""
        node = parent.children.get(name)
        if node is not None:
            self._drop(parent, name)
            if node.lookups:
                self.kernel.entry_changed(parent.inode, name)

    def _drop(self, parent: Directory, name: str) -> None:
        node = parent.children.pop(name, None)
        if node is not None:
            node.removed = True
            self.room.dropped(node)

    # What this mount changed itself

    def add_file(self, parent: Directory, name: str) -> File:
        """A new file that exists only here until it is stored."""
        node = File(parent, name)
        self._adopt(parent, name, node)
        return node

    def add_directory(self, parent: Directory, name: str, info: ObjectInfo) -> Directory:
        """A directory that this mount has made: it is empty, and stays until rmdir."""
        node = Directory(parent, name)
        node.own = True
        node.listed = self.clock()
        self.marker_stored(node, info)
        self._adopt(parent, name, node)
        return node

    def marker_stored(self, node: Directory, info: ObjectInfo) -> None:
        """The store has taken the marker of `node` as `info` says."""
        node.info, node.marker_checked = info, self.clock()
        self.remembered.learn(info, own=True)

    def _adopt(self, parent: Directory, name: str, node: Node) -> None:
        old = parent.children.get(name)
        if old is not None and old is not node:
            self._drop(parent, name)
        parent.children[name] = node
        parent.missing.pop(name, None)
        parent.own = True
        node.parent, node.name, node.removed = parent, name, False
        node.checked = self.clock()
        self.room.make(parent)

    def stored(self, node: File, info: ObjectInfo) -> None:
        """The store has taken `node` as `info` says."""
        node.info = info
        node.checked = self.clock()
        self.remembered.learn(info, own=True)

    def doubt(self, parent: Directory, name: str) -> None:
        """A change has failed half-way: the store must tell what there is called `name`."""
        node = parent.children.get(name)
        if node is not None:
            node.checked = NEVER
        parent.missing.pop(name, None)
        parent.listed = NEVER
        self._listings.pop(parent, None)
        self.kernel.entry_changed(parent.inode, name)

    def vanish(self, node: Node) -> None:
        """A name that was created here and never stored is gone; the kernel forgets it at once."""
        parent = node.parent
        if parent is None or node.removed:
            return
        self._drop(parent, node.name)
        self.kernel.entry_changed(parent.inode, node.name)

    def restore(self, node: File) -> None:
        """The object of `node` is gone, and who has it open makes it anew."""
        assert node.parent is not None
        node.info = None
        self._adopt(node.parent, node.name, node)

    def remove(self, node: Node) -> None:
        """`node` was deleted; the directory that held it stays, even when it is empty now."""
        parent = node.parent
        if parent is None or node.removed:
            return
        self._drop(parent, node.name)
        self.told_missing(parent, node.name, self.clock())
        parent.own = True

    def move(self, node: Node, parent: Directory, name: str) -> None:
        """`node` has a new name, over whatever had it; its inode number is kept."""
        if node.parent is not None and not node.removed:
            node.parent.children.pop(node.name, None)
            node.parent.own = True
            self.told_missing(node.parent, node.name, self.clock())
        self._adopt(parent, name, node)
