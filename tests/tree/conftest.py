# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A tree on a store in memory, in which things happen at exactly the wrong moment."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import pytest
import trio

from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import Attributes, ListPage, ObjectInfo
from kontenumfs.store.beliefs import UNKNOWN
from kontenumfs.tree.inodes import InodeTable
from kontenumfs.tree.tree import Tree
from tests.doubles.fake import FakeStore

TTL = 60.0
EPOCH = 1_700_000_000
"""The time of day, in seconds, when the virtual clock is at 0."""
HEAD, LIST = "HeadObject", "ListObjectsV2"

Script = Callable[[], Awaitable[None]]


class StagedStore(FakeStore):
    """A FakeStore that plays a script between a request's effect and its answer.

    `latency` is how long each request takes, in seconds of the virtual clock; `busiest` is how
    many HEADs there ever were side by side.
    """

    def __init__(self) -> None:
        super().__init__(now=lambda: EPOCH + trio.current_time())
        self.latency = 0.0
        self.busiest = 0
        self._heads = 0
        self._scripts: list[tuple[str, Script]] = []

    def meanwhile(self, operation: str, script: Script) -> None:
        """Play `script` when the next `operation` has its answer, and before that is heard."""
        self._scripts.append((operation, script))

    def asked(self) -> list[str]:
        """The operations since this was called last, in order of names."""
        operations = sorted(call.operation for call in self.calls)
        self.calls.clear()
        return operations

    async def fill(self, *keys: str) -> None:
        """Somebody else stores objects; it is not counted."""
        for key in keys:
            await self.put(key, [key.encode()], Attributes())
        self.calls.clear()

    async def lose(self, *keys: str) -> None:
        """Somebody else deletes objects; it is not counted."""
        await self.delete_many(dict.fromkeys(keys, UNKNOWN))
        self.calls.clear()

    async def head(self, key: str) -> ObjectInfo:
        self._heads += 1
        self.busiest = max(self.busiest, self._heads)
        try:
            return await super().head(key)
        finally:
            self._heads -= 1
            await self._play(HEAD)

    async def list_page(
        self,
        prefix: str = "",
        *,
        delimiter: str = "",
        max_keys: int = 1000,
        token: str | None = None,
        start_after: str = "",
    ) -> ListPage:
        page = await super().list_page(
            prefix,
            delimiter=delimiter,
            max_keys=max_keys,
            token=token,
            start_after=start_after,
        )
        await self._play(LIST)
        return page

    async def _enter(self, operation: str, key: str, sent: int = 0) -> None:
        await super()._enter(operation, key, sent)
        await trio.sleep(self.latency)

    async def _play(self, operation: str) -> None:
        for entry in self._scripts:
            if entry[0] == operation:
                self._scripts.remove(entry)
                await entry[1]()
                return


@dataclass
class Written:
    """A file that is open for writing, as the tree sees it."""

    size: int = 0
    metadata: FileMetadata = field(default_factory=FileMetadata)


def info(key: str, *, size: int = 1, etag: str = "own", when: float = EPOCH) -> ObjectInfo:
    """An object as its writer knows it."""
    return ObjectInfo(key, size, etag, when, Attributes())


@dataclass
class AttentiveKernel:
    """Notes what it is told, and lets go of it when the test says so."""

    dropped: list[tuple[int, str]] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)

    def attributes_changed(self, inode: int) -> None:
        """See Kernel."""
        self.changed.append(inode)

    def entry_changed(self, parent: int, name: str) -> None:
        """See Kernel."""
        self.dropped.append((parent, name))

    async def entries_changed(self, entries: Iterable[tuple[int, str]]) -> None:
        """See Kernel."""
        self.dropped += entries

    async def end(self) -> None:
        """See Kernel."""


@pytest.fixture
def store() -> StagedStore:
    """An empty bucket."""
    return StagedStore()


@pytest.fixture
def kernel() -> AttentiveKernel:
    """The kernel that `tree` tells of changes."""
    return AttentiveKernel()


@pytest.fixture
def tree(store: StagedStore, kernel: AttentiveKernel) -> Tree:
    """A mount of the whole bucket, on the clock of the test's own trio.run."""
    return Tree(store, ttl=TTL, kernel=kernel)


@pytest.fixture
def inodes(tree: Tree) -> InodeTable:
    """The numbers by which the kernel knows what is in `tree`."""
    return numbered(tree)


def numbered(tree: Tree) -> InodeTable:
    """An inode table for a tree, as a mount has one."""
    return InodeTable(tree.root, forgotten=tree.forgotten)
