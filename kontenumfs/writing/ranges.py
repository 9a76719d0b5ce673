# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Bytes of one file as a part of another: the store copies them when that is published."""

from kontenumfs.tree.node import File
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.extents import Range, Zeros
from kontenumfs.writing.file import WritableFile
from kontenumfs.writing.handle import Handle
from kontenumfs.writing.state import Unsaved
from kontenumfs.writing.table import FileTable


class Ranges:
    """Lends bytes of files to others; nothing is read or sent."""

    def __init__(self, tree: Tree, table: FileTable) -> None:
        self._tree = tree
        self._table = table

    async def copy_range(
        self, source: Handle, offset: int, target: Handle, at: int, length: int
    ) -> int:
        """Put `length` bytes of one file at `at` in another, or less where it ends.

        Returns how many bytes.
        """
        file = await target.writable()
        content = await self.content_of(source.node)
        length = min(length, content.length - offset)
        if length <= 0:
            return 0
        await self.lend(content.cut(offset, offset + length), file, at, by=target.unsaved)
        return length

    async def lend(
        self, extent: Range | Zeros, file: WritableFile, at: int, *, by: Unsaved | None = None
    ) -> None:
        """Put bytes of one file at `at` in another, which keeps them come what may."""
        if isinstance(extent, Range):
            extent.source.lend(file)
        await file.splice(at, extent, by=by)

    async def content_of(self, node: File) -> Range | Zeros:
        """Return all bytes of a file, as another can refer to them; they are stored for that."""
        writer = self._table.writer(node)
        if writer is not None:
            await writer.sync(empty=False)
        else:
            await self._tree.fetch_attributes(node)
        remote = self._table.remote(node)
        if remote is None or (writer is not None and not writer.size):
            return Zeros(0)  # created or emptied, and not written to
        return Range(remote, 0, remote.size)
