# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Open file descriptions."""

from dataclasses import dataclass

from kontenumfs.tree.node import File
from kontenumfs.writing.file import WritableFile


@dataclass(eq=False, slots=True)
class Handle:
    """One open file description.

    Args:
        node: the file.
        file: where its writes go; None when it was opened for reading.
        append: whether it was opened with O_APPEND.
        pid: the process that opened it.
        opened: when, on the mount's clock.
    """

    node: File
    file: WritableFile | None
    append: bool
    pid: int
    opened: float

    async def write(self, offset: int, data: bytes) -> int:
        """Write `data` at `offset` bytes, or at the end with O_APPEND; returns its length."""
        assert self.file is not None, "the kernel checks how a file was opened"
        return await self.file.write(offset, data, append=self.append)
