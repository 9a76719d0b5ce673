# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What one listing says of one directory, name by name, whatever requests it came by."""

import logging
from typing import TYPE_CHECKING

from kontenumfs.protocol.names import RESERVED, is_mappable
from kontenumfs.store.api import ObjectInfo
from kontenumfs.tree.node import Directory, File, Node

if TYPE_CHECKING:
    from kontenumfs.tree.tree import Tree

log = logging.getLogger(__name__)

LEGACY_MARKER = "_$folder$"
"""What old Hadoop tools append to a directory's name for its marker."""


class Sightings:
    """One listing of one directory: each method returns the node that the tree has then, if any.

    Args:
        tree: is told of every name.
        directory: what is listed.
        began: when the listing's first request was sent, on the tree's clock.
    """

    def __init__(self, tree: "Tree", directory: Directory, began: float) -> None:
        self._tree = tree
        self._doubtful: dict[str, ObjectInfo] = {}  # their names were directories so far
        self._hidden = 0
        self._has_marker = False
        self._losses = directory.losses
        self.directory = directory
        self.prefix = directory.key
        self.began = began

    @property
    def is_whole(self) -> bool:
        """Whether nothing that was seen has been forgotten since."""
        return self.directory.losses == self._losses

    def doubts(self, name: str) -> bool:
        """Whether only the end will tell what `name` is."""
        return name in self._doubtful

    def prefix_seen(self, name: str) -> Directory | None:
        """There are keys below `name`; an object of the same name is hidden by them."""
        if not is_mappable(name):
            self._hidden += name != RESERVED
            return None
        old = self.directory.children.get(name)
        if isinstance(old, File) and old.local is None and old.checked >= self.began:
            self._hidden += 1
        node = self._tree.directory_seen(self.directory, name, self.began)
        return node if isinstance(node, Directory) else None

    def object_seen(self, name: str, info: ObjectInfo) -> Node | None:
        """There is an object `name`; without a name it is the directory's own marker."""
        if not name:
            self._has_marker = True
            self._tree.marker_seen(self.directory, info, self.began)
            return None
        if name.endswith(LEGACY_MARKER) and not info.size:
            return self._legacy_marker_seen(name.removesuffix(LEGACY_MARKER))
        if not is_mappable(name):
            self._hidden += 1
            return None
        if isinstance(self.directory.children.get(name), Directory):
            self._doubtful[name] = info
            return None
        return self._tree.file_seen(self.directory, name, info, self.began)

    def _legacy_marker_seen(self, name: str) -> Node | None:
        known = self.directory.children.get(name)
        node = self.prefix_seen(name)
        if node is None:
            return None
        node.legacy = True
        return node if node is not known else None  # else its prefix has shown it already

    def end(self) -> list[Node]:
        """Nothing more comes: what was not named is gone; returns nodes not returned yet."""
        found: list[Node] = []
        children = self.directory.children
        for name, info in self._doubtful.items():
            node = children.get(name)
            if isinstance(node, Directory) and node.checked >= self.began:
                self._hidden += 1
            else:
                seen = self._tree.file_seen(self.directory, name, info, self.began)
                if seen is not None:
                    found.append(seen)
        if not self._has_marker:
            self._tree.no_marker_seen(self.directory, self.began)
        if self.is_whole:
            self._tree.listing_ended(self.directory, self.began)
        if self._hidden not in (0, self.directory.hidden):
            place, count = self.prefix or "/", self._hidden
            log.warning("%s: %d keys cannot be file names and are hidden", place, count)
        self.directory.hidden = self._hidden
        return found
