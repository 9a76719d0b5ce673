# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Notices that the attributes of a directory's files are wanted one after another."""

import trio

from kontenumfs.tree.node import Directory, File

AHEAD = 128
"""Siblings that are asked for ahead of who wants one after another."""


class Series:
    """Files of one directory whose attributes were wanted one after another."""

    def __init__(self) -> None:
        self._directory: Directory | None = None
        self._count = 0
        self._files: list[File] = []
        self._at = 0
        self._continued = trio.Event()

    def wanted(self, node: File) -> None:
        """Note that `node` is wanted, and was not known: `following` may be next."""
        if self._is_continued_by(node):
            self._continued.set()

    @property
    def went_on(self) -> bool:
        """True if another file was wanted since `wait` has returned."""
        return self._continued.is_set()

    async def wait(self) -> None:
        """Return when a file was wanted after which others will be."""
        await self._continued.wait()
        self._continued = trio.Event()

    def following(self) -> list[File]:
        """Return the files that will be wanted next, in the order of names."""
        return self._files[self._at : self._at + AHEAD]

    def _is_continued_by(self, node: File) -> bool:
        if node.parent is not self._directory:
            self._directory, self._count, self._files = node.parent, 0, []
        self._count += 1
        if self._count < 2 or node.parent is None:
            return False
        if self._find(node):
            return True
        if self._files and self._count % AHEAD:
            return False  # out of order: not worth sorting a large directory each time
        children = sorted(node.parent.children.items())
        self._files = [child for _, child in children if isinstance(child, File)]
        self._at = 0
        return self._find(node)

    def _find(self, node: File) -> bool:
        try:
            self._at = self._files.index(node, self._at)
        except ValueError:
            return False
        return True
