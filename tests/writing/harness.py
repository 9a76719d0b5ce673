# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The whole of writing/ and tree/ on a store in memory, without a mount."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import FileMissing
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import Store
from kontenumfs.tree.node import Directory, File
from kontenumfs.writing.filesystem import Filesystem, Settings
from kontenumfs.writing.handle import Handle
from kontenumfs.writing.policy import FilePolicy


class Workbench:
    """A filesystem with open files, as the kernel would use them."""

    def __init__(
        self,
        store: Store,
        nursery: trio.Nursery,
        *,
        chunk_size: int = 64,
        memory: int = 1 << 20,
        deadline: float = 60.0,
        limits: Limits | None = None,
        policy: FilePolicy | None = None,
        rules: Mapping[str, str] | None = None,
    ) -> None:
        self.store = store
        self.now = 1_000_000_000.0
        settings = Settings(
            chunk_size=chunk_size,
            memory=memory,
            deadline=deadline,
            limits=limits or Limits(),
            policy=lambda path: policy or FilePolicy(),
            headers=lambda path: rules or {},
            name_of=lambda pid: "rsync",
            wall_ns=self.wall_ns,
        )
        self.filesystem = filesystem = Filesystem(store, nursery, settings)
        self.tree = filesystem.tree
        self.files = filesystem.files
        self.memory = filesystem.memory
        self.copier = filesystem.copier
        self.deferred = filesystem.deferred
        self.namespace = filesystem.namespace
        self.capabilities = filesystem.capabilities
        for run in filesystem.tasks.values():
            nursery.start_soon(run)

    def wall_ns(self) -> int:
        """The time of day."""
        return int(self.now * 1e9)

    async def find(self, path: str) -> File:
        """The file at `path`; raises FileMissing."""
        node = self.tree.root
        *directories, name = path.split("/")
        for part in directories:
            found = await self.tree.lookup(node, part)
            assert isinstance(found, Directory)
            node = found
        found = await self.tree.lookup(node, name)
        assert isinstance(found, File)
        return found

    async def open(self, name: str, flags: int = os.O_WRONLY | os.O_CREAT) -> Handle:
        """open(2) of a name in the root."""
        try:
            node = await self.find(name)
        except FileMissing:
            return await self.files.create(
                self.tree.root,
                name,
                FileMetadata(mode=0o644),
                append=bool(flags & os.O_APPEND),
                exclusive=bool(flags & os.O_EXCL),
            )
        return await self.files.open(node, flags, 0)

    async def close(self, handle: Handle) -> None:
        """close(2), and the kernel's release after it."""
        try:
            await self.files.flush(handle)
        finally:
            await self.files.release(handle)


@asynccontextmanager
async def workbench(store: Store, **options: object) -> AsyncIterator[Workbench]:
    """A workbench whose background work ends with the block."""
    async with trio.open_nursery() as nursery:
        bench = Workbench(store, nursery, **options)  # type: ignore[arg-type]
        async with bench.filesystem:
            yield bench
        nursery.cancel_scope.cancel()
