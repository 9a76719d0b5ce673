# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Set-user-ID and set-group-ID: handed down by directories, and lost by what others write.

The kernel takes the bits away itself when a file is truncated or changes its owner, and sends the
new mode. Of a write, and of an open with O_TRUNC, it tells only who asked.
"""

import os
import stat
from dataclasses import replace

from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.tree.attributes import Stat


def inherited(made: FileMetadata, parent: Stat, *, directory: bool) -> FileMetadata:
    """What is made in `parent`, which hands down its group where it has set-group-ID."""
    if not parent.mode & stat.S_ISGID:
        return made
    bit = stat.S_ISGID if directory else 0
    return replace(made, gid=parent.gid, mode=(made.mode or 0) | bit)


def without_privileges(mode: int) -> int:
    """`mode` after a write: set-group-ID of what no group may execute is a mark for locks."""
    lost = stat.S_ISUID
    if mode & stat.S_IXGRP:
        lost |= stat.S_ISGID
    return mode & ~lost


class Unprivileged:
    """The handles by which others than root write, and may take bits away."""

    def __init__(self) -> None:
        self._all: set[int] = set()
        self._untried: set[int] = set()

    def opened(self, handle: int, uid: int, flags: int) -> None:
        """`uid` has opened something by `handle`."""
        if uid and flags & os.O_ACCMODE != os.O_RDONLY:
            self._all.add(handle)
            self._untried.add(handle)

    def writes(self, handle: int) -> bool:
        """Whether what `handle` writes may have bits that it takes away; once for each chmod."""
        if handle not in self._untried:
            return False
        self._untried.discard(handle)
        return True

    def mode_set(self) -> None:
        """Somebody has set the mode of a file: it may have such bits again."""
        self._untried |= self._all

    def released(self, handle: int) -> None:
        """`handle` is closed."""
        self._all.discard(handle)
        self._untried.discard(handle)
