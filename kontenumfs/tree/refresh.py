# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Forgetting on purpose: what is believed now is asked for again when somebody wants it."""

from kontenumfs.tree.node import NEVER, Directory, File, Node
from kontenumfs.tree.tree import Tree

Entries = list[tuple[int, str]]
"""Inodes of directories and names in them, which the kernel is to look up again."""


def refresh_path(tree: Tree, path: str, *, recursive: bool = False) -> Entries:
    """Believe nothing any more of what is at `path`, relative to the mount; see `refresh`.

    Asks nobody: what is not known needs no refreshing.
    """
    tree.forget_listings()
    node: Node = tree.root
    for name in path.split("/") if path else ():
        child = node.children.get(name) if isinstance(node, Directory) else None
        if child is None:
            return _forget_name(node, name) if isinstance(node, Directory) else []
        node = child
    return refresh(tree, node, recursive=recursive)


def refresh(tree: Tree, node: Node, *, recursive: bool = False) -> Entries:
    """Believe nothing any more of `node`, and of what is in it, if it is a directory.

    Returns what the kernel is to let go of: of directories it is told here that their attributes
    may have changed, but it cannot forget one, for a process may be in it.
    """
    tree.forget_listings()
    entries = _forget_name(node.parent, node.name) if node.parent is not None else []
    waiting = [node]
    while waiting:
        at = waiting.pop()
        at.checked = NEVER
        if isinstance(at, File):
            if at.lookups and at.parent is not None:
                entries.append((at.parent.inode, at.name))
            continue
        assert isinstance(at, Directory)
        tree.changed(at)
        entries += [(at.inode, name) for name in at.missing]
        at.missing.clear()
        at.listed = at.marker_checked = NEVER
        if at is not tree.root:
            at.own_since = NEVER
        at.losses += 1  # or what is being listed would count as a listing of now
        for child in at.children.values():
            child.checked = NEVER
            if isinstance(child, Directory):
                child.own_since = NEVER
            if recursive or isinstance(child, File):
                waiting.append(child)
    return entries


def _forget_name(parent: Directory, name: str) -> Entries:
    parent.missing.pop(name, None)
    parent.listed = NEVER
    parent.losses += 1
    return [(parent.inode, name)] if not isinstance(parent.children.get(name), Directory) else []
