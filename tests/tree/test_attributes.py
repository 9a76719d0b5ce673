# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Attributes: asked for once, kept while listings confirm the object, and what stat shows."""

import pytest
from trio.testing import MockClock

from kontenumfs.protocol import errors as e
from kontenumfs.protocol.metadata import FileMetadata, encode
from kontenumfs.store.api import Attributes
from kontenumfs.tree.attributes import Defaults, Stat, stat_of
from kontenumfs.tree.node import Directory, File
from kontenumfs.tree.tree import Tree
from tests.tree.conftest import EPOCH, HEAD, LIST, TTL, StagedStore, Written

DEFAULTS = Defaults(uid=1, gid=2, file_mode=0o644, directory_mode=0o755, mtime_ns=3)
KNOWN = FileMetadata(mode=0o600, uid=10, gid=20, mtime_ns=30)
STORED_AT = EPOCH * 1_000_000_000


async def put(store: StagedStore, key: str, data: bytes, metadata: FileMetadata) -> None:
    """Store an object as another mount would; it is not counted."""
    await store.put(key, [data], Attributes(encode(metadata, size=len(data))))
    store.calls.clear()


async def only_file(tree: Tree) -> File:
    """The one file of the root, from a listing."""
    (node,) = await tree.children(tree.root)
    assert isinstance(node, File)
    return node


async def test_a_lookup_in_a_large_directory_has_told_all(tree: Tree, store: StagedStore) -> None:
    tree.root.large = True
    await put(store, "file", b"12345", KNOWN)
    node = await tree.lookup(tree.root, "file")
    store.asked()
    await tree.fetch_attributes(node)
    assert store.asked() == []
    assert stat_of(node, DEFAULTS) == Stat(False, 0o600, 10, 20, 5, 30)


async def test_after_a_listing_one_head_tells_the_rest_and_later_listings_confirm_it(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """ETag, size and LastModified as they were: no HEAD again, however long it takes."""
    await put(store, "file", b"12345", KNOWN)
    node = await only_file(tree)
    for _ in range(2):
        await tree.fetch_attributes(node)
    assert store.asked() == [HEAD, LIST]
    for _ in range(3):
        autojump_clock.jump(TTL)
        assert await only_file(tree) is node
        await tree.fetch_attributes(node)
    assert store.asked() == [LIST] * 3
    assert stat_of(node, DEFAULTS).mode == 0o600


@pytest.mark.parametrize("data", [b"other", b"longer than before"])
async def test_an_object_that_others_changed_is_described_anew(
    tree: Tree, store: StagedStore, autojump_clock: MockClock, data: bytes
) -> None:
    await put(store, "file", b"12345", KNOWN)
    node = await only_file(tree)
    await tree.fetch_attributes(node)
    await put(store, "file", data, FileMetadata(mode=0o640, mtime_ns=7))
    autojump_clock.jump(TTL)
    assert await only_file(tree) is node
    await tree.fetch_attributes(node)
    assert store.asked() == [HEAD, LIST]
    assert stat_of(node, DEFAULTS) == Stat(False, 0o640, 1, 2, len(data), 7)


async def test_metadata_that_others_changed_is_seen_by_its_last_modified(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """The bytes, and so the ETag, are the same."""
    await put(store, "file", b"12345", KNOWN)
    node = await only_file(tree)
    await tree.fetch_attributes(node)
    autojump_clock.jump(TTL)
    await put(store, "file", b"12345", FileMetadata(mode=0o640))
    await tree.children(tree.root)
    await tree.fetch_attributes(node)
    assert stat_of(node, DEFAULTS).mode == 0o640


async def test_what_has_gone_since_the_listing_is_missing(tree: Tree, store: StagedStore) -> None:
    """It is dropped, and not asked for again."""
    await store.fill("file")
    node = await only_file(tree)
    await store.lose("file")
    with pytest.raises(e.FileMissing):
        await tree.fetch_attributes(node)
    assert node.removed
    store.asked()
    await tree.fetch_attributes(node)
    with pytest.raises(e.FileMissing):
        await tree.lookup(tree.root, "file")
    assert store.asked() == []


async def test_a_directorys_marker_is_asked_for_once_a_ttl(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """Whether there is one or not."""
    await put(store, "with/", b"", KNOWN)
    await store.fill("without/file")
    for name, shown in (
        ("with", Stat(True, 0o600, 10, 20, 0, 30)),
        ("without", Stat(True, 0o755, 1, 2, 0, 3)),
    ):
        node = await tree.lookup(tree.root, name)
        store.asked()
        for _ in range(2):
            await tree.fetch_attributes(node)
        assert store.asked() == [HEAD]
        assert stat_of(node, DEFAULTS) == shown
    autojump_clock.jump(TTL)
    await tree.fetch_attributes(node)
    assert store.asked() == [HEAD]


async def test_a_marker_that_a_listing_shows_as_changed_is_described_anew(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """Within the ttl too: what is shown is the old mode or the new one, never a default."""
    await put(store, "dir/", b"", KNOWN)
    node = await tree.lookup(tree.root, "dir")
    assert isinstance(node, Directory)
    await tree.fetch_attributes(node)
    autojump_clock.jump(10)
    await put(store, "dir/", b"", FileMetadata(mode=0o711))
    await tree.children(node)
    store.asked()
    await tree.fetch_attributes(node)
    assert store.asked() == [HEAD]
    assert stat_of(node, DEFAULTS).mode == 0o711


async def test_the_root_of_a_bucket_has_no_marker_and_that_of_a_prefix_may(
    store: StagedStore,
) -> None:
    """S10.6."""
    whole, part = Tree(store), Tree(store, prefix="site/")
    await put(store, "site/", b"", KNOWN)
    await whole.fetch_attributes(whole.root)
    assert store.asked() == []
    await part.fetch_attributes(part.root)
    assert store.asked() == [HEAD]
    assert stat_of(part.root, DEFAULTS).mode == 0o600


async def test_an_object_without_metadata_shows_the_defaults_and_its_last_modified(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    await store.fill("file")
    node = await tree.lookup(tree.root, "file")
    assert stat_of(node, DEFAULTS) == Stat(False, 0o644, 1, 2, 4, STORED_AT)


async def test_a_time_that_was_written_for_other_bytes_is_not_shown(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """An append keeps the metadata: mode and owner stay, the time is the append's."""
    await put(store, "file", b"12345", KNOWN)
    autojump_clock.jump(5)
    await store.append("file", [b"67"])
    node = await tree.lookup(tree.root, "file")
    await tree.fetch_attributes(node)
    assert stat_of(node, DEFAULTS) == Stat(False, 0o600, 10, 20, 7, STORED_AT + 5_000_000_000)


async def test_what_is_not_sent_yet_is_shown_over_what_is_stored(
    tree: Tree, store: StagedStore
) -> None:
    await put(store, "file", b"12345", KNOWN)
    node = await tree.lookup(tree.root, "file")
    assert isinstance(node, File)
    await tree.fetch_attributes(node)
    node.set_pending(FileMetadata(mode=0o400))
    assert stat_of(node, DEFAULTS) == Stat(False, 0o400, 10, 20, 5, 30)
    node.attach(Written(size=9, metadata=FileMetadata(uid=99, mtime_ns=77)))
    store.asked()
    await tree.fetch_attributes(node)
    assert store.asked() == []
    assert stat_of(node, DEFAULTS) == Stat(False, 0o600, 99, 20, 9, 77)
