# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Open files: which handle writes to which object, and when an empty one is published."""

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio
from cachetools import LRUCache

from kontenumfs.protocol.errors import FileMissing, KontenumError, ReadDenied, StaleInode
from kontenumfs.protocol.incidents import Incident, report
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.tree.node import Directory, File
from kontenumfs.writing.callers import died_of_signal, is_alive, name_of, process_of
from kontenumfs.writing.deferred import DeferredMetadata
from kontenumfs.writing.environment import Environment
from kontenumfs.writing.file import WritableFile
from kontenumfs.writing.handle import Handle
from kontenumfs.writing.metadata import OpenMetadata
from kontenumfs.writing.namespace_locks import NamespaceLocks
from kontenumfs.writing.policy import is_temporary
from kontenumfs.writing.ranges import Ranges
from kontenumfs.writing.state import State
from kontenumfs.writing.status import FileStatus
from kontenumfs.writing.table import FileTable

DRAINED_AT_ONCE = 1024
"""Files that are stored side by side at the end: those that hang leave the others their time."""
FOREVER = float("inf")
RECENT = 1.0
"""Seconds for which what is known of an object is good enough to begin to replace it."""

log = logging.getLogger(__name__)


class OpenFiles:
    """The files of a mount that are open, and the one writer that each of them has.

    Args:
        environment: what every writer needs.
        is_temporary: whether a new file of this name, created with O_EXCL by the program of that
            name (else: empty), waits for a rename.
        name_of: what a process is called.
        rename_seconds: seconds after which a temporary file is stored under the name that it has.
    """

    def __init__(
        self,
        environment: Environment,
        deferred: DeferredMetadata,
        locks: NamespaceLocks,
        *,
        is_temporary: Callable[[str, str], bool] = is_temporary,
        name_of: Callable[[int], str] = name_of,
        rename_seconds: float = 2.0,
    ) -> None:
        self._env = environment
        self._tree = environment.tree
        self._deferred = deferred
        self._locks = locks
        self._is_temporary = is_temporary
        self._name_of = name_of
        self._rename_seconds = rename_seconds
        self.table = table = FileTable()
        self.ranges = Ranges(environment.tree, table)
        self.status = FileStatus(environment, table, deferred)
        self._closed: dict[File, float] = {}
        """Files that wait for a rename and that nobody has open, and until when."""
        self._failed_readers: LRUCache[int, float] = LRUCache(1024)
        self._unreported: LRUCache[File, str] = LRUCache(1024)
        """Files that waited for a rename, were closed with success, and could not be stored."""

    async def create(
        self,
        parent: Directory,
        name: str,
        metadata: FileMetadata,
        *,
        append: bool = False,
        exclusive: bool = False,
        sync: bool = False,
        pid: int = 0,
    ) -> Handle:
        """Open a new name; nothing is sent until something is written or it is closed.

        The name may be another host's by then: with O_APPEND that is appended to, else the writer
        hears of it (FileAlreadyExists with O_EXCL, WriterConflict), and it stays as it is.
        """
        async with self._locks.hold(within=(parent,)):
            parent.child_key(name)
            temporary = self._is_temporary(name, self._name_of(pid) if exclusive else "")
            node = self._tree.add_file(parent, name)
            file = self._begin(
                node, keep=False, metadata=metadata, temporary=temporary, exclusive=exclusive
            )
            return self._handle(node, file, append, pid, sync=sync)

    async def open(self, node: File, flags: int, pid: int) -> Handle:
        """Open an existing file; with O_TRUNC its new content starts empty."""
        if flags & os.O_ACCMODE == os.O_RDONLY:
            return self._handle(node, None, append=False, pid=pid)
        self._env.require_unparked(node.key)
        async with self._locks.hold(node):
            return await self._open(node, flags, pid)

    async def _open(self, node: File, flags: int, pid: int) -> Handle:
        truncate, append = bool(flags & os.O_TRUNC), bool(flags & os.O_APPEND)
        sync = bool(flags & os.O_DSYNC)  # O_SYNC has this bit, and one more
        if self.table.writer(node) is None:
            await self._look_at(node, shared=append and not truncate)
        file = self.table.writer(node)
        if file is None:
            file = self._begin(node, keep=not truncate, metadata=FileMetadata())
            return self._handle(node, file, append, pid, sync=sync)
        # First, or a close under way would end it.
        handle = self._handle(node, file, append, pid, sync=sync)
        if truncate:
            try:
                await file.truncate(0, by=handle.unsaved)
            except BaseException:
                await self.release(handle)
                raise
        return handle

    async def _look_at(self, node: File, *, shared: bool) -> None:
        """Know what is about to be changed: its attributes, which stay, and what it is.

        An append finds the end by itself; what else is written relies on the object that is there
        now, which may be another one than a listing has shown some time ago.
        """
        node.require_linked()  # what has its name now is another file
        try:
            if not shared and node.has_object and self._tree.clock() - node.checked > RECENT:
                await self._tree.revalidate(node)
            await self._tree.fetch_attributes(node, exact=True)
        except FileMissing as error:
            # The kernel looks the name up anew then, and creates it where O_CREAT asks for that.
            raise StaleInode(f"{node.name!r} was deleted by another host") from error
        if shared and node.info and node.info.size:
            # Shells do not look at what close() says, so what cannot work is refused here.
            await self._env.appender.require_append(node.key)

    async def _reopen(self, handle: Handle) -> None:
        """Go on with the file that the name of `handle` stands for, for its own has failed."""
        node = handle.node
        async with self._locks.hold(node):
            node.require_linked()
            file = self.table.writer(node)
            if file is None:
                try:
                    await self._tree.revalidate(node)
                except FileMissing:
                    if not handle.append:
                        raise
                    self._tree.restore(node)  # as a log that others have deleted
                file = self.table.writer(node) or self._begin(
                    node, keep=True, metadata=FileMetadata()
                )
            handle.file = file
            file.handles += 1
            self._closed.pop(node, None)

    def _failed(self, file: WritableFile) -> None:
        """Have the name of a file that has failed stand for what the store has, from now on."""
        if self.table.remove(file):
            self._closed.pop(file.node, None)
            self._settle(file)

    def _begin(
        self,
        node: File,
        *,
        keep: bool,
        metadata: FileMetadata,
        temporary: bool = False,
        exclusive: bool = False,
    ) -> WritableFile:
        pending = node.pending
        file = WritableFile(
            self._env,
            node,
            current=self.table.remote(node),
            keep=keep,
            metadata=OpenMetadata(
                metadata if pending is None else metadata.over(pending), unsent=pending is not None
            ),
            temporary=temporary,
            exclusive=exclusive,
            on_failure=self._failed,
        )
        if pending is not None:
            self._deferred.drop(node)
        self.table.add(file)
        node.attach(file)
        return file

    def _handle(
        self, node: File, file: WritableFile | None, append: bool, pid: int, *, sync: bool = False
    ) -> Handle:
        if file is not None:
            file.handles += 1
            self._closed.pop(node, None)
        process = process_of(pid) or pid
        return Handle(node, file, append, process, self._env.clock(), self._reopen, sync)

    @asynccontextmanager
    async def unlinking(self, node: File) -> AsyncIterator[None]:
        """Take the name of `node` away in the block: files keep what they borrow of its object.

        Nothing of it is stored after the block; where that raises, all is as it was.
        """
        remote = self.table.remote(node)
        if remote is not None:
            await remote.recall()
        file = self.table.writer(node)
        if file is None:
            yield
            return
        async with file.orphaned():
            yield
        await self.close_unused(node)

    def read(self, handle: Handle) -> None:
        """Reading is disabled by design: raises ReadDenied, always.

        The process is remembered: what it has created and not written, because its source could
        not be read, is not published as an empty object.
        """
        self._failed_readers[handle.pid] = self._env.clock()
        raise ReadDenied(handle.node.key)

    async def truncate(self, node: File, size: int, handle: Handle | None = None) -> None:
        """Make a file `size` bytes long: by ftruncate of `handle`, or by name.

        The latter is done in the store when this returns, unless others are writing the file.
        """
        if handle is not None and handle.file is not None:
            await (await handle.writable()).truncate(size, by=handle.unsaved)
            return
        handle = await self.open(node, os.O_WRONLY | (0 if size else os.O_TRUNC), pid=0)
        file = handle.file
        assert file is not None
        try:
            await file.truncate(size, by=handle.unsaved)
            back = file.write_back
            if back.progress.is_only_of(handle.unsaved) and not back.waits_for_rename:
                await file.sync()  # nobody else will close it, and hear of it
        finally:
            await self.release(handle)

    def set_metadata(self, node: File | Directory, metadata: FileMetadata) -> None:
        """Change mode, owner or time: carried by the next request, or sent a moment later."""
        file = self.table.writer(node) if isinstance(node, File) else None
        if file is not None:
            file.write_back.metadata.set(metadata)
        else:
            self._deferred.set(node, metadata)

    async def fsync(self, opened: Handle | Directory) -> None:
        """Return when a file as it was written, or a directory's names, are in the store.

        With `fsync=spool` they are on the local disk then.
        """
        if isinstance(opened, Directory):
            await self._env.settle_names(opened.key)
            return
        handle = opened
        with handle.reporting():
            await self.sync(handle.node)
            if not handle.node.removed:
                await self._env.settle(handle.node.key)

    async def sync(self, node: File) -> None:
        """Return when all that was written to `node`, and set of it, is where close puts it."""
        file = self.table.writer(node)
        if file is not None:
            await file.sync()
            await file.sync_metadata()  # an append has not carried it, nor a later chmod
        elif node.pending is not None:
            await self._deferred.send(node)

    async def flush(self, handle: Handle, thread: int = 0) -> None:
        """Store what a program wrote that closes a descriptor, or raise why that failed.

        Programs flush before their first write, so a file to which nothing was written is left
        alone; a file with a temporary name that fits one chunk waits for its final name.

        A child that a program has started closes what it inherited, and a program that is killed
        has everything closed: neither says that the file is whole.

        Args:
            thread: who closes it; 0 where that is unknown.
        """
        handle.check()
        file, unsaved = handle.file, handle.unsaved
        if file is None or unsaved.error is not None or not unsaved.dirty:
            return
        if file.write_back.needs_close:
            if died_of_signal(thread) and await file.roll_back(unsaved):
                return
            if process_of(thread) not in (0, handle.pid) and is_alive(handle.pid):
                log.debug("not published by another program's close: %r", handle.node.key)
                return
        if file.write_back.waits_for_rename:
            return
        with handle.reporting():
            await file.sync(empty=False)

    async def release(self, handle: Handle) -> None:
        """Close `handle` for good; never raises, for nobody would hear it."""
        file, node = handle.file, handle.node
        if file is None:
            return
        file.handles -= 1
        if file.handles or self.table.writer(node) is not file:
            return
        could_not_read = self._failed_readers.get(handle.pid, -FOREVER) >= handle.opened
        if could_not_read and file.state is State.FRESH:
            log.info("not published, for its source could not be read: %r", node.key)
            await self._end(file)
        elif file.write_back.waits_for_rename:
            until = self._closed[node] = self._env.clock() + self._rename_seconds
            self._env.timers.call_at(until, partial(self._finish_if_due, node))
        else:
            await self._finish(file)

    def _finish_if_due(self, node: File) -> None:
        file = self.table.writer(node)
        if file is not None and self._closed.get(node, FOREVER) <= self._env.clock():
            del self._closed[node]
            waited = file.write_back.waits_for_rename
            self._env.nursery.start_soon(partial(self._finish, file, waited=waited))

    async def _finish(self, file: WritableFile, *, waited: bool = False) -> None:
        """Store what is left of a file that nobody has open any more; never raises.

        Args:
            waited: whether it has waited for a rename. Its close() has succeeded then: who ends the
                mount hears of a failure, if nobody else does.
        """
        try:
            await file.sync()
        except KontenumError as error:
            key = file.node.key
            report(Incident("upload", "close", error, key))
            if waited:
                self._unreported[file.node] = f"{key}: {error}"
        await self._end(file)

    async def _end(self, file: WritableFile) -> None:
        if file.handles or not self.table.remove(file):
            return  # opened again meanwhile
        self._closed.pop(file.node, None)
        self._settle(file)  # at once: what is set from here on is the node's own
        await file.close()

    async def close_unused(self, node: File) -> None:
        """Close the file of `node`, which has waited for its name, where nobody has it open."""
        file = self.table.writer(node)
        if file is not None and not file.handles:
            await self._end(file)

    def _settle(self, file: WritableFile) -> None:
        """Have the node be what the store has, now that nobody writes it."""
        node, metadata, error = file.node, file.write_back.metadata, file.error
        node.detach()
        self.status.ended(node, error)
        if node.removed:
            return
        if error is not None:
            assert node.parent is not None
            self._tree.invalidate(node.parent, node.name)  # the store must tell what there is
            self._tree.attributes_changed(node)
            if metadata.unsent and node.has_object:
                self._deferred.set(node, metadata.explicit)
        elif not node.has_object:
            self._tree.discard(node)
        elif metadata.unsent:
            self._deferred.set(node, metadata.explicit)

    async def drain(self, lost: list[str]) -> None:
        """Store everything that is open, side by side; adds to `lost` what cannot be, and why."""
        limit = trio.CapacityLimiter(DRAINED_AT_ONCE)

        async def store(file: WritableFile) -> None:
            async with limit:
                try:
                    await file.drain()
                except KontenumError as error:
                    report(Incident("loss", "not stored", error, file.node.key))
                    lost.append(f"{file.node.key}: {error}")

        async with trio.open_nursery() as nursery:
            for file in self.table.writers:
                nursery.start_soon(store, file)
        lost += await self._deferred.drain()
        lost += self._unreported.values()

    def unsent(self) -> list[str]:
        """Return the keys whose bytes are not all stored, with how many these are."""
        return [
            f"{file.node.key}: {pending} bytes were not sent"
            for file in self.table.writers
            if (pending := file.write_back.pending)
        ]
