# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Forgetting on purpose: what is believed now is asked for again when somebody wants it."""

from kontenumfs.tree.node import NEVER, Directory, File, Node
from kontenumfs.tree.tree import Tree


def refresh(tree: Tree, node: Node, *, recursive: bool = False) -> list[tuple[int, str]]:
    """Believe nothing any more of `node`, and of what is in it, if it is a directory.

    Returns the entries that the kernel is to let go of: of directories only the attributes,
    which it was told already, for a process may be in one.
    """
    entries: list[tuple[int, str]] = []
    waiting = [node]
    tree.forget_listings()
    while waiting:
        at = waiting.pop()
        at.checked = NEVER
        if at.parent is not None and isinstance(at, File) and at.lookups:
            entries.append((at.parent.inode, at.name))
        if not isinstance(at, Directory):
            continue
        tree.changed(at)
        entries += [(at.inode, name) for name in at.missing]
        at.missing.clear()
        at.listed = at.marker_checked = NEVER
        at.losses += 1  # or what is being listed would count as a listing of now
        children = at.children.values()
        if recursive:
            waiting += children
        else:
            waiting += [child for child in children if isinstance(child, File)]
            for child in children:
                child.checked = NEVER
    return entries
