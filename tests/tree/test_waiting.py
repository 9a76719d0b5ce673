# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Many who want the same of a store that stalls wait as long as one of them."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol.errors import DeadlineExceeded
from kontenumfs.tree.node import Directory, File
from kontenumfs.tree.tree import Tree
from tests.tree.conftest import TTL, StagedStore

WAITERS = 12
DEADLINE = 3.0
Wanted = Callable[[Tree, Directory, File], Awaitable[object]]


class StalledStore(StagedStore):
    """Lets requests wait for their deadline, once it has stalled."""

    stalled = False

    async def _enter(self, operation: str, key: str, sent: int = 0) -> None:
        await super()._enter(operation, key, sent)
        if self.stalled:
            await trio.sleep(DEADLINE)
            raise DeadlineExceeded(f"{operation} {key!r}")


WANTED: dict[str, Wanted] = {
    "a name": lambda tree, directory, file: tree.lookup(directory, "name"),
    "a file's attributes": lambda tree, directory, file: tree.fetch_attributes(file),
    "a directory's attributes": lambda tree, directory, file: tree.fetch_attributes(directory),
    "a directory's entries": lambda tree, directory, file: tree.children(directory),
}


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("wanted", WANTED.values(), ids=WANTED)
async def test_twelve_who_want_the_same_wait_one_deadline(
    autojump_clock: MockClock, wanted: Wanted, large: bool
) -> None:
    """S9.9: Also where the directory is listed as part of a walk; the error is everybody's."""
    store = StalledStore()
    await store.fill("a/f", "b/f", "c/f", "dir/file")
    tree = Tree(store, ttl=TTL)
    for node in await tree.children(tree.root):
        assert isinstance(node, Directory)
        await tree.children(node)
    directory = await tree.lookup(tree.root, "dir")
    assert isinstance(directory, Directory)
    directory.large = large
    file = await tree.lookup(directory, "file")
    assert isinstance(file, File)
    autojump_clock.jump(TTL)
    store.stalled = True
    store.asked()
    began = trio.current_time()
    failed = 0

    async def want() -> None:
        nonlocal failed
        with pytest.raises(DeadlineExceeded):
            await wanted(tree, directory, file)
        failed += 1

    async with trio.open_nursery() as nursery:
        for _ in range(WAITERS):
            nursery.start_soon(want)
    assert failed == WAITERS
    assert trio.current_time() - began == DEADLINE
    assert len(store.asked()) <= 2  # a name is asked for as an object and as a prefix
