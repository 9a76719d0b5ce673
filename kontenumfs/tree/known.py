# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of names: from what the store said, and until when that is believed."""

from collections.abc import Callable

import trio

from kontenumfs.protocol.errors import StaleInode
from kontenumfs.store.api import ObjectInfo
from kontenumfs.tree.attributes import confirm
from kontenumfs.tree.inodes import InodeTable
from kontenumfs.tree.kernel import Kernel, NoKernel
from kontenumfs.tree.local import is_local
from kontenumfs.tree.node import FOREVER, NEVER, Directory, File, Node
from kontenumfs.tree.remembered import RememberedAttributes
from kontenumfs.tree.room import Room

MISSING = 4096
"""Absent names that are remembered of one directory, beside what its listing tells."""


class Known:
    """Every name that the kernel was told of, and what listings said of the others.

    Args:
        prefix: what every key of this mount starts with: empty, or ends with a slash.
        ttl: seconds that an answer of the store is believed.
        entries: names that are kept in memory.
        remembered: attributes that earlier mounts have learnt.
        kernel: is told of changes that the kernel did not ask for.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        prefix: str = "",
        ttl: float = 60.0,
        entries: int = 1_000_000,
        remembered: RememberedAttributes | None = None,
        kernel: Kernel | None = None,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self.ttl = ttl
        self.clock = clock
        self.kernel: Kernel = kernel or NoKernel()
        self.remembered = remembered or RememberedAttributes(None, limit=0)
        self.root = Directory(None, prefix)
        self.root.own_since = FOREVER
        self.inodes = InodeTable(self.root)
        self.room = Room(entries, self.kernel)

    def fresh(self, when: float) -> bool:
        """Whether an answer that was given at `when` is still believed."""
        return self.clock() - when < self.ttl

    def freshness(self, when: float) -> float:
        """Seconds that an answer of `when` is still believed."""
        return max(0.0, when + self.ttl - self.clock())

    def require(self, node: Node) -> None:
        """Raise StaleInode where `node` has no name any more: what has it now is another file."""
        at: Node | None = node
        while at is not None:
            if at.removed:
                raise StaleInode(f"{node.key!r} was deleted")
            at = at.parent

    def absent_since(self, parent: Directory, name: str) -> float:
        """When the store last said that there is no `name`."""
        return max(parent.missing.get(name, NEVER), parent.listed)

    def has_local_children(self, directory: Directory) -> bool:
        """Whether something is in `directory`, at any depth, that no listing can show.

        Who deletes a directory because the store shows nothing in it asks this, too.
        """
        return any(is_local(child) for child in directory.children.values())

    def confirmed(self, node: Node, since: float) -> bool:
        """Whether the name is known to exist since then, or exists because of this mount."""
        return node.checked >= since or is_local(node)

    def current(self, node: Node) -> Node:
        """The node that has the name of `node`, for it may have been forgotten to make room."""
        if node.parent is None or node.removed:
            return node
        return node.parent.children.setdefault(node.name, node)

    # What the store said

    def listing_ended(self, parent: Directory, began: float) -> None:
        """End a listing that began at `began`: what it did not confirm is gone."""
        children = parent.children
        gone = [name for name, node in children.items() if not self.confirmed(node, began)]
        for name in gone:
            self.lose(parent, name)
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
            if when > node.own_since and node is not self.root:
                node.own_since = NEVER
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
        elif isinstance(old, kind) or old.checked > when or is_local(old):
            return old
        else:
            self.lose(parent, name)
        node = parent.children[name] = kind(parent, name)
        parent.missing.pop(name, None)
        return node

    def nothing_seen(self, parent: Directory, name: str, when: float) -> Node | None:
        """Drop what the store did not know at `when`; a node that is younger stays."""
        node = parent.children.get(name)
        if node is not None and (node.checked > when or is_local(node)):
            return node
        self.lose(parent, name)
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

    def lose(self, parent: Directory, name: str) -> None:
        """Others have deleted what was called `name`."""
        node = parent.children.get(name)
        if node is not None:
            self.drop(parent, name)
            if node.lookups:
                self.kernel.entry_changed(parent.inode, name)

    def drop(self, parent: Directory, name: str) -> None:
        node = parent.children.pop(name, None)
        if node is not None:
            node.removed = True
            self.room.dropped(node)
