# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""pyfuse3's methods: translate, call, translate back. The filesystem is in tree/ and writing/."""

import errno
import itertools
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyfuse3
import trio

from kontenumfs.fuse.errors import translated
from kontenumfs.fuse.xattrs import ExtendedAttributes
from kontenumfs.protocol.errors import (
    FileMissing,
    InvalidArgument,
    InvalidName,
    IsDirectory,
    NotPermitted,
)
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.protocol.names import component_from_bytes
from kontenumfs.tree.attributes import Defaults, stat_of
from kontenumfs.tree.listing import Listing
from kontenumfs.tree.node import Directory, File, Node
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.files import Handle, OpenFiles
from kontenumfs.writing.namespace import Namespace

T = TypeVar("T")

BLOCK_SIZE = 512
"""What st_blocks counts in (POSIX)."""
PREFERRED_IO = 1024 * 1024
"""st_blksize: what programs should write at once; the kernel's largest FUSE write."""
DIRECTORY_TIMEOUT = 1.0
"""Seconds that the kernel may believe that a directory is there: it cannot be made to forget one,
for a process may be in it."""
DESCRIBE_AHEAD = 64
"""Entries of a directory that are told at once, where each has to be asked for."""
LONGEST_LINK = 4096
"""PATH_MAX: no larger object is a symbolic link."""


@dataclass(eq=False, slots=True)
class OpenDirectory:
    """One opendir(): its entries, from memory or as the pages of a listing come."""

    node: Directory
    entries: Sequence[Node] = ()
    listing: Listing | None = None

    async def rewind(self, tree: Tree) -> None:
        """Begin anew."""
        self.listing = await tree.open_listing(self.node)
        if self.listing is None:
            self.entries = await tree.children(self.node)
        else:
            self.entries = self.listing.entries

    async def has(self, number: int) -> bool:
        """Whether there is an entry of this number, once that is known."""
        if self.listing is not None:
            return await self.listing.read_beyond(number)
        return number < len(self.entries)


class Operations(ExtendedAttributes):
    """The kernel's view of a mount.

    Args:
        defaults: what objects without metadata look like.
        umask: bits that are cleared of the mode of what is created here.
        deny_open: refuse to open for reading, instead of refusing to read.
        capacity: bytes that statfs shows as the size of the file system.
        wall_ns: the time of day in nanoseconds since the epoch.
    """

    supports_dot_lookup = True
    enable_writeback_cache = False
    enable_acl = False

    def __init__(
        self,
        tree: Tree,
        files: OpenFiles,
        namespace: Namespace,
        *,
        defaults: Defaults,
        deny_open: bool,
        capacity: int,
        wall_ns: Callable[[], int],
    ) -> None:
        super().__init__(tree, files)
        self._namespace = namespace
        self._defaults = defaults
        self._deny_open = deny_open
        self._capacity = capacity
        self._wall_ns = wall_ns
        self._numbers = itertools.count(1)
        self._handles: dict[int, Handle] = {}
        self._directories: dict[int, OpenDirectory] = {}

    # Names and attributes

    async def lookup(self, parent_inode: int, name: bytes, ctx: Any) -> pyfuse3.EntryAttributes:
        async with translated("lookup"):
            parent = self._tree.inodes.directory(parent_inode)
            if name == b".":
                node: Node = parent
            elif name == b"..":
                node = parent.parent or parent
            else:
                try:
                    node = await self._tree.lookup(parent, component_from_bytes(name))
                except FileMissing:
                    return self._absent(parent, component_from_bytes(name))
            if self._may_be_link(node):
                await self._tree.describe(node)
            self._tree.inodes.remember(node)
            return self._entry(node)

    def _absent(self, parent: Directory, name: str) -> pyfuse3.EntryAttributes:
        """The answer by which the kernel remembers that there is no such name."""
        since = self._tree.absent_since(parent, name)
        self._tree.told_missing(parent, name, since)
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = 0
        entry.entry_timeout = self._tree.freshness(since)
        return entry

    def _may_be_link(self, node: Node) -> bool:
        """Whether only its attributes tell if it is a symbolic link, which stat must know first."""
        if not self._defaults.symlinks or not isinstance(node, File):
            return False
        info = node.info
        return info is not None and info.size <= LONGEST_LINK

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        for inode, count in inode_list:
            self._tree.forget(inode, count)

    async def getattr(self, inode: int, ctx: Any) -> pyfuse3.EntryAttributes:
        async with translated("getattr"):
            node = self._tree.inodes.node(inode)
            await self._revalidate(node)
            return self._entry(node)

    async def _revalidate(self, node: Node) -> None:
        """Ask again for what is older than the ttl; a file that has gone is ENOENT."""
        asks = isinstance(node, File) and node.local is None and not node.removed
        if asks and node.parent is not None and not self._tree.fresh(node.checked):
            found = await self._tree.lookup(node.parent, node.name)
            if found is not node:
                raise FileMissing(node.name)
        await self._tree.describe(node)

    async def setattr(
        self,
        inode: int,
        attr: pyfuse3.EntryAttributes,
        fields: pyfuse3.SetattrFields,
        fh: int | None,
        ctx: Any,
    ) -> pyfuse3.EntryAttributes:
        async with translated("setattr"):
            node = self._tree.inodes.node(inode)
            assert isinstance(node, File | Directory)
            if fields.update_size:
                if not isinstance(node, File):
                    raise IsDirectory(node.name)
                await self._files.truncate(node, attr.st_size)
            metadata = FileMetadata(
                mode=stat.S_IMODE(attr.st_mode) if fields.update_mode else None,
                uid=attr.st_uid if fields.update_uid else None,
                gid=attr.st_gid if fields.update_gid else None,
                mtime_ns=attr.st_mtime_ns if fields.update_mtime else None,
            )
            if metadata != FileMetadata():
                await self._tree.describe(node)
                self._files.set_metadata(node, metadata)
            return self._entry(node)

    def _entry(self, node: Node) -> pyfuse3.EntryAttributes:
        shown = stat_of(node, self._defaults)
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = self._tree.inodes.number(node)
        kind = stat.S_IFDIR if shown.is_directory else stat.S_IFREG
        if shown.target is not None:
            kind = stat.S_IFLNK
        entry.st_mode = kind | shown.mode
        entry.st_nlink = 0 if node.removed else 1
        entry.st_uid, entry.st_gid = shown.uid, shown.gid
        entry.st_size = shown.size
        entry.st_blksize = PREFERRED_IO
        # With no blocks, cp takes a file for a hole and reads it instead of asking for a copy.
        entry.st_blocks = -(-shown.size // BLOCK_SIZE)
        entry.st_atime_ns = entry.st_mtime_ns = entry.st_ctime_ns = shown.mtime_ns
        entry.generation = self._tree.inodes.generation(node)
        entry.entry_timeout = self._tree.freshness(node.checked)
        # What nobody has asked for yet is asked for when somebody wants it.
        if shown.is_directory:
            entry.entry_timeout = DIRECTORY_TIMEOUT
        entry.attr_timeout = entry.entry_timeout if self._tree.describer.knows(node) else 0.0
        if isinstance(node, File) and node.local is not None:
            entry.attr_timeout = 0.0
        return entry

    # Directories

    async def opendir(self, inode: int, ctx: Any) -> int:
        async with translated("opendir"):
            number = next(self._numbers)
            self._directories[number] = OpenDirectory(self._tree.inodes.directory(inode))
            return number

    async def readdir(self, fh: int, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        async with translated("readdir"):
            opened = self._directories[fh]
            if start_id == 0:
                await opened.rewind(self._tree)
            at = start_id
            while await opened.has(at):
                batch = opened.entries[at : at + DESCRIBE_AHEAD]
                await self._describe_links(batch)
                for node in batch:
                    at += 1
                    if node.removed:
                        continue
                    name = os.fsencode(node.name)
                    if not pyfuse3.readdir_reply(token, name, self._entry(node), at):
                        return
                    self._tree.inodes.remember(node)

    async def _describe_links(self, nodes: Sequence[Node]) -> None:
        """Ask for the attributes of what may be a link, side by side; who has gone is skipped."""

        async def describe(node: Node) -> None:
            try:
                await self._tree.describe(node)
            except FileMissing:
                pass
            except BaseException as error:
                failures.append(error)

        failures: list[BaseException] = []
        async with trio.open_nursery() as nursery:
            for node in filter(self._may_be_link, nodes):
                nursery.start_soon(describe, node)
        if failures:
            raise failures[0]

    async def releasedir(self, fh: int) -> None:
        del self._directories[fh]

    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        """Names are in the store as soon as they are seen."""

    async def mkdir(
        self, parent_inode: int, name: bytes, mode: int, ctx: Any
    ) -> pyfuse3.EntryAttributes:
        async with translated("mkdir"):
            node = await self._namespace.make_directory(
                self._tree.inodes.directory(parent_inode),
                component_from_bytes(name),
                self._created(mode, ctx),
            )
            self._tree.inodes.remember(node)
            return self._entry(node)

    def _created(self, mode: int, ctx: Any) -> FileMetadata:
        return FileMetadata(
            mode=stat.S_IMODE(mode) & ~ctx.umask,
            uid=ctx.uid,
            gid=ctx.gid,
            mtime_ns=self._wall_ns(),
        )

    async def rmdir(self, parent_inode: int, name: bytes, ctx: Any) -> None:
        async with translated("rmdir"):
            parent = self._tree.inodes.directory(parent_inode)
            await self._namespace.remove_directory(parent, component_from_bytes(name))

    async def unlink(self, parent_inode: int, name: bytes, ctx: Any) -> None:
        async with translated("unlink"):
            parent = self._tree.inodes.directory(parent_inode)
            await self._namespace.unlink(parent, component_from_bytes(name))

    async def rename(
        self,
        parent_inode_old: int,
        name_old: bytes,
        parent_inode_new: int,
        name_new: bytes,
        flags: int,
        ctx: Any,
    ) -> None:
        async with translated("rename"):
            if flags & ~pyfuse3.RENAME_NOREPLACE:
                raise InvalidArgument("names cannot be exchanged in one step")
            await self._namespace.rename(
                self._tree.inodes.directory(parent_inode_old),
                component_from_bytes(name_old),
                self._tree.inodes.directory(parent_inode_new),
                component_from_bytes(name_new),
                overwrite=not flags & pyfuse3.RENAME_NOREPLACE,
            )

    # Files

    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: Any
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        async with translated("create"):
            parent = self._tree.inodes.directory(parent_inode)
            handle = self._files.create(
                parent,
                component_from_bytes(name),
                self._created(mode, ctx),
                append=bool(flags & os.O_APPEND),
                exclusive=bool(flags & os.O_EXCL),
                pid=ctx.pid,
            )
            self._tree.inodes.remember(handle.node)
            return self._opened(handle), self._entry(handle.node)

    async def mknod(
        self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: Any
    ) -> pyfuse3.EntryAttributes:
        async with translated("mknod"):
            if not stat.S_ISREG(mode):
                raise NotPermitted("an object store has no devices, pipes or sockets")
            parent = self._tree.inodes.directory(parent_inode)
            handle = self._files.create(
                parent,
                component_from_bytes(name),
                self._created(mode, ctx),
                pid=ctx.pid,
            )
            await self._files.fsync(handle.node)
            await self._files.release(handle)
            self._tree.inodes.remember(handle.node)
            return self._entry(handle.node)

    async def open(self, inode: int, flags: int, ctx: Any) -> pyfuse3.FileInfo:
        async with translated("open"):
            node = self._tree.inodes.node(inode)
            if not isinstance(node, File):
                raise IsDirectory(node.name)
            if self._deny_open and flags & os.O_ACCMODE == os.O_RDONLY:
                raise pyfuse3.FUSEError(errno.EACCES)
            return self._opened(await self._files.open(node, flags, ctx.pid))

    def _opened(self, handle: Handle) -> pyfuse3.FileInfo:
        number = next(self._numbers)
        self._handles[number] = handle
        # No page cache: it would answer reads that must be refused, and split large writes.
        return pyfuse3.FileInfo(fh=number, direct_io=True)

    async def read(self, fh: int, off: int, size: int) -> bytes:
        async with translated("read"):
            self._files.read(self._handles[fh])
        raise AssertionError("reading is always refused")

    async def write(self, fh: int, off: int, buf: bytes) -> int:
        async with translated("write"):
            return await self._handles[fh].write(off, buf)

    async def copy_range(
        self, fh_in: int, off_in: int, fh_out: int, off_out: int, length: int, flags: int
    ) -> int:
        """copy_file_range, which pyfuse3 does not know: see fuse.copy_range."""
        async with translated("copy_file_range"):
            if flags:
                raise InvalidArgument("copy_file_range has no flags")
            source, target = self._handles[fh_in], self._handles[fh_out]
            return await self._files.copy_range(source, off_in, target, off_out, length)

    async def flush(self, fh: int) -> None:
        async with translated("flush"):
            await self._files.flush(self._handles[fh])

    async def fsync(self, fh: int, datasync: bool) -> None:
        async with translated("fsync"):
            await self._files.fsync(self._handles[fh].node)

    async def release(self, fh: int) -> None:
        await self._files.release(self._handles.pop(fh))

    async def symlink(
        self, parent_inode: int, name: bytes, target: bytes, ctx: Any
    ) -> pyfuse3.EntryAttributes:
        async with translated("symlink"):
            if not self._defaults.symlinks:
                raise NotPermitted("symbolic links are off: mount with symlinks=metadata")
            try:
                path = target.decode()
            except UnicodeDecodeError:
                raise InvalidName(f"{target!r} is not UTF-8") from None
            node = await self._namespace.make_symlink(
                self._tree.inodes.directory(parent_inode),
                component_from_bytes(name),
                path,
                self._created(0o777, ctx),
            )
            self._tree.inodes.remember(node)
            return self._entry(node)

    async def readlink(self, inode: int, ctx: Any) -> bytes:
        async with translated("readlink"):
            node = self._tree.inodes.node(inode)
            await self._tree.describe(node, exact=True)
            target = stat_of(node, self._defaults).target
            if target is None:
                raise InvalidArgument(f"{node.name} is no symbolic link")
            return target.encode()

    # The rest

    async def statfs(self, ctx: Any) -> pyfuse3.StatvfsData:
        data = pyfuse3.StatvfsData()
        data.f_bsize = data.f_frsize = PREFERRED_IO
        data.f_blocks = data.f_bfree = data.f_bavail = self._capacity // PREFERRED_IO
        data.f_files = data.f_ffree = data.f_favail = 2**32 - 1
        data.f_namemax = 255
        return data

    async def access(self, inode: int, mode: int, ctx: Any) -> bool:
        """default_permissions has the kernel judge modes; what is left may be tried."""
        return True

    async def link(self, inode: int, new_parent_inode: int, new_name: bytes, ctx: Any) -> Any:
        raise pyfuse3.FUSEError(errno.EPERM)
