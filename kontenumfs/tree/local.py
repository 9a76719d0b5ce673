# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What exists because of this mount alone, whatever the store lists."""

from kontenumfs.tree.node import Directory, File, Node


def is_local(node: Node) -> bool:
    """Whether a name exists because of this mount: what is open, what the store cannot show.

    A directory does, too, where something in it does, at any depth.
    """
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if isinstance(at, File):
            if at.local is not None:
                return True
        elif isinstance(at, Directory):
            if at.own:
                return True
            waiting += at.children.values()
    return False
