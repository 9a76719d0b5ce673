# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""pyfuse3's methods: translate, call, translate back. The filesystem is in tree/ and writing/."""

import errno
import os
import stat
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pyfuse3

from kontenumfs.fuse import copy_range
from kontenumfs.fuse.entries import PREFERRED_IO, Entries
from kontenumfs.fuse.errors import translated
from kontenumfs.fuse.privileges import Unprivileged, inherited, without_privileges
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
from kontenumfs.tree.node import Directory, File, Node
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.files import OpenFiles
from kontenumfs.writing.handle import Handle
from kontenumfs.writing.namespace import Namespace
from kontenumfs.writing.xattrs import require_room

T = TypeVar("T")


class Operations(Entries):
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
        super().__init__(tree, files, defaults)
        self._namespace = namespace
        self._deny_open = deny_open
        self._capacity = capacity
        self._wall_ns = wall_ns
        self._handles: dict[int, Handle] = {}
        self._unprivileged = Unprivileged()

    # Names and attributes

    async def lookup(self, parent_inode: int, name: bytes, ctx: Any) -> pyfuse3.EntryAttributes:
        async with translated("lookup"):
            parent = self.inodes.directory(parent_inode)
            if name == b".":
                node: Node = parent
            elif name == b"..":
                node = parent.parent or parent
            else:
                try:
                    node = await self._tree.lookup(parent, component_from_bytes(name))
                except FileMissing:
                    return self._absent()
            if self._may_be_link(node):
                await self._tree.fetch_attributes(node)
            self.inodes.remember(node)
            return self._entry(node)

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        for inode, count in inode_list:
            self.inodes.forget(inode, count)

    async def getattr(self, inode: int, ctx: Any) -> pyfuse3.EntryAttributes:
        async with translated("getattr"):
            node = self.inodes.node(inode)
            await self._revalidate(node)
            return self._entry(node)

    async def _revalidate(self, node: Node) -> None:
        """Ask again for what is older than the ttl; a file that has gone is ENOENT."""
        asks = isinstance(node, File) and node.local is None and not node.removed
        if asks and node.parent is not None and not self._tree.freshness(node.checked):
            found = await self._tree.lookup(node.parent, node.name)
            if found is not node:
                raise FileMissing(node.name)
        await self._tree.fetch_attributes(node)

    async def setattr(
        self,
        inode: int,
        attr: pyfuse3.EntryAttributes,
        fields: pyfuse3.SetattrFields,
        fh: int | None,
        ctx: Any,
    ) -> pyfuse3.EntryAttributes:
        async with translated("setattr"):
            node = self.inodes.node(inode)
            assert isinstance(node, File | Directory)
            if fields.update_size:
                if not isinstance(node, File):
                    raise IsDirectory(node.name)
                await self._files.truncate(node, attr.st_size, self._handles.get(fh or 0))
            metadata = FileMetadata(
                mode=stat.S_IMODE(attr.st_mode) if fields.update_mode else None,
                uid=attr.st_uid if fields.update_uid else None,
                gid=attr.st_gid if fields.update_gid else None,
                mtime_ns=attr.st_mtime_ns if fields.update_mtime else None,
            )
            if metadata.mode is not None:
                self._unprivileged.mode_set()
            if metadata != FileMetadata():
                await self._tree.fetch_attributes(node)
                if isinstance(node, File):
                    require_room(node, metadata)
                self._files.set_metadata(node, metadata)
            return self._entry(node)

    # Directories

    async def mkdir(
        self, parent_inode: int, name: bytes, mode: int, ctx: Any
    ) -> pyfuse3.EntryAttributes:
        async with translated("mkdir"):
            node = await self._namespace.make_directory(
                self.inodes.parent(parent_inode),
                component_from_bytes(name),
                self._created(parent_inode, mode, ctx, directory=True),
            )
            self.inodes.remember(node)
            return self._entry(node)

    def _created(
        self, parent_inode: int, mode: int, ctx: Any, *, directory: bool = False
    ) -> FileMetadata:
        made = FileMetadata(
            mode=stat.S_IMODE(mode) & ~ctx.umask,
            uid=ctx.uid,
            gid=ctx.gid,
            mtime_ns=self._wall_ns(),
        )
        # What is known of the parent is what the kernel has just judged its mode by.
        parent = stat_of(self.inodes.parent(parent_inode), self._defaults)
        return inherited(made, parent, directory=directory)

    async def rmdir(self, parent_inode: int, name: bytes, ctx: Any) -> None:
        async with translated("rmdir"):
            parent = self.inodes.directory(parent_inode)
            await self._namespace.remove_directory(parent, component_from_bytes(name))

    async def unlink(self, parent_inode: int, name: bytes, ctx: Any) -> None:
        async with translated("unlink"):
            parent = self.inodes.directory(parent_inode)
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
                self.inodes.directory(parent_inode_old),
                component_from_bytes(name_old),
                self.inodes.parent(parent_inode_new),
                component_from_bytes(name_new),
                overwrite=not flags & pyfuse3.RENAME_NOREPLACE,
            )

    # Files

    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: Any
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        async with translated("create"):
            parent = self.inodes.parent(parent_inode)
            handle = await self._files.create(
                parent,
                component_from_bytes(name),
                self._created(parent_inode, mode, ctx),
                append=bool(flags & os.O_APPEND),
                exclusive=bool(flags & os.O_EXCL),
                sync=bool(flags & os.O_DSYNC),
                pid=ctx.pid,
            )
            self.inodes.remember(handle.node)
            return self._opened(handle, flags, ctx), self._entry(handle.node)

    async def mknod(
        self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: Any
    ) -> pyfuse3.EntryAttributes:
        async with translated("mknod"):
            if not stat.S_ISREG(mode):
                raise NotPermitted("an object store has no devices, pipes or sockets")
            parent = self.inodes.parent(parent_inode)
            handle = await self._files.create(
                parent,
                component_from_bytes(name),
                self._created(parent_inode, mode, ctx),
                exclusive=True,
                pid=ctx.pid,
            )
            try:
                await self._files.sync(handle.node)
            finally:
                await self._files.release(handle)
            self.inodes.remember(handle.node)
            return self._entry(handle.node)

    async def open(self, inode: int, flags: int, ctx: Any) -> pyfuse3.FileInfo:
        async with translated("open"):
            node = self.inodes.node(inode)
            if not isinstance(node, File):
                raise IsDirectory(node.name)
            if self._deny_open and flags & os.O_ACCMODE == os.O_RDONLY:
                raise pyfuse3.FUSEError(errno.EACCES)
            opened = self._opened(await self._files.open(node, flags, ctx.pid), flags, ctx)
            if flags & os.O_TRUNC:
                self._drop_privileges(opened.fh)
            return opened

    def _opened(self, handle: Handle, flags: int, ctx: Any) -> pyfuse3.FileInfo:
        number = next(self._numbers)
        self._handles[number] = handle
        self._unprivileged.opened(number, ctx.uid, flags)
        # No page cache: it would answer reads that must be refused, and split large writes.
        return pyfuse3.FileInfo(fh=number, direct_io=True)

    def _drop_privileges(self, fh: int) -> None:
        """Take set-user-ID and set-group-ID from a file that another user than root writes to."""
        if self._unprivileged.writes(fh):
            node = self._handles[fh].node
            mode = stat_of(node, self._defaults).mode
            if without_privileges(mode) != mode:
                self._files.set_metadata(node, FileMetadata(mode=without_privileges(mode)))
                self._tree.attributes_changed(node)

    async def read(self, fh: int, off: int, size: int) -> bytes:
        async with translated("read"):
            self._files.read(self._handles[fh])
        raise AssertionError("reading is always refused")

    async def write(self, fh: int, off: int, buf: bytes) -> int:
        async with translated("write"):
            self._drop_privileges(fh)
            return await self._handles[fh].write(off, buf)

    async def copy_range(
        self, fh_in: int, off_in: int, fh_out: int, off_out: int, length: int, flags: int
    ) -> int:
        """copy_file_range, which pyfuse3 does not know: see fuse.copy_range."""
        async with translated("copy_file_range"):
            if flags:
                raise InvalidArgument("copy_file_range has no flags")
            self._drop_privileges(fh_out)
            source, target = self._handles[fh_in], self._handles[fh_out]
            return await self._files.ranges.copy_range(source, off_in, target, off_out, length)

    async def flush(self, fh: int) -> None:
        async with translated("flush"):
            thread = copy_range.caller()  # of this request: nothing has been awaited since
            await self._files.flush(self._handles[fh], thread)

    async def fsync(self, fh: int, datasync: bool) -> None:
        async with translated("fsync"):
            await self._files.fsync(self._handles[fh])

    async def release(self, fh: int) -> None:
        self._unprivileged.released(fh)
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
                self.inodes.parent(parent_inode),
                component_from_bytes(name),
                path,
                self._created(parent_inode, 0o777, ctx),
            )
            self.inodes.remember(node)
            return self._entry(node)

    async def readlink(self, inode: int, ctx: Any) -> bytes:
        async with translated("readlink"):
            node = self.inodes.node(inode)
            await self._tree.fetch_attributes(node, exact=True)
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
