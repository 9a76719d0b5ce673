# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Expiry on purpose: what is believed now is asked for again when somebody wants it."""

from kontenumfs.tree.cache import NameCache
from kontenumfs.tree.node import NEVER, Directory, File, Node

Entries = list[tuple[int, str]]
"""Inodes of directories and names in them, which the kernel is to look up again."""


def expire_path(cache: NameCache, node: Node, path: str, *, recursive: bool) -> Entries:
    """Expire what is at `path` below `node`; empty is `node` itself; see `expire`.

    Asks nobody: what is not known needs no refreshing.
    """
    for name in path.split("/") if path else ():
        if not isinstance(node, Directory):
            return []
        child = node.children.get(name)
        if child is None:
            return _expire_name(node, name)
        node = child
    return expire(cache, node, recursive=recursive)


def expire(cache: NameCache, node: Node, *, recursive: bool) -> Entries:
    """Expire `node`, and the names in it, if it is a directory; all below it if `recursive`.

    Returns what the kernel is to let go of: of directories it is told here that their attributes
    may have changed, but it cannot forget one, for a process may be in it.
    """
    entries = _expire_name(node.parent, node.name) if node.parent is not None else []
    waiting = [node]
    while waiting:
        at = waiting.pop()
        at.checked = NEVER
        if isinstance(at, File):
            if at.lookups and at.parent is not None:
                entries.append((at.parent.inode, at.name))
            continue
        assert isinstance(at, Directory)
        cache.attributes_changed(at)
        entries += [(at.inode, name) for name in at.missing]
        at.missing.clear()
        at.listed = at.marker_checked = NEVER
        if at is not cache.root:
            at.own_since = NEVER
        at.losses += 1  # or what is being listed would count as a listing of now
        for child in at.children.values():
            child.checked = NEVER
            if isinstance(child, Directory):
                child.own_since = NEVER
            if recursive or isinstance(child, File):
                waiting.append(child)
    return entries


def invalidate(cache: NameCache, parent: Directory, name: str) -> None:
    """Expire one name, of which a change has failed half-way, and tell the kernel."""
    node = parent.children.get(name)
    if node is not None:
        node.checked = NEVER
    parent.missing.pop(name, None)
    parent.listed = NEVER
    cache.entry_changed(parent, name)


def _expire_name(parent: Directory, name: str) -> Entries:
    parent.missing.pop(name, None)
    parent.listed = NEVER
    parent.losses += 1
    return [(parent.inode, name)] if not isinstance(parent.children.get(name), Directory) else []
