# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One listing of one directory, put into the cache name by name, whatever requests it came by."""

import logging

from kontenumfs.protocol.names import RESERVED, is_mappable
from kontenumfs.store.api import ObjectInfo
from kontenumfs.tree.node import Directory, File, Node
from kontenumfs.tree.observations import Observations

log = logging.getLogger(__name__)

LEGACY_MARKER = "_$folder$"
"""The suffix that old Hadoop tools give to a directory's name for its marker."""


class Reconciler:
    """Brings one directory in line with one listing of it.

    Each method that takes a name returns the node that the cache has for it then, if any.

    Args:
        observations: is told of every name.
        directory: is listed.
        began: when the listing's first request was sent, on the cache's clock.
    """

    def __init__(self, observations: Observations, directory: Directory, began: float) -> None:
        self._observations = observations
        self._ambiguous: dict[str, ObjectInfo] = {}  # their names were directories so far
        self._hidden = 0
        self._has_marker = False
        self._losses = directory.losses
        self.directory = directory
        self.prefix = directory.key
        self.began = began

    @property
    def is_whole(self) -> bool:
        """True if nothing that was seen has been evicted or expired since."""
        return self.directory.losses == self._losses

    def is_ambiguous(self, name: str) -> bool:
        """Return True if only the end will tell what `name` is."""
        return name in self._ambiguous

    def prefix_seen(self, name: str) -> Directory | None:
        """Take a common prefix; an object of the same name is hidden by it."""
        if not is_mappable(name):
            self._hidden += name != RESERVED
            return None
        old = self.directory.children.get(name)
        if isinstance(old, File) and old.local is None and old.checked >= self.began:
            self._hidden += 1
        node = self._observations.directory_seen(self.directory, name, self.began)
        return node if isinstance(node, Directory) else None

    def object_seen(self, name: str, info: ObjectInfo) -> Node | None:
        """Take an object; without a name it is the directory's own marker."""
        if not name:
            self._has_marker = True
            self._observations.marker_seen(self.directory, info, self.began)
            return None
        if name.endswith(LEGACY_MARKER) and not info.size:
            return self._legacy_marker_seen(name.removesuffix(LEGACY_MARKER))
        if not is_mappable(name):
            self._hidden += 1
            return None
        if isinstance(self.directory.children.get(name), Directory):
            self._ambiguous[name] = info
            return None
        return self._observations.file_seen(self.directory, name, info, self.began)

    def _legacy_marker_seen(self, name: str) -> Node | None:
        known = self.directory.children.get(name)
        node = self.prefix_seen(name)
        if node is None:
            return None
        self._observations.legacy_marker_seen(node)
        return node if node is not known else None  # else its prefix has shown it already

    def end(self) -> list[Node]:
        """Drop what was not named, for nothing more comes; return nodes not returned yet."""
        found: list[Node] = []
        children = self.directory.children
        for name, info in self._ambiguous.items():
            node = children.get(name)
            if isinstance(node, Directory) and node.checked >= self.began:
                self._hidden += 1
            else:
                seen = self._observations.file_seen(self.directory, name, info, self.began)
                if seen is not None:
                    found.append(seen)
        if not self._has_marker:
            self._observations.no_marker_seen(self.directory, self.began)
        if self.is_whole:
            self._observations.listing_ended(self.directory, self.began)
        if self._hidden not in (0, self.directory.hidden):
            place, count = self.prefix or "/", self._hidden
            log.warning("%s: %d keys cannot be file names and are hidden", place, count)
        self._observations.hidden_counted(self.directory, self._hidden)
        return found
