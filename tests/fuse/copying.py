# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A file system in memory that copies but never reads: ``copying.py MOUNTPOINT HOW``.

It writes a line of JSON to stdout for each copy and each read, and ends on SIGTERM. What a copy
does depends on the name that is copied to, see `Memory.copy`; HOW is what answers the kernel:
"install" as kontenumfs does; "outlive" the same, and the handlers outlive the session; "closed" the
same with a nursery that takes no more tasks; "nobody"; or a method of `Misuse`.
"""

import errno
import hashlib
import json
import os
import signal
import stat
import sys
from typing import Any

import kontenumfs.fuse  # noqa: F401  # before pyfuse3, as everywhere

# isort: split
import pyfuse3
import trio

from kontenumfs.fuse import copy_range

if copy_range.MISSING is None:
    from kontenumfs.fuse import _copy_range

TOGETHER = 4
"""Copies to ``together*`` wait until so many of them are under way."""
AT_ONCE = 8
"""The limit; copies to ``yield*`` wait until it was reached once."""
HUGE = 2**33
"""The st_size that a file ``huge`` pretends to have."""
PATIENCE = 100.0
"""Seconds that a copy to ``hang*`` takes: a failing test is not to hang with it."""


def say(**words: object) -> None:
    """Tell the test."""
    print(json.dumps(words), flush=True)


class Memory(pyfuse3.Operations):
    """One flat directory; a file's handle is its inode."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[bytes, int] = {}
        self.data: dict[int, bytearray] = {}
        self._together = 0
        self._all_here = trio.Event()
        self._full = trio.Event()
        self._under_way = 0

    async def copy(
        self, fh_in: int, off_in: int, fh_out: int, off_out: int, length: int, flags: int
    ) -> int:
        """The handler, as `copy_range.install` wants it."""
        source, target = self.name(fh_in), self.name(fh_out)
        self._under_way += 1
        say(copy=[source, off_in, target, off_out, length, flags], under_way=self._under_way)
        try:
            return await self._copy(target, self.data[fh_in], off_in, fh_out, off_out, length)
        finally:
            self._under_way -= 1

    async def _copy(
        self, target: str, source: bytearray, off_in: int, fh_out: int, off_out: int, length: int
    ) -> int:
        if target.startswith("errno"):
            raise pyfuse3.FUSEError(int(target.removeprefix("errno")))
        if target == "raise":
            raise RuntimeError("as the test wants it")
        if target == "none":
            return None  # type: ignore[return-value]
        if target == "more":
            return length + 1
        if target.startswith("hang"):
            await trio.sleep(PATIENCE)
        if target == "nothing":
            return length
        if target == "short":
            length = min(length, 3)
        if target.startswith("together"):
            self._together += 1
            if self._together == TOGETHER:
                self._all_here.set()
            with trio.fail_after(PATIENCE):
                await self._all_here.wait()
        if target.startswith("yield"):
            if self._under_way == AT_ONCE:
                self._full.set()
            with trio.fail_after(PATIENCE):
                await self._full.wait()
            await trio.sleep(0.01)
        out = self.data[fh_out]
        out.extend(bytes(max(0, off_out - len(out))))
        out[off_out : off_out + length] = source[off_in : off_in + length]
        return length

    def name(self, inode: int) -> str:
        """The name of a file."""
        return next(os.fsdecode(name) for name, number in self.names.items() if number == inode)

    def _entry(self, inode: int) -> pyfuse3.EntryAttributes:
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = inode
        directory = inode == pyfuse3.ROOT_INODE
        entry.st_mode = stat.S_IFDIR | 0o755 if directory else stat.S_IFREG | 0o644
        entry.st_nlink = 1
        entry.st_size = 0 if directory else len(self.data[inode])
        if self.names.get(b"huge") == inode:
            entry.st_size = HUGE
        entry.st_blksize = 1024 * 1024
        entry.st_blocks = -(-entry.st_size // 512)
        entry.attr_timeout = entry.entry_timeout = 0
        return entry

    async def getattr(self, inode: int, ctx: Any) -> pyfuse3.EntryAttributes:
        return self._entry(inode)

    async def lookup(self, parent_inode: int, name: bytes, ctx: Any) -> pyfuse3.EntryAttributes:
        if name not in self.names:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return self._entry(self.names[name])

    async def setattr(
        self,
        inode: int,
        attr: pyfuse3.EntryAttributes,
        fields: pyfuse3.SetattrFields,
        fh: int | None,
        ctx: Any,
    ) -> pyfuse3.EntryAttributes:
        if fields.update_size:
            del self.data[inode][attr.st_size :]
        return self._entry(inode)

    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: Any
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        inode = self.names[name] = len(self.names) + 2
        self.data[inode] = bytearray()
        return pyfuse3.FileInfo(fh=inode, direct_io=True), self._entry(inode)

    async def open(self, inode: int, flags: int, ctx: Any) -> pyfuse3.FileInfo:
        if flags & os.O_TRUNC:
            self.data[inode].clear()
        return pyfuse3.FileInfo(fh=inode, direct_io=True)

    async def write(self, fh: int, off: int, buf: bytes) -> int:
        self.data[fh][off : off + len(buf)] = buf
        return len(buf)

    async def read(self, fh: int, off: int, size: int) -> bytes:
        say(read=[self.name(fh), off, size])
        raise pyfuse3.FUSEError(errno.EACCES)

    async def flush(self, fh: int) -> None:
        pass

    async def release(self, fh: int) -> None:
        pass

    async def getxattr(self, inode: int, name: bytes, ctx: Any) -> bytes:
        if name == b"user.mark":
            say(mark=True)
            return b""
        if name == b"user.sha256":
            return hashlib.sha256(self.data[inode]).hexdigest().encode()
        raise pyfuse3.FUSEError(pyfuse3.ENOATTR)


class Misuse:
    """What the extension is to survive."""

    @staticmethod
    def drop(request: "_copy_range.Request", *words: int) -> None:
        """Forget a request."""

    @staticmethod
    def fail(request: "_copy_range.Request", *words: int) -> None:
        """Raise from the callback."""
        raise RuntimeError("as the test wants it")

    @staticmethod
    def twice(request: "_copy_range.Request", *words: int) -> None:
        """Answer twice, after two answers that are none."""
        refused = []
        for answer, number in (
            (_copy_range.reply_written, words[6] + 1),
            (_copy_range.reply_written, -1),
            (_copy_range.reply_error, 0),
            (_copy_range.reply_error, 512),
            (_copy_range.reply_written, words[6]),
            (_copy_range.reply_written, words[6]),
            (_copy_range.reply_error, errno.EIO),
        ):
            try:
                answer(request, number)
            except ValueError as error:
                refused.append(str(error))
        say(refused=refused)


async def attach(how: str, memory: Memory, nursery: trio.Nursery) -> None:
    """Have the kernel's requests answered as the test wants it."""
    if how in ("install", "outlive"):
        say(installed=copy_range.install(memory.copy, nursery, at_once=AT_ONCE))
    elif how == "closed":
        async with trio.open_nursery() as closed:
            pass
        say(installed=copy_range.install(memory.copy, closed))
    elif how == "nobody":
        say(installed=_copy_range.set_callback(None))
    else:
        say(installed=_copy_range.set_callback(getattr(Misuse, how)))


async def end_on_sigterm(*, task_status: trio.TaskStatus[None]) -> None:
    """End the session as the daemon does."""
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            pyfuse3.terminate()


async def main(mountpoint: str, how: str) -> None:
    """Serve one mount."""
    memory = Memory()
    async with trio.open_nursery() as nursery:
        await nursery.start(end_on_sigterm)
        pyfuse3.init(memory, mountpoint, {*pyfuse3.default_options, "fsname=copying"})
        try:
            async with trio.open_nursery() as copies:
                await attach(how, memory, nursery if how == "outlive" else copies)
                await pyfuse3.main()
                copies.cancel_scope.cancel()
        finally:
            pyfuse3.close(unmount=True)
        nursery.cancel_scope.cancel()
    say(ended=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2])
