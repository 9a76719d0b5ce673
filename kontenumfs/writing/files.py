# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Open files: which handle writes to which object, and when an empty one is published."""

import logging
import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager

import trio
from cachetools import LRUCache

from kontenumfs.protocol.errors import (
    FileMissing,
    KontenumError,
    ReadDenied,
    StaleInode,
)
from kontenumfs.protocol.incidents import Incident, report
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import ObjectInfo
from kontenumfs.store.beliefs import UNKNOWN, believed
from kontenumfs.tree.node import Directory, File
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.callers import died_of_signal, is_alive, name_of, process_of
from kontenumfs.writing.claims import Claims
from kontenumfs.writing.content import Environment
from kontenumfs.writing.deferred import DeferredMetadata
from kontenumfs.writing.extents import Range, RemoteObject, Zeros, whole
from kontenumfs.writing.file import WritableFile
from kontenumfs.writing.handle import Handle
from kontenumfs.writing.identity import Composer, NodeIdentity
from kontenumfs.writing.policy import is_temporary
from kontenumfs.writing.remotes import Remotes
from kontenumfs.writing.state import Unsaved
from kontenumfs.writing.timers import Timers

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
        late_delay: seconds after which a temporary file is stored under the name that it has.
    """

    def __init__(
        self,
        environment: Environment,
        tree: Tree,
        deferred: DeferredMetadata,
        composer: Composer,
        claims: Claims,
        *,
        is_temporary: Callable[[str, str], bool] = is_temporary,
        name_of: Callable[[int], str] = name_of,
        late_delay: float = 2.0,
    ) -> None:
        self._env = environment
        self._tree = tree
        self._deferred = deferred
        self._composer = composer
        self._claims = claims
        self._is_temporary = is_temporary
        self._name_of = name_of
        self._late_delay = late_delay
        self._files: dict[File, WritableFile] = {}
        self._nodes: dict[WritableFile, File] = {}
        self._borrowers: dict[WritableFile, None] = {}
        """The files that have been given ranges of other objects than their own."""
        self._late: dict[File, float] = {}
        """Closed files that wait for a rename, and until when."""
        self._timers: Timers[object] = Timers()
        self._remotes = Remotes()
        self._failed_readers: LRUCache[int, float] = LRUCache(1024)
        self._failures: LRUCache[str, str] = LRUCache(1024)
        self._unheard: LRUCache[File, str] = LRUCache(1024)
        """Files that waited for a rename, were closed with success, and could not be stored."""

    @property
    def pending(self) -> int:
        """Bytes that the store has not taken yet, over all files."""
        return sum(file.pending for file in self._files.values())

    @property
    def count(self) -> int:
        """Files that are open for writing."""
        return len(self._files)

    @property
    def writers(self) -> Collection[WritableFile]:
        """All of them."""
        return self._files.values()

    def writer(self, node: File) -> WritableFile | None:
        """Who writes `node` now, or None."""
        return self._files.get(node)

    def waiting(self, file: object, seconds: float) -> None:
        """A file has bytes that are to be sent in so many seconds, if nothing else sends them."""
        self._timers.set(self._env.clock() + seconds, file)

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
        async with self._claims.hold(within=(parent,)):
            parent.child_key(name)
            late = self._is_temporary(name, self._name_of(pid) if exclusive else "")
            node = self._tree.add_file(parent, name)
            file = self._begin(node, keep=False, metadata=metadata, late=late, exclusive=exclusive)
            return self._handle(node, file, append, pid, sync=sync)

    async def open(self, node: File, flags: int, pid: int) -> Handle:
        """Open an existing file; with O_TRUNC its new content starts empty."""
        if flags & os.O_ACCMODE == os.O_RDONLY:
            return self._handle(node, None, append=False, pid=pid)
        async with self._claims.hold(node):
            return await self._open(node, flags, pid)

    async def _open(self, node: File, flags: int, pid: int) -> Handle:
        truncate, append = bool(flags & os.O_TRUNC), bool(flags & os.O_APPEND)
        sync = bool(flags & os.O_DSYNC)  # O_SYNC has this bit, and one more
        if node not in self._files:
            await self._look_at(node, shared=append and not truncate)
        file = self._files.get(node)
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
            await self._env.appender.require_append(self._key(node))

    async def _reopen(self, handle: Handle) -> None:
        """Go on with the file that the name of `handle` stands for, for its own has failed."""
        node = handle.node
        async with self._claims.hold(node):
            node.require_linked()
            file = self._files.get(node)
            if file is None:
                try:
                    await self._tree.revalidate(node)
                except FileMissing:
                    if not handle.append:
                        raise
                    self._tree.restore(node)  # as a log that others have deleted
                file = self._files.get(node) or self._begin(
                    node, keep=True, metadata=FileMetadata()
                )
            handle.file = file
            file.handles += 1
            self._late.pop(node, None)

    def failed(self, file: object) -> None:
        """A file has failed: its name stands for what the store has, from now on."""
        known = file if isinstance(file, WritableFile) else None
        node = self._nodes.get(known) if known is not None else None
        if node is None or known is None or self._files.get(node) is not known:
            return
        self._forget(node)
        self._late.pop(node, None)
        self._failures[self._key(node)] = str(known.error)
        self._settle(node, known)

    def _forget(self, node: File) -> None:
        """Nobody writes `node` any more."""
        file = self._files.pop(node)
        self._nodes.pop(file, None)
        self._borrowers.pop(file, None)

    def _begin(
        self,
        node: File,
        *,
        keep: bool,
        metadata: FileMetadata,
        late: bool = False,
        exclusive: bool = False,
    ) -> WritableFile:
        file = WritableFile(
            self._env,
            NodeIdentity(self._tree, self._composer, node),
            current=self.remote(node),
            keep=keep,
            metadata=metadata.over(node.pending),
            late=late,
            exclusive=exclusive,
        )
        if node.pending is not None:
            file.unsent_metadata = True
            self._deferred.carried(node)
        self._files[node] = file
        self._nodes[file] = node
        node.attach(file)
        return file

    def _handle(
        self, node: File, file: WritableFile | None, append: bool, pid: int, *, sync: bool = False
    ) -> Handle:
        if file is not None:
            file.handles += 1
            self._late.pop(node, None)
        process = process_of(pid) or pid
        return Handle(node, file, append, process, self._env.clock(), self._reopen, sync)

    # Objects that other files refer to

    def remote(self, node: File) -> RemoteObject | None:
        """The stored object of `node`: one and the same for all who refer to it."""
        file = self._files.get(node)
        if file is not None:
            return file.content.current
        return None if node.info is None else self._remotes.of(node.info)

    def renamed(self, node: File, was: ObjectInfo, now: ObjectInfo) -> None:
        """The object of `node` was copied to another key: what `was` is `now`."""
        file = self._files.get(node)
        content = file.content if file else None
        as_it_is = content is not None and content.stored
        is_known = self._remotes.renamed(content.current if content else None, was, now)
        if content is None:
            return
        if not is_known and as_it_is:
            # Others had changed it, and nothing was written here: the file is what there is.
            content.current = self._remotes.of(now)
            content.rope = whole(content.current)
        if is_known or as_it_is or content.expected is UNKNOWN:
            content.expected = believed(now.etag, now.size)
        # Else it was emptied here, and what others have added since must not go with that: it is
        # still expected as it was, and the store will refuse to replace what it has become.

    @asynccontextmanager
    async def losing(self, node: File) -> AsyncIterator[None]:
        """`node` loses its name in the block: other files keep what they have of its object.

        Nothing of it is stored after the block; where that raises, all is as it was.
        """
        remote = self.remote(node)
        if remote is not None:
            await self.spare(remote)
        file = self._files.get(node)
        if file is None:
            yield
            return
        async with file.displaced():
            yield
        await self.let_go(node)

    async def spare(self, remote: RemoteObject) -> None:
        """An object will change: the files that have ranges of it keep their bytes."""
        for file in list(self._borrowers):
            if file.content.current is not remote and file.content.borrows(remote):
                await file.capture(remote)
                remote.lost |= file.content.borrows(remote)

    async def copy_range(
        self, source: Handle, offset: int, target: Handle, at: int, length: int
    ) -> int:
        """Put `length` bytes of one file at `at` in another, or less where it ends; returns bytes.

        The store copies them when the target is published; nothing is read or sent.
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
        self._borrowers[file] = None
        await file.splice(at, extent, by=by)

    async def content_of(self, node: File) -> Range | Zeros:
        """All bytes of a file, as another file can refer to them; they are stored for that."""
        writer = self._files.get(node)
        if writer is not None:
            await writer.sync(empty=False)
        else:
            await self._tree.fetch_attributes(node)
        remote = self.remote(node)
        if remote is None or (writer is not None and not writer.size):
            return Zeros(0)  # created or emptied, and not written to
        return Range(remote, 0, remote.size)

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
            if file.is_only_of(handle.unsaved) and not file.held_back:
                await file.sync()  # nobody else will close it, and hear of it
        finally:
            await self.release(handle)

    def named(self, node: File) -> Mapping[str, str]:
        """The headers that the name of `node` suggests."""
        return self._composer.named(self._key(node))

    def told(self, node: File) -> dict[str, str]:
        """What is true of a file: what the store has of it, and what it has not."""
        file, key = self._files.get(node), self._key(node)
        error = self._failures.get(key) or self._deferred.error(node)
        pending = file.pending if file is not None else 0
        state = "failed" if error else f"pending {pending} bytes" if pending else "clean"
        waits = node.pending is not None or (file is not None and not file.is_stored)
        told = {"state": "pending 0 bytes" if waits and state == "clean" else state, "key": key}
        if node.has_object and node.info is not None:
            told["etag"] = node.info.etag
        if error:
            told["last_error"] = str(error)
        if request_id := self._env.store.request_id(key):
            told["request_id"] = request_id
        return told

    def set_metadata(self, node: File | Directory, metadata: FileMetadata) -> None:
        """Change mode, owner or time: carried by the next request, or sent a moment later."""
        file = self._files.get(node) if isinstance(node, File) else None
        if file is not None:
            file.set_metadata(metadata)
        else:
            self._deferred.set(node, metadata)

    async def fsync(self, handle: Handle) -> None:
        """Return when all that was written to the file of `handle` is in the store."""
        with handle.telling():
            await self.sync(handle.node)

    async def sync(self, node: File) -> None:
        """Return when all that was written to `node`, and set of it, is in the store."""
        file = self._files.get(node)
        if file is not None:
            await file.sync()
            await self._deferred.sync(file)  # an append has not carried it, nor a later chmod
        elif node.pending is not None:
            await self._deferred.send(node)

    async def flush(self, handle: Handle, thread: int = 0) -> None:
        """A program closes a descriptor: store what it wrote, or raise why that failed.

        A child that a program has started closes what it inherited, and a program that is killed
        has everything closed: neither says that the file is whole.

        Args:
            thread: who closes it; 0 where that is unknown.
        """
        handle.check()
        file = handle.file
        if file is None or file.error is not None or not handle.unsaved.dirty:
            return
        if file.needs_close:
            if died_of_signal(thread) and await file.give_up(handle.unsaved):
                return
            if process_of(thread) not in (0, handle.pid) and is_alive(handle.pid):
                log.debug("not published by another program's close: %r", self._key(handle.node))
                return
        with handle.telling():
            await file.flush()

    async def release(self, handle: Handle) -> None:
        """The kernel closes `handle` for good; never raises, for nobody would hear it."""
        file, node = handle.file, handle.node
        if file is None:
            return
        file.handles -= 1
        if file.handles or self._files.get(node) is not file:
            return
        if file.untouched and self._failed_readers.get(handle.pid, -FOREVER) >= handle.opened:
            log.info("not published, for its source could not be read: %r", self._key(node))
            await self._end(node, file)
        elif file.held_back:
            self._late[node] = self._env.clock() + self._late_delay
            self._timers.set(self._late[node], node)
        else:
            await self.finish(node)

    async def finish(self, node: File) -> None:
        """Nobody has `node` open any more: store what is left; never raises."""
        file = self._files.get(node)
        if file is None:
            return
        waited = file.held_back
        try:
            await file.sync()
        except KontenumError as error:
            report(Incident("upload", "close", error, self._key(node)))
            if waited:
                # Its close() has succeeded: who ends the mount hears of it, if nobody else does.
                self._unheard[node] = f"{self._key(node)}: {error}"
        await self._end(node, file)

    async def _end(self, node: File, file: WritableFile) -> None:
        if file.handles or self._files.get(node) is not file:
            return  # opened again meanwhile
        self._forget(node)
        self._late.pop(node, None)
        if file.content.current is not None:
            self._remotes.add(file.content.current)
        if file.error is None:
            self._failures.pop(self._key(node), None)
        else:
            self._failures[self._key(node)] = str(file.error)
        self._settle(node, file)  # at once: what is set from here on is the node's own
        await file.close()

    async def let_go(self, node: File) -> None:
        """A file that waited for its name has been stored."""
        file = self._files.get(node)
        if file is not None and not file.handles:
            await self._end(node, file)

    async def run(self) -> None:
        """Send what slow writers have left waiting, until cancelled."""
        while True:
            now = self._env.clock()
            for item in self._timers.due(now):
                if isinstance(item, WritableFile):
                    self._send_what_waits(item, now)
                elif isinstance(item, File) and self._late.get(item, FOREVER) <= now:
                    self._env.nursery.start_soon(self.finish, item)
                    self._late.pop(item, None)
            await self._timers.wait()

    def _send_what_waits(self, file: WritableFile, now: float) -> None:
        if file.due <= now:
            self._env.nursery.start_soon(file.send_early_visibly)
        elif file.due < FOREVER:
            self._timers.set(file.due, file)
        elif file.held_back:
            # It may get its name and go on being written.
            self.waiting(file, file.content.policy.append_interval)

    def _settle(self, node: File, file: WritableFile) -> None:
        """`node` is what the store has, now that nobody writes it."""
        node.detach()
        if node.removed:
            return
        if file.error is not None:
            assert node.parent is not None
            self._tree.invalidate(node.parent, node.name)  # the store must tell what there is
            self._tree.attributes_changed(node)
            if file.unsent_metadata and node.has_object:
                self._deferred.set(node, file.explicit_metadata)
        elif node.info is None:
            self._tree.discard(node)
        elif file.unsent_metadata:
            self._deferred.set(node, file.explicit_metadata)

    def _key(self, node: File) -> str:
        return node.key

    async def drain(self, lost: list[str]) -> None:
        """Store everything that is open, side by side; adds to `lost` what cannot be, and why."""
        limit = trio.CapacityLimiter(DRAINED_AT_ONCE)

        async def store(node: File, file: WritableFile) -> None:
            async with limit:
                try:
                    await file.drain()
                except KontenumError as error:
                    report(Incident("loss", "not stored", error, self._key(node)))
                    lost.append(f"{self._key(node)}: {error}")

        async with trio.open_nursery() as nursery:
            for node, file in self._files.items():
                nursery.start_soon(store, node, file)
        lost += await self._deferred.drain()
        lost += self._unheard.values()

    def below(self, directory: Directory) -> list[tuple[File, WritableFile]]:
        """The open files in `directory`, at any depth."""
        found = []
        for node, file in self._files.items():
            at = node.parent
            while at is not None and at is not directory:
                at = at.parent
            if at is directory and not node.removed:
                found.append((node, file))
        return found

    def unsent(self) -> list[str]:
        """The keys whose bytes are not all stored."""
        return [
            f"{self._key(node)}: {file.pending} bytes were not sent"
            for node, file in self._files.items()
            if file.pending
        ]

    def reclaim(self) -> bool:
        """Memory is short: have the fullest file send what it holds; whether bytes are moving."""
        memory = self._env.memory
        if memory.is_moving:
            return True
        for file in memory.fullest():
            if isinstance(file, WritableFile) and file.can_send_early:
                self._env.nursery.start_soon(file.send_early)
                return True
        return False
