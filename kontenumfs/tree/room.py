# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The bound of the tree's memory: directories that were not used for longest are forgotten."""

from collections import OrderedDict
from itertools import islice

from kontenumfs.tree.kernel import Kernel
from kontenumfs.tree.node import NEVER, Directory, File, Node


class Room:
    """Counts entries, and forgets what can be learnt again.

    What is open, or waits to be sent, stays. What the kernel knows stays until the kernel, asked
    to let go of it, has done so.

    Args:
        limit: entries in memory.
    """

    def __init__(self, limit: int, kernel: Kernel) -> None:
        self._limit = limit
        self._kernel = kernel
        self._sizes: OrderedDict[Directory, int] = OrderedDict()
        self.entries = 0
        """Names in memory, as of when each directory was counted last."""

    @property
    def directories(self) -> list[Directory]:
        """Those with entries in memory, the ones used last at the end."""
        return list(self._sizes)

    def use(self, directory: Directory) -> None:
        """Somebody wanted something of `directory`."""
        if directory in self._sizes:
            self._sizes.move_to_end(directory)

    def count(self, directory: Directory) -> None:
        """The entries of `directory` have changed."""
        self.entries += len(directory.children) - self._sizes.get(directory, 0)
        self._sizes[directory] = len(directory.children)

    def dropped(self, node: Node) -> None:
        """A directory is gone, and what was in it."""
        waiting = [node] if isinstance(node, Directory) else []
        while waiting:
            directory = waiting.pop()
            self.entries -= self._sizes.pop(directory, 0)
            waiting += [d for d in directory.children.values() if isinstance(d, Directory)]

    def make(self, *busy: Directory) -> None:
        """Forget what exceeds the limit, but nothing of `busy`."""
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
                excess -= self._forget(directory, excess)

    def _forget(self, directory: Directory, wanted: int) -> int:
        """Forget up to `wanted` names of a directory, or ask the kernel to; returns how many."""
        going = 0
        for name, node in list(islice(directory.children.items(), wanted)):
            if not _is_forgettable(node):
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
        """The kernel has let go of `node`."""
        parent = node.parent
        if parent is None or self.entries <= self._limit or not _is_forgettable(node):
            return
        if parent.children.get(node.name) is node:
            del parent.children[node.name]
            parent.listed = NEVER
            parent.losses += 1
            self.count(parent)


def _is_forgettable(node: Node) -> bool:
    """Whether the store can tell all of it again, and nobody would miss it meanwhile."""
    if isinstance(node, File):
        return node.local is None and node.pending is None
    assert isinstance(node, Directory)
    return not (node.lookups or node.own or node.children or node.pending is not None)
