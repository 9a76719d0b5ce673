# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The answers of the store, put into the cache unless what it knows is younger.

Every method takes `when` the question was asked, on the cache's clock, for an answer may describe
the store as it was before a change that was made meanwhile.
"""

from kontenumfs.store.api import ObjectInfo
from kontenumfs.tree.cache import NameCache
from kontenumfs.tree.node import NEVER, Directory, File, Node, exists_since, is_local
from kontenumfs.tree.objects import with_known_attributes
from kontenumfs.tree.remembered import RememberedAttributes


class Observations:
    """Updates a cache with what HEAD and LIST have told.

    Args:
        cache: is updated.
        remembered: tells which objects are too young to be proved by a listing.
    """

    def __init__(self, cache: NameCache, remembered: RememberedAttributes) -> None:
        self._cache = cache
        self._remembered = remembered

    # One name

    def file_seen(self, parent: Directory, name: str, info: ObjectInfo, when: float) -> Node | None:
        """Record an object; return what has its name then, None if it has gone since."""
        node = self._replaced(parent, name, File, when)
        if isinstance(node, File) and node.local is None and node.checked <= when:
            node.checked = when
            if node.confirm(info):
                self._cache.attributes_changed(node)
        return node

    def directory_seen(self, parent: Directory, name: str, when: float) -> Node | None:
        """Record a prefix; return what has its name then, None if it has gone since."""
        node = self._replaced(parent, name, Directory, when)
        if isinstance(node, Directory):
            node.checked = max(node.checked, when)
            if when > node.own_since and node is not self._cache.root:
                node.own_since = NEVER
        return node

    def _replaced(
        self, parent: Directory, name: str, kind: type[File] | type[Directory], when: float
    ) -> Node | None:
        """Return the node called `name`, made a `kind` unless what is known of it is younger."""
        old = parent.children.get(name)
        if old is None:
            if parent.absent_since(name) > when:
                return None
        elif isinstance(old, kind) or old.checked > when or is_local(old):
            return old
        else:
            self._cache.lose(parent, name)
        node = parent.children[name] = kind(parent, name)
        parent.missing.pop(name, None)
        return node

    def nothing_seen(self, parent: Directory, name: str, when: float) -> Node | None:
        """Record that there is no `name`; return the node that has it all the same, if any."""
        node = parent.children.get(name)
        if node is not None and (node.checked > when or is_local(node)):
            return node
        self._cache.lose(parent, name)
        self._cache.note_absent(parent, name, when)
        return None

    def name_asked_for(self, directory: Directory) -> None:
        """Count a name that the store is asked for by itself."""
        directory.asked += 1

    # Attributes

    def described(self, node: File, info: ObjectInfo, when: float) -> None:
        """Record all that is known of the object of `node`, as of `when`."""
        before = node.info
        node.learn(info, young=self._remembered.is_young(info))
        node.checked = when
        if before != info:
            self._cache.attributes_changed(node)

    def file_head_answered(self, node: File, info: ObjectInfo | None, when: float) -> bool:
        """Record what HEAD said of `node`, None for no object; return False if it has gone."""
        if node.local is not None or node.removed:
            return True
        if node.checked > when:
            # Stored, moved or listed meanwhile: the answer counts if it is of the same object.
            now = node.info
            if info is not None and now is not None and info.key == now.key:
                known = with_known_attributes(now, info)
                node.learn(known, young=self._remembered.is_young(known))
        elif info is not None:
            self.described(node, info, when)
        elif node.parent is not None:
            self.nothing_seen(node.parent, node.name, when)
            return False
        return True

    def marker_head_answered(
        self, directory: Directory, info: ObjectInfo | None, when: float
    ) -> None:
        """Record what HEAD said of the marker of `directory`, None for no marker."""
        if directory.marker_checked > when:
            return
        directory.marker_checked = when
        if info is None:
            directory.info = None
        else:
            directory.learn(info, young=self._remembered.is_young(info))

    # Listings

    def listing_began(self, directory: Directory) -> None:
        """Count from now on the names that the store is asked for by themselves."""
        directory.asked = 0

    def listing_is_large(self, directory: Directory, large: bool) -> None:
        """Record whether a listing of `directory` is more than a page."""
        directory.large = large

    def marker_seen(self, directory: Directory, info: ObjectInfo, when: float) -> None:
        """Record the marker of `directory`, which a listing has shown."""
        if directory.marker_checked > when:
            return
        if directory.confirm(info):
            self._cache.attributes_changed(directory)
        if directory.is_described:
            directory.marker_checked = when

    def no_marker_seen(self, directory: Directory, when: float) -> None:
        """Record that a whole listing has shown no marker."""
        if directory.marker_checked <= when and directory.parent is not None:
            directory.info, directory.marker_checked = None, when

    def legacy_marker_seen(self, directory: Directory) -> None:
        """Record that an object NAME_$folder$ stands for `directory`."""
        directory.legacy = True

    def hidden_counted(self, directory: Directory, count: int) -> None:
        """Record how many keys in `directory` cannot be shown."""
        directory.hidden = count

    def listing_ended(self, parent: Directory, began: float) -> None:
        """Drop what a whole listing, which began at `began`, has not confirmed."""
        children = parent.children
        gone = [name for name, node in children.items() if not exists_since(node, began)]
        for name in gone:
            self._cache.lose(parent, name)
        # What was removed here while the listing was under way stays removed.
        parent.missing = {n: when for n, when in parent.missing.items() if when > began}
        parent.listed = began
        self._cache.eviction.count(parent)
