# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What this mount changes itself: seen at once, whatever listings say that are under way."""

from kontenumfs.store.api import ObjectInfo
from kontenumfs.tree.known import Known
from kontenumfs.tree.local import is_local
from kontenumfs.tree.node import NEVER, Directory, File, Node


class Changes(Known):
    """What is known of names, and what this mount does to them."""

    def add_file(self, parent: Directory, name: str) -> File:
        """A new file that exists only here until it is stored."""
        node = File(parent, name)
        self._adopt(parent, name, node)
        return node

    def add_directory(self, parent: Directory, name: str, info: ObjectInfo) -> Directory:
        """A directory that this mount has made: it is empty.

        Where the store keeps no marker of it (`info` has no ETag then), it stays until rmdir.
        """
        node = Directory(parent, name)
        node.listed = self.clock()
        self._adopt(parent, name, node)
        self.marker_stored(node, info)
        return node

    def marker_stored(self, node: Directory, info: ObjectInfo) -> None:
        """The store has taken the marker of `node` as `info` says, or keeps none."""
        node.info, node.marker_checked = info, self.clock()
        if info.etag:
            self._is_in_store(node)
            self.remembered.learn(info, own=True)
        elif all(is_local(child) for child in node.children.values()):
            node.own_since = self.clock()

    def _adopt(self, parent: Directory, name: str, node: Node) -> None:
        old = parent.children.get(name)
        if old is not None and old is not node:
            self.drop(parent, name)
        parent.children[name] = node
        parent.missing.pop(name, None)
        node.parent, node.name, node.removed = parent, name, False
        node.checked = self.clock()
        self.room.make(parent)

    def stored(self, node: File, info: ObjectInfo) -> None:
        """The store has taken `node` as `info` says."""
        node.info = info
        node.checked = self.clock()
        if node.parent is not None and not node.removed:
            self._is_in_store(node.parent)
        self.remembered.learn(info, own=True)

    def _is_in_store(self, directory: Directory) -> None:
        """A key of `directory` was stored just now, which shows it and all above it."""
        at: Directory | None = directory
        while at is not None and at is not self.root:
            at.checked, at.own_since = self.clock(), NEVER
            at = at.parent

    def remove(self, node: Node) -> None:
        """`node` was deleted; the directory that held it stays, even when it is empty now."""
        parent = node.parent
        if parent is None or node.removed:
            return
        self.drop(parent, node.name)
        self.told_missing(parent, node.name, self.clock())
        self._emptied(parent)

    def vanish(self, node: Node) -> None:
        """`node` was made here and never stored: what is stored of that name is seen at once."""
        parent = node.parent
        if parent is None or node.removed:
            return
        self.drop(parent, node.name)
        self.kernel.entry_changed(parent.inode, node.name)

    def restore(self, node: File) -> None:
        """The object of `node` is gone, and who has it open makes it anew."""
        assert node.parent is not None
        node.info = None
        self._adopt(node.parent, node.name, node)

    def move(self, node: Node, parent: Directory, name: str) -> None:
        """`node` has a new name, over whatever had it; its inode number is kept."""
        before = node.parent
        if before is not None and not node.removed:
            before.children.pop(node.name, None)
            self.told_missing(before, node.name, self.clock())
        self._adopt(parent, name, node)
        if before is not None:
            self._emptied(before)
        if not is_local(node):
            self._is_in_store(parent)

    def _emptied(self, directory: Directory) -> None:
        """A name has gone from `directory`, perhaps its last key: then no listing shows it."""
        marked = directory.info is not None and directory.info.etag
        if not marked and directory is not self.root:
            directory.own_since = self.clock()
