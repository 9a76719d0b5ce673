# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The bound of the tree's memory: directories that were not used for longest are evicted."""

from collections import OrderedDict
from itertools import islice

from kontenumfs.tree.kernel import Kernel
from kontenumfs.tree.node import NEVER, Directory, File, Node


class Eviction:
    """Counts names in memory, and evicts what can be learnt again, least recently used first.

    What is open, or waits to be sent, stays. What the kernel knows stays until the kernel, asked
    to let go of it, has done so.

    Args:
        limit: names in memory.
        kernel: is asked to let go of names.
    """

    def __init__(self, limit: int, kernel: Kernel) -> None:
        self._limit = limit
        self._kernel = kernel
        self._sizes: OrderedDict[Directory, int] = OrderedDict()
        self.entries = 0
        """Names in memory, as of when each directory was counted last."""

    @property
    def directories(self) -> list[Directory]:
        """The directories with names in memory, those used last at the end."""
        return list(self._sizes)

    def use(self, directory: Directory) -> None:
        """Make `directory` the last one to be evicted."""
        if directory in self._sizes:
            self._sizes.move_to_end(directory)

    def count(self, directory: Directory) -> None:
        """Count the names of `directory` anew."""
        self.entries += len(directory.children) - self._sizes.get(directory, 0)
        self._sizes[directory] = len(directory.children)

    def dropped(self, node: Node) -> None:
        """Count `node` no more, nor what was in it."""
        waiting = [node] if isinstance(node, Directory) else []
        while waiting:
            directory = waiting.pop()
            self.entries -= self._sizes.pop(directory, 0)
            waiting += [d for d in directory.children.values() if isinstance(d, Directory)]

    def make_room(self, *busy: Directory) -> None:
        """Evict what exceeds the limit, but nothing of `busy`, whose names have changed."""
        for directory in busy:
            self.count(directory)
            self.use(directory)
        excess = self.entries - self._limit
        if excess <= 0:
            return
        for directory in list(self._sizes):
            if excess <= 0:
                return
            if directory not in busy:
                excess -= self._evict(directory, excess)

    def _evict(self, directory: Directory, wanted: int) -> int:
        """Evict up to `wanted` names of a directory, or ask the kernel to; return how many."""
        going = 0
        for name, node in list(islice(directory.children.items(), wanted)):
            if not _is_evictable(node):
                continue
            del directory.children[name]
            if node.lookups:
                directory.children[name] = node  # the next time, the others come first
                self._kernel.entry_changed(directory.inode, name)
            going += 1
        directory.listed = NEVER
        directory.losses += 1
        directory.missing.clear()
        self.count(directory)
        if not directory.children:
            del self._sizes[directory]
        return going

    def forgotten(self, node: Node) -> None:
        """Evict `node`, which the kernel has let go of, if there are too many."""
        parent = node.parent
        if parent is None or self.entries <= self._limit or not _is_evictable(node):
            return
        if parent.children.get(node.name) is node:
            del parent.children[node.name]
            parent.listed = NEVER
            parent.losses += 1
            self.count(parent)


def _is_evictable(node: Node) -> bool:
    """Return True if the store can tell all of it again, and nobody would miss it meanwhile."""
    if node.pending is not None:
        return False
    if isinstance(node, File):
        return node.local is None
    assert isinstance(node, Directory)
    return not (node.lookups or node.own or node.children)
