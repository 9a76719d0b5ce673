# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The namespace: which names exist and what they are, from one cache that listings feed.

A directory is a prefix, a file is an object. What this mount does itself is seen at once; what
others do is seen within `ttl` seconds.
"""

import itertools
import logging
from collections.abc import Callable

import trio
from cachetools import LRUCache

from kontenumfs.protocol.errors import (
    AccessDenied,
    FileMissing,
    NameTooLong,
    NotDirectory,
    NotFound,
    StaleInode,
)
from kontenumfs.protocol.names import MAX_KEY_BYTES
from kontenumfs.store.api import ListPage, ObjectInfo, Store
from kontenumfs.store.tasks import open_flat_nursery
from kontenumfs.tree.attributes import with_known_attributes
from kontenumfs.tree.listing import Listing
from kontenumfs.tree.node import Directory, File, Node

log = logging.getLogger(__name__)

ROOT_INODE = 1
"""The kernel's number for the root of a mount (FUSE_ROOT_ID)."""
LISTINGS = 1024
"""Listings that may be under way; one that is forgotten begins anew."""
ASKED_SINGLY = 2
"""Names of a directory that are asked for one by one before a page of its listing is fetched."""


class Tree:
    """Every name that the kernel was told of, and what listings said of the others.

    Args:
        store: the bucket.
        prefix: what every key of this mount starts with: empty, or ends with a slash.
        ttl: seconds that an answer of the store is believed.
        heads: how many HEAD requests run side by side at most.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        *,
        prefix: str = "",
        ttl: float = 60.0,
        heads: int = 16,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self.store = store
        self.prefix = prefix
        self.ttl = ttl
        self.clock = clock
        self._inodes = itertools.count(ROOT_INODE)
        self._nodes: dict[int, Node] = {}
        self._listings: LRUCache[int, Listing] = LRUCache(LISTINGS)
        self._heads = trio.CapacityLimiter(heads)
        self._head_refused = float("-inf")
        self.root = Directory(next(self._inodes), None, "")
        self.root.own = True
        self.remember(self.root)

    # What the kernel holds

    def remember(self, node: Node) -> None:
        """Count one more lookup of `node` by the kernel."""
        self._nodes[node.inode] = node
        node.lookups += 1

    def forget(self, inode: int, count: int) -> None:
        """The kernel drops `count` lookups of `inode`; the last one frees it."""
        node = self._nodes.get(inode)
        if node is None or node is self.root:
            return
        node.lookups -= count
        if node.lookups <= 0:
            del self._nodes[inode]

    def node(self, inode: int) -> Node:
        """The node of an inode number; raises StaleInode for one that was forgotten."""
        try:
            return self._nodes[inode]
        except KeyError:
            raise StaleInode(f"inode {inode} is not known to this mount") from None

    def directory(self, inode: int) -> Directory:
        """The directory of an inode number; raises NotDirectory for a file's."""
        node = self.node(inode)
        if not isinstance(node, Directory):
            raise NotDirectory(self.key(node))
        return node

    def key(self, node: Node) -> str:
        """The object key of a file, or the prefix (with its slash) of a directory."""
        parts: list[str] = []
        at: Node = node
        while at.parent is not None:
            parts.append(at.name)
            at = at.parent
        path = "/".join(reversed(parts))
        if isinstance(node, Directory) and path:
            path += "/"
        return self.prefix + path

    def child_key(self, parent: Directory, name: str, *, directory: bool = False) -> str:
        """The key that `name` has in `parent`; raises NameTooLong past S3's 1,024 bytes."""
        key = self.key(parent) + name + ("/" if directory else "")
        if len(key.encode()) > MAX_KEY_BYTES:
            raise NameTooLong(f"the key would be longer than {MAX_KEY_BYTES} bytes: {key[:80]}...")
        return key

    # What exists

    def fresh(self, when: float) -> bool:
        """Whether an answer that was given at `when` is still believed."""
        return self.clock() - when < self.ttl

    def _is_local(self, node: Node) -> bool:
        """Whether the name exists because of this mount, whatever the store lists."""
        if isinstance(node, File):
            return node.local is not None
        if isinstance(node, Directory):
            return node.own or any(self._is_local(child) for child in node.children.values())
        return False

    async def lookup(self, parent: Directory, name: str) -> Node:
        """The node called `name` in `parent`; raises FileMissing.

        Costs nothing while the parent's listing or an earlier answer is fresh; else one HEAD and
        one LIST of one key, side by side. Who asks for many names (rsync does, of every file
        that it will write) has the directory listed instead, where that is one page.
        """
        known = self._known(parent, name)
        if known is not None:
            return known
        parent.asked += 1
        if parent.asked > ASKED_SINGLY and not parent.large:
            listing = self.listing(parent)
            await listing.read_beyond(len(listing.entries))
            parent.large = not listing.complete
            known = self._known(parent, name)
            if known is not None:
                return known
        return await self._ask(parent, name)

    def _known(self, parent: Directory, name: str) -> Node | None:
        """What memory says of a name: the node, None where it cannot tell; raises FileMissing."""
        node = parent.children.get(name)
        if node is not None and (self.fresh(node.checked) or self._is_local(node)):
            return node
        absent = parent.missing.get(name)
        if node is None and (
            self.fresh(parent.listed) or (absent is not None and self.fresh(absent))
        ):
            raise FileMissing(name)
        return None

    async def _ask(self, parent: Directory, name: str) -> Node:
        """Ask the store for one name, as an object and as a prefix."""
        key = self.child_key(parent, name)
        asked = self.clock()
        info: ObjectInfo | None = None
        page: ListPage | None = None

        async def as_prefix() -> None:
            nonlocal page
            page = await self.store.list_page(key + "/", max_keys=1)

        async with open_flat_nursery() as nursery:
            if len(key.encode()) < MAX_KEY_BYTES:  # no key is longer, so nothing is below it
                nursery.start_soon(as_prefix)
            info = await self._head(key)
        node: Node | None
        if page is not None and (page.objects or page.prefixes):
            node = self.directory_seen(parent, name, asked)
        elif info is not None:
            node = self.file_seen(parent, name, info, asked)
        else:
            node = self._nothing_seen(parent, name, asked)
        if node is None:
            raise FileMissing(name)
        return node

    async def _head(self, key: str) -> ObjectInfo | None:
        """HEAD, or None where there is no object.

        Some servers deny HEAD together with GET: then a listing tells size and time, and HEAD is
        not tried again within the ttl. What refuses listings too is raised.
        """
        if not self.fresh(self._head_refused):
            try:
                async with self._heads:
                    return await self.store.head(key)
            except NotFound:
                return None
            except AccessDenied as error:
                found = await self._head_by_listing(key)
                if self._head_refused == float("-inf"):
                    log.warning("HEAD is refused, so times and modes are the listings': %s", error)
                self._head_refused = self.clock()
                return found
        return await self._head_by_listing(key)

    async def _head_by_listing(self, key: str) -> ObjectInfo | None:
        page = await self.store.list_page(key, max_keys=1)
        return next((info for info in page.objects if info.key == key), None)

    async def children(self, parent: Directory) -> list[Node]:
        """Everything in `parent`, in the order of names; lists it when the cache is stale."""
        if not self.fresh(parent.listed):
            await self.listing(parent).finish()
        return [parent.children[name] for name in sorted(parent.children)]

    def listing(self, parent: Directory) -> Listing:
        """The listing of `parent` that is under way, or a new one."""
        found = self._listings.get(parent.inode)
        if found is None or found.complete or not self.fresh(found.began):
            found = self._listings[parent.inode] = Listing(self, parent)
        return found

    def listing_ended(self, parent: Directory, seen: set[str], began: float) -> None:
        """End a listing that began at `began`: what it did not name is gone."""
        for name, node in list(parent.children.items()):
            if name not in seen and node.checked <= began and not self._is_local(node):
                self._drop(parent, name)
        # What was removed here while the listing was under way stays removed.
        parent.missing = {n: when for n, when in parent.missing.items() if when > began}
        parent.listed = began
        parent.asked = 0

    # What was seen

    def file_seen(self, parent: Directory, name: str, info: ObjectInfo, when: float) -> Node | None:
        """The node of an object that the store named at `when`; None if it has gone since."""
        node = self._replaced(parent, name, File, when)
        if isinstance(node, File) and node.local is None and node.checked <= when:
            node.info = with_known_attributes(info, node.info)
            node.checked = when
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
            if max(parent.missing.get(name, when), parent.listed) > when:
                return None
        elif isinstance(old, kind) or old.checked > when or self._is_local(old):
            return old
        else:
            self._drop(parent, name)
        node = parent.children[name] = kind(next(self._inodes), parent, name)
        parent.missing.pop(name, None)
        return node

    def _nothing_seen(self, parent: Directory, name: str, when: float) -> Node | None:
        """Drop what the store did not know at `when`; a node that is younger stays."""
        node = parent.children.get(name)
        if node is not None and (node.checked > when or self._is_local(node)):
            return node
        self._drop(parent, name)
        parent.missing[name] = max(when, parent.missing.get(name, when))
        return None

    def marker_seen(self, directory: Directory, info: ObjectInfo, when: float) -> None:
        if directory.marker_checked > when:
            return
        directory.info = with_known_attributes(info, directory.info)
        if directory.info.attributes is not None:
            directory.marker_checked = when

    def _drop(self, parent: Directory, name: str) -> None:
        node = parent.children.pop(name, None)
        if node is not None:
            node.removed = True

    async def describe(self, node: Node) -> None:
        """Make sure that the attributes of `node` are known, by one HEAD where they are not.

        Raises FileMissing when the object has gone meanwhile.
        """
        if isinstance(node, Directory):
            if node.parent is not None or self.prefix:
                await self._describe_directory(node)
            return
        assert isinstance(node, File)
        if node.local is not None or node.removed or self._is_described(node.info):
            return
        asked = self.clock()
        info = await self._head(self.key(node))
        if node.local is not None or node.removed:
            return
        if node.checked > asked:
            # Stored, moved or listed meanwhile: the answer counts if it is of the same object.
            if info is not None and node.info is not None and info.key == node.info.key:
                node.info = with_known_attributes(node.info, info)
        elif info is not None:
            node.info, node.checked = info, asked
        elif node.parent is not None:
            self._nothing_seen(node.parent, node.name, asked)
            raise FileMissing(node.name)

    def _is_described(self, info: ObjectInfo | None) -> bool:
        """Whether all is known of an object that can be."""
        return info is not None and (info.attributes is not None or self.fresh(self._head_refused))

    async def _describe_directory(self, node: Directory) -> None:
        if self.fresh(node.marker_checked) and (node.info is None or self._is_described(node.info)):
            return
        asked = self.clock()
        try:
            info = await self._head(self.key(node))
        except AccessDenied:
            info = node.info  # it exists all the same, and stat of a mountpoint should not fail
        if node.marker_checked <= asked:
            node.info, node.marker_checked = info, asked

    # What this mount changed itself

    def add_file(self, parent: Directory, name: str) -> File:
        """A new file that exists only here until it is stored."""
        node = File(next(self._inodes), parent, name)
        self._adopt(parent, name, node)
        return node

    def add_directory(self, parent: Directory, name: str, info: ObjectInfo) -> Directory:
        """A directory that this mount has made: it is empty, and stays until rmdir."""
        node = Directory(next(self._inodes), parent, name)
        node.own = True
        node.info = info
        node.listed = node.marker_checked = self.clock()
        self._adopt(parent, name, node)
        return node

    def _adopt(self, parent: Directory, name: str, node: Node) -> None:
        old = parent.children.get(name)
        if old is not None and old is not node:
            self._drop(parent, name)
        parent.children[name] = node
        parent.missing.pop(name, None)
        parent.own = True
        node.parent, node.name, node.removed = parent, name, False
        node.checked = self.clock()

    def stored(self, node: File, info: ObjectInfo) -> None:
        """The store has taken `node` as `info` says."""
        node.info = info
        node.checked = self.clock()

    def remove(self, node: Node) -> None:
        """`node` was deleted; the directory that held it stays, even when it is empty now."""
        parent = node.parent
        if parent is None or node.removed:
            return
        self._drop(parent, node.name)
        parent.missing[node.name] = self.clock()
        parent.own = True

    def move(self, node: Node, parent: Directory, name: str) -> None:
        """`node` has a new name, over whatever had it; its inode number is kept."""
        self.remove(node)
        self._adopt(parent, name, node)
