# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The changes of this mount itself: seen at once, whatever listings say that are under way."""

from kontenumfs.store.api import ObjectInfo
from kontenumfs.tree.cache import NameCache
from kontenumfs.tree.node import NEVER, Directory, File, Node, is_local
from kontenumfs.tree.remembered import RememberedAttributes


class OwnChanges:
    """Updates a cache with what this mount does.

    Args:
        cache: is updated.
        remembered: learns what objects this mount has written.
    """

    def __init__(self, cache: NameCache, remembered: RememberedAttributes) -> None:
        self._cache = cache
        self._remembered = remembered

    def add_file(self, parent: Directory, name: str) -> File:
        """Make a file that exists only here until it is stored."""
        node = File(parent, name)
        self._cache.put(parent, name, node)
        return node

    def add_directory(self, parent: Directory, name: str, info: ObjectInfo) -> Directory:
        """Make an empty directory, whose marker the store has taken as `info` says.

        Where the store keeps no marker of it (`info` has no ETag then), it stays until rmdir.
        """
        node = Directory(parent, name)
        node.listed = self._cache.clock()
        self._cache.put(parent, name, node)
        self.marker_stored(node, info)
        return node

    def file_stored(self, node: File, info: ObjectInfo) -> None:
        """Record that the store has taken `node` as `info` says."""
        node.info = info
        node.checked = self._cache.clock()
        if node.parent is not None and not node.removed:
            self._is_in_store(node.parent)
        self._remembered.learn(info, own=True)

    def marker_stored(self, node: Directory, info: ObjectInfo) -> None:
        """Record that the store has taken the marker of `node` as `info` says, or keeps none."""
        node.info, node.marker_checked = info, self._cache.clock()
        if info.etag:
            self._is_in_store(node)
            self._remembered.learn(info, own=True)
        elif all(is_local(child) for child in node.children.values()):
            node.own_since = self._cache.clock()

    def _is_in_store(self, directory: Directory) -> None:
        """Record that a key of `directory` was stored, which shows it and all above it."""
        at: Directory | None = directory
        while at is not None and at is not self._cache.root:
            at.checked, at.own_since = self._cache.clock(), NEVER
            at = at.parent

    def remove(self, node: Node) -> None:
        """Record that `node` was deleted; its directory stays, even when it is empty now."""
        parent = node.parent
        if parent is None or node.removed:
            return
        self._cache.drop(parent, node.name)
        self._cache.note_absent(parent, node.name, self._cache.clock())
        self._emptied(parent)

    def discard(self, node: Node) -> None:
        """Drop `node`, made here and never stored: what is stored of its name is seen at once."""
        parent = node.parent
        if parent is None or node.removed:
            return
        self._cache.drop(parent, node.name)
        self._cache.entry_changed(parent, node.name)

    def restore(self, node: File) -> None:
        """Give `node` its name back: its object is gone, and who has it open makes it anew."""
        assert node.parent is not None
        node.info = None
        self._cache.put(node.parent, node.name, node)

    def move(self, node: Node, parent: Directory, name: str) -> None:
        """Give `node` a new name, over whatever had it; its inode number is kept."""
        before = node.parent
        if before is not None and not node.removed:
            before.children.pop(node.name, None)
            self._cache.note_absent(before, node.name, self._cache.clock())
        self._cache.put(parent, name, node)
        if isinstance(node, Directory):
            node.legacy = False  # the objects were copied, and NAME_$folder$ was not
        if before is not None:
            self._emptied(before)
        if not is_local(node):
            self._is_in_store(parent)

    def _emptied(self, directory: Directory) -> None:
        """Keep `directory` if its last key may have gone with a name: no listing shows it then."""
        marked = directory.info is not None and directory.info.etag
        if not marked and directory is not self._cache.root:
            directory.own_since = self._cache.clock()
