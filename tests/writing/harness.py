# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The whole of writing/ and tree/ on a store in memory, without a mount."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from math import inf

import trio

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import FileMissing
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import Store
from kontenumfs.store.capabilities import ProvenCapabilities
from kontenumfs.store.conditional import ConditionalStore
from kontenumfs.tree.node import Directory, File
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.appending import Appender
from kontenumfs.writing.claims import Claims
from kontenumfs.writing.content import Environment
from kontenumfs.writing.copying import Copier
from kontenumfs.writing.deferred import DeferredMetadata
from kontenumfs.writing.execute import PlanRunner
from kontenumfs.writing.files import OpenFiles
from kontenumfs.writing.handle import Handle
from kontenumfs.writing.identity import Composer
from kontenumfs.writing.journal import Journal
from kontenumfs.writing.markers import Markers
from kontenumfs.writing.memory import MemoryBudget
from kontenumfs.writing.namespace import Namespace
from kontenumfs.writing.policy import FilePolicy


class Workbench:
    """A tree with open files, as the kernel would use them."""

    def __init__(
        self,
        store: Store,
        nursery: trio.Nursery,
        *,
        chunk_size: int = 64,
        memory: int = 1 << 20,
        patience: float = inf,
        limits: Limits | None = None,
        policy: FilePolicy | None = None,
        rules: Mapping[str, str] | None = None,
    ) -> None:
        self.capabilities = capabilities = ProvenCapabilities(store, "")
        self.store = store
        store = ConditionalStore(store, capabilities)
        self.tree = Tree(store)
        self.now = 1_000_000_000.0
        self.memory = MemoryBudget(memory, patience=patience)
        markers = Markers(store, "")
        limits = limits or Limits()
        journal = Journal()
        runner = PlanRunner(store, ".kontenumfs/", journal)
        composer, claims = Composer(rules=lambda path: rules or {}), Claims()
        self.copier = copier = Copier(
            runner, composer, capabilities.get, wall_ns=self.wall_ns, limits=limits
        )
        appender = Appender(
            store,
            journal,
            capabilities=capabilities.get,
            restart=copier.recount,
            new_key=runner.new_key,
        )
        environment = Environment(
            store=store,
            runner=runner,
            appender=appender,
            memory=self.memory,
            nursery=nursery,
            chunk_size=chunk_size,
            capabilities=capabilities.get,
            policy=lambda key: policy or FilePolicy(),
            wall_ns=self.wall_ns,
            spare=lambda remote: self.files.spare(remote),
            waiting=lambda file, seconds: self.files.waiting(file, seconds),
            failed=lambda file: self.files.failed(file),
            limits=limits,
        )
        self.deferred = DeferredMetadata(
            self.tree, markers, composer, claims, copier, delay=1.0, wall_ns=self.wall_ns
        )
        self.files = OpenFiles(
            environment, self.tree, self.deferred, composer, claims, name_of=lambda pid: "rsync"
        )
        self.memory.reclaim = self.files.reclaim
        self.namespace = Namespace(
            store,
            self.tree,
            self.files,
            self.deferred,
            markers,
            composer,
            claims,
            copier,
            wall_ns=self.wall_ns,
        )
        nursery.start_soon(self.files.run)
        nursery.start_soon(self.deferred.run)

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
        yield Workbench(store, nursery, **options)  # type: ignore[arg-type]
        nursery.cancel_scope.cancel()
