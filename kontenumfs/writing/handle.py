# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Open file descriptions: who has a file open, and what of theirs the store has not."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kontenumfs.protocol.errors import KontenumError
from kontenumfs.tree.node import File
from kontenumfs.writing.file import WritableFile
from kontenumfs.writing.state import Unsaved

Reopen = Callable[["Handle"], Awaitable[None]]
"""Gives a handle whose file has failed the file that its name stands for now."""


@dataclass(eq=False, slots=True)
class Handle:
    """One open file description.

    An upload that fails is the failure of the handles that have bytes in it, not of the file: each
    of them is told, and who opens the name anew begins from what the store has. A handle with
    O_APPEND is told once and may then go on with new bytes, for its end is wherever the end is;
    what any other one wrote next would stand behind a gap, so it is told again.

    Args:
        node: the file.
        file: where its writes go; None when it was opened for reading.
        append: whether it was opened with O_APPEND.
        pid: the process that opened it; 0 where that is unknown.
        opened: when, on the mount's clock.
        reopen: see above.
        sync: whether each write is to be stored before it returns (O_SYNC, O_DSYNC).
    """

    node: File
    file: WritableFile | None
    append: bool
    pid: int
    opened: float
    reopen: Reopen
    sync: bool = False
    unsaved: Unsaved = field(default_factory=Unsaved)
    _reported: bool = False

    async def write(self, offset: int, data: bytes) -> int:
        """Write `data` at `offset` bytes, or at the end with O_APPEND; returns its length."""
        file = await self.writable()
        with self.reporting():
            count = await file.write(offset, data, append=self.append, by=self.unsaved)
            if self.sync:
                await file.sync()
                await file.write_back.settle()
        return count

    async def writable(self) -> WritableFile:
        """Return where the next change goes; raises what the last one has failed with."""
        self.check()
        assert self.file is not None, "the kernel checks how a file was opened"
        if self.file.error is not None:
            self.unsaved, self._reported = Unsaved(), False
            await self.reopen(self)
        return self.file

    def check(self) -> None:
        """Raise what the upload of this handle's bytes has failed with, as told above."""
        error = self.unsaved.error
        if error is not None and not (self._reported and self.append):
            self._reported = True
            raise error.with_traceback(None)

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Note that whoever has the handle is told what the block raises."""
        self.check()
        try:
            yield
        except KontenumError:
            self._reported = self.unsaved.error is not None
            raise

    @property
    def error(self) -> KontenumError | None:
        """What the upload of this handle's bytes has failed with."""
        return self.unsaved.error
