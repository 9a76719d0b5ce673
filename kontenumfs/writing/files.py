# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Open files: which handle writes to which object, and when an empty one is published."""

import logging
import os
from dataclasses import dataclass

from cachetools import LRUCache

from kontenumfs.protocol.errors import KontenumError, ReadDenied, Unsupported
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.tree.node import Directory, File
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.deferred import DeferredMetadata
from kontenumfs.writing.file import Environment, WritableFile
from kontenumfs.writing.identity import NodeIdentity

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Handle:
    """One open file description.

    Args:
        node: the file.
        file: where its writes go; None when it was opened for reading.
        append: whether it was opened with O_APPEND.
        pid: the process that opened it.
    """

    node: File
    file: WritableFile | None
    append: bool
    pid: int

    async def write(self, offset: int, data: bytes) -> int:
        """Write `data` at `offset` bytes, or at the end with O_APPEND; returns its length."""
        assert self.file is not None, "the kernel checks how a file was opened"
        return await self.file.write(offset, data, append=self.append)


class OpenFiles:
    """The files of a mount that are open, and the one writer that each of them has.

    Args:
        environment: what every writer needs.
    """

    def __init__(self, environment: Environment, tree: Tree, deferred: DeferredMetadata) -> None:
        self._env = environment
        self._tree = tree
        self._deferred = deferred
        self._files: dict[File, WritableFile] = {}
        self._failed_readers: LRUCache[int, bool] = LRUCache(1024)

    @property
    def pending(self) -> int:
        """Bytes that the store has not taken yet, over all files."""
        return sum(file.pending for file in self._files.values())

    def writer(self, node: File) -> WritableFile | None:
        """Who writes `node` now, or None."""
        return self._files.get(node)

    def create(
        self, parent: Directory, name: str, metadata: FileMetadata, *, append: bool, pid: int
    ) -> Handle:
        """Open a new name; nothing is sent until something is written or it is closed."""
        self._tree.child_key(parent, name)
        node = self._tree.add_file(parent, name)
        file = self._begin(node, keep=False, metadata=metadata)
        return self._handle(node, file, append, pid)

    async def open(self, node: File, flags: int, pid: int) -> Handle:
        """Open an existing file; with O_TRUNC its new content starts empty."""
        if flags & os.O_ACCMODE == os.O_RDONLY:
            return Handle(node, None, append=False, pid=pid)
        file = self._files.get(node)
        truncate = bool(flags & os.O_TRUNC)
        if file is None:
            # The new object keeps the old one's mode, owner and headers, as a file does.
            await self._tree.describe(node)
            file = self._files.get(node)
        append = bool(flags & os.O_APPEND)
        if file is None and append and not truncate and node.info and node.info.size:
            # Shells do not look at what close() says, so what cannot work is refused here.
            await self._require_append(node)
            file = self._files.get(node)
        if file is None:
            file = self._begin(node, keep=not truncate, metadata=FileMetadata())
        elif truncate:
            await file.truncate(0)
        return self._handle(node, file, append, pid)

    async def _require_append(self, node: File) -> None:
        if not await self._env.can_append():
            raise Unsupported(
                f"{self._key(node)!r}: this store does not append, and the object's own bytes "
                "cannot be read to be sent again"
            )

    def _begin(self, node: File, *, keep: bool, metadata: FileMetadata) -> WritableFile:
        file = WritableFile(
            self._env,
            NodeIdentity(self._tree, node),
            base=node.info if keep else None,
            replaces=node.info is not None,
            metadata=metadata.over(node.pending),
        )
        if node.pending is not None:
            file.unsent_metadata = True
            self._deferred.carried(node)
        self._files[node] = file
        node.local = file
        return file

    def _handle(self, node: File, file: WritableFile, append: bool, pid: int) -> Handle:
        file.handles += 1
        return Handle(node, file, append, pid)

    def read(self, handle: Handle) -> None:
        """Reading is disabled by design: raises ReadDenied, always.

        The process is remembered: what it has created and not written, because its source could
        not be read, is not published as an empty object.
        """
        self._failed_readers[handle.pid] = True
        raise ReadDenied(self._tree.key(handle.node))

    async def truncate(self, node: File, size: int) -> None:
        """Make a file `size` bytes long, open or not; done in the store when it was not open."""
        file = self._files.get(node)
        if file is not None:
            await file.truncate(size)
            return
        handle = await self.open(node, os.O_WRONLY | (0 if size else os.O_TRUNC), pid=0)
        assert handle.file is not None
        try:
            await handle.file.truncate(size)
            await handle.file.flush(empty=True)
        finally:
            await self.release(handle)

    def set_metadata(self, node: File | Directory, metadata: FileMetadata) -> None:
        """Change mode, owner or time: carried by the next request, or sent a moment later."""
        file = self._files.get(node) if isinstance(node, File) else None
        if file is not None:
            file.set_metadata(metadata)
        else:
            self._deferred.set(node, metadata)

    async def fsync(self, node: File) -> None:
        """Return when all that was written to `node` is in the store."""
        file = self._files.get(node)
        if file is not None:
            await file.flush(empty=True)
        elif node.pending is not None:
            await self._deferred.send(node)

    async def release(self, handle: Handle) -> None:
        """The kernel closes `handle` for good; never raises, for nobody would hear it."""
        file, node = handle.file, handle.node
        if file is None:
            return
        file.handles -= 1
        if file.handles:
            return
        try:
            if file.untouched and self._failed_readers.get(handle.pid):
                log.info("not published, for its source could not be read: %r", self._key(node))
            else:
                await file.flush(empty=True)
        except KontenumError as error:
            log.warning("close: key=%r: %s", self._key(node), error)
        if file.handles:
            return  # opened again meanwhile
        del self._files[node]
        await file.close()
        self._settle(node, file)

    def _settle(self, node: File, file: WritableFile) -> None:
        """`node` is what the store has, now that nobody writes it."""
        node.local = None
        if node.removed:
            return
        if node.info is None:
            self._tree.remove(node)
        elif file.error is not None:
            node.checked = float("-inf")
        elif file.unsent_metadata:
            self._deferred.set(node, file.explicit_metadata)

    def _key(self, node: File) -> str:
        return self._tree.key(node)

    async def drain(self) -> list[str]:
        """Store everything that is open; returns the keys that could not be stored."""
        lost = []
        for node, file in list(self._files.items()):
            try:
                await file.flush()
            except KontenumError as error:
                lost.append(f"{self._key(node)}: {error}")
        await self._deferred.drain()
        return lost

    def unsent(self) -> list[str]:
        """The keys whose bytes are not all stored."""
        return [
            f"{self._key(node)}: {file.pending} bytes were not sent"
            for node, file in self._files.items()
            if file.pending
        ]

    def reclaim(self) -> bool:
        """Memory is short: have the fullest file send what it holds; whether bytes are moving."""
        moving = False
        for file in sorted(self._files.values(), key=lambda file: -file.held):
            if file.sending:
                moving = True
            elif file.can_send_early and not moving:
                self._env.nursery.start_soon(file.send_early)
                moving = True
        return moving
