# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""attributes=list: what a listing tells is enough, and HEAD is never sent for names or stat."""

import pytest
from trio.testing import MockClock

from kontenumfs.protocol import errors as e
from kontenumfs.protocol.metadata import FileMetadata, encode
from kontenumfs.store.api import Attributes
from kontenumfs.tree.attributes import Stat, stat_of
from kontenumfs.tree.node import Directory, File, Node
from kontenumfs.tree.tree import Tree
from tests.tree.conftest import HEAD, LIST, TTL, StagedStore
from tests.tree.test_attributes import DEFAULTS, KNOWN, STORED_AT, put


@pytest.fixture
def tree(store: StagedStore) -> Tree:
    """A mount with attributes=list."""
    return Tree(store, ttl=TTL, trust_listings=True)


async def shown(tree: Tree, node: Node) -> Stat:
    """What stat() says of `node`."""
    await tree.fetch_attributes(node)
    return stat_of(node, DEFAULTS)


async def test_stat_of_everything_is_one_listing_a_directory(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """Size and LastModified are the listing's; mode and owner, which only HEAD tells, are not."""
    await put(store, "dir/", b"", KNOWN)
    await put(store, "dir/file", b"12345", KNOWN)
    for node in await tree.children(tree.root):
        assert isinstance(node, Directory)
        assert await shown(tree, node) == Stat(True, 0o755, 1, 2, 0, 3)
        (file,) = await tree.children(node)
        assert await shown(tree, file) == Stat(False, 0o644, 1, 2, 5, STORED_AT)
        assert await shown(tree, node) == Stat(True, 0o755, 1, 2, 0, STORED_AT)
    assert store.asked() == [LIST, LIST]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("name", ["file", "dir", "absent", "fil"])
async def test_no_lookup_sends_a_head(
    tree: Tree, store: StagedStore, large: bool, name: str
) -> None:
    """S10.5: Not of a directory that is too large to be listed for one name either."""
    tree.root.large = large
    await store.fill("file", "file-2", "dir/below", "absent-not")
    if name in ("absent", "fil"):
        with pytest.raises(e.FileMissing):
            await tree.lookup(tree.root, name)
    else:
        node = await tree.lookup(tree.root, name)
        assert isinstance(node, File if name == "file" else Directory)
        assert (await shown(tree, node)).size == (4 if name == "file" else 0)
    assert set(store.asked()) == {LIST}


async def test_an_overwrite_by_others_is_seen_after_the_ttl(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    await store.fill("file")
    node = await tree.lookup(tree.root, "file")
    await put(store, "file", b"longer than before", KNOWN)
    autojump_clock.jump(TTL)
    assert await tree.lookup(tree.root, "file") is node
    assert (await shown(tree, node)).size == 18
    assert set(store.asked()) == {LIST}


@pytest.mark.parametrize("large", [False, True])
async def test_what_this_mount_wrote_is_shown_as_it_wrote_it(
    tree: Tree, store: StagedStore, autojump_clock: MockClock, large: bool
) -> None:
    """Its mode and time, also after the ttl, for a listing confirms that it is still the same."""
    tree.root.large = large
    node = tree.add_file(tree.root, "own")
    written = Attributes(encode(FileMetadata(mode=0o600, mtime_ns=30), size=3))
    await store.put("own", [b"own"], written)
    found = await store.head("own")
    tree.stored(node, found)
    store.asked()
    for _ in range(3):
        assert await tree.lookup(tree.root, "own") is node
        assert await shown(tree, node) == Stat(False, 0o600, 1, 2, 3, 30)
        autojump_clock.jump(TTL)
    assert HEAD not in store.asked()


async def test_an_object_that_is_to_be_replaced_by_its_copy_is_asked_for(
    tree: Tree, store: StagedStore
) -> None:
    """Or chmod would lose the headers that others gave it."""
    await put(store, "file", b"12345", KNOWN)
    node = await tree.lookup(tree.root, "file")
    store.asked()
    await tree.fetch_attributes(node, exact=True)
    assert store.asked() == [HEAD]
    assert stat_of(node, DEFAULTS).mode == 0o600
