# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The nodes that the kernel knows, by number, and how often it was told of each."""

from collections.abc import Callable
from hashlib import blake2b

from cachetools import LRUCache

from kontenumfs.protocol.errors import NotDirectory, StaleInode
from kontenumfs.tree.node import Directory, Node

ROOT_INODE = 1
"""The kernel's number for the root of a mount (FUSE_ROOT_ID)."""
GENERATIONS = 65536
"""Numbers whose former owners are remembered."""


class InodeTable:
    """Inode numbers made of keys: the same over eviction and over mounts, and kept over rename.

    A number that a deleted file still has is not given away; one whose owner the kernel has
    forgotten may be, with another generation.

    Args:
        root: known to the kernel from the start, and never forgotten.
        forgotten: is called with each node that the kernel knows no more.
    """

    def __init__(self, root: Directory, *, forgotten: Callable[[Node], None]) -> None:
        root.inode = ROOT_INODE
        root.lookups = 1
        self._nodes: dict[int, Node] = {ROOT_INODE: root}
        self._forgotten = forgotten
        self._generations: LRUCache[int, int] = LRUCache(GENERATIONS)

    def __len__(self) -> int:
        return len(self._nodes)

    def number(self, node: Node) -> int:
        """Return the inode number of `node`; tell the kernel only together with `remember`."""
        number = node.inode or _number_of(node.key)
        while self._nodes.get(number, node) is not node:
            number += 1
        node.inode = number
        return number

    def generation(self, node: Node) -> int:
        """Return how many deleted files had the number of `node` before."""
        return self._generations.get(node.inode, 0)

    def remember(self, node: Node) -> None:
        """Count one more lookup of `node` by the kernel."""
        self._nodes[self.number(node)] = node
        node.lookups += 1

    def forget(self, inode: int, count: int) -> None:
        """Count `count` lookups of `inode` less; the kernel knows it no more after the last."""
        node = self._nodes.get(inode)
        if node is None or inode == ROOT_INODE:
            return
        node.lookups -= count
        if node.lookups > 0:
            return
        del self._nodes[inode]
        if node.removed:
            self._generations[inode] = self._generations.get(inode, 0) + 1
        self._forgotten(node)

    def node(self, inode: int) -> Node:
        """Return the node of an inode number; raise StaleInode for one that was forgotten."""
        try:
            return self._nodes[inode]
        except KeyError:
            raise StaleInode(f"inode {inode} is not known to this mount") from None

    def directory(self, inode: int) -> Directory:
        """Return the directory of an inode number; raise NotDirectory for a file's."""
        node = self.node(inode)
        if not isinstance(node, Directory):
            raise NotDirectory(node.key)
        return node

    def parent(self, inode: int) -> Directory:
        """Return the directory in which a name is to be made; raise StaleInode if it is gone."""
        directory = self.directory(inode)
        if directory.removed:
            raise StaleInode(f"{directory.key!r} was deleted")
        return directory


def _number_of(key: str) -> int:
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return max(int.from_bytes(digest) >> 1, ROOT_INODE + 1)
