# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Listings: pages, markers, hidden names, and what others did."""

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol import errors as e
from kontenumfs.tree.node import Directory, File, Node
from kontenumfs.tree.tree import Tree
from tests.doubles.faulty import Fault, FaultyStore
from tests.tree.conftest import LIST, TTL, StagedStore, Written


def names(nodes: list[Node]) -> list[str]:
    """The names of nodes; a directory's with its slash."""
    return [node.name + "/" * isinstance(node, Directory) for node in nodes]


async def test_a_listing_of_several_pages_is_one_request_a_page_and_then_none(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    files = [f"{number:04}" for number in range(2400)]
    directories = [f"d{number:03}" for number in range(100)]
    await store.fill(*files, *(f"{name}/{below}" for name in directories for below in "ab"))
    listed = await tree.children(tree.root)
    assert store.asked() == [LIST, LIST, LIST]
    assert names(listed) == files + [f"{name}/" for name in directories]
    autojump_clock.jump(TTL - 1)
    assert await tree.children(tree.root) == listed
    assert await tree.lookup(tree.root, "2399") is listed[2399]
    assert store.asked() == []
    autojump_clock.jump(1)
    assert await tree.children(tree.root) == listed
    assert store.asked() == [LIST, LIST, LIST]


async def test_listings_at_once_are_one(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """Who comes while a directory is being listed waits for that listing."""
    await store.fill("file")
    store.latency = 1.0
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(tree.children, tree.root)
    assert store.asked() == [LIST]


async def test_a_listing_that_fails_half_way_goes_on(store: StagedStore) -> None:
    """The first page's names stay, nothing is taken for gone, and no page is fetched twice."""
    faulty = FaultyStore(store, Fault("list_page", e.ServerError(status=500), skip=1))
    tree = Tree(faulty)
    await store.fill(*(f"{number:04}" for number in range(1500)))
    with pytest.raises(e.ServerError):
        await tree.children(tree.root)
    first = await tree.lookup(tree.root, "0000")
    listed = await tree.children(tree.root)
    assert len(listed) == 1500
    assert listed[0] is first
    assert store.asked() == [LIST] * 2


async def test_a_reader_does_not_wait_for_later_pages(store: StagedStore) -> None:
    """Entries come page by page; who wants the first only has the first page fetched."""
    tree = Tree(store)
    await store.fill(*(f"{number:04}" for number in range(2500)))
    listing = await tree.open_listing(tree.root)
    assert listing is not None
    assert await listing.read_beyond(0)
    assert store.asked() == [LIST]
    assert [node.name for node in listing.entries[:2]] == ["0000", "0001"]
    assert await listing.read_beyond(2400)
    assert store.asked() == [LIST] * 2
    assert not await listing.read_beyond(2500)
    assert names(await tree.children(tree.root)) == [node.name for node in listing.entries]
    assert store.asked() == []


async def test_what_is_made_while_a_listing_is_read_comes_at_its_end(store: StagedStore) -> None:
    """A file of this mount that the store has not yet."""
    tree = Tree(store)
    await store.fill("a", "b")
    listing = await tree.open_listing(tree.root)
    assert listing is not None
    tree.add_file(tree.root, "new").attach(Written())
    await listing.finish()
    assert [node.name for node in listing.entries] == ["a", "b", "new"]


async def test_a_mount_of_a_prefix_sees_what_is_below_it(store: StagedStore) -> None:
    """Neither the prefix's own marker nor a neighbour that begins with its name."""
    tree = Tree(store, prefix="site/")
    await store.fill("site/", "site/page", "site/dir/", "site2/page", "site-page", "other")
    assert names(await tree.children(tree.root)) == ["dir/", "page"]
    assert (await tree.lookup(tree.root, "page")).key == "site/page"
    assert tree.root.info is not None
    assert tree.root.info.key == "site/"


async def test_a_marker_is_not_an_entry_of_its_directory(tree: Tree, store: StagedStore) -> None:
    await store.fill("dir/", "dir/file")
    directory = await tree.lookup(tree.root, "dir")
    assert isinstance(directory, Directory)
    assert names(await tree.children(directory)) == ["file"]
    assert directory.info is not None
    assert directory.info.key == "dir/"


HIDDEN = [
    "//double",
    "./file",
    "../file",
    "dot/.",
    "dot/..",
    "dot//below",
    "l" * 256,
    "ü" * 128,
    "n\0l",
    "n\0l/below",
]


async def test_what_cannot_be_a_file_name_is_hidden_counted_and_logged_once(
    tree: Tree, store: StagedStore, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """S9.5: Once a directory, and again only when the number has changed."""
    await store.fill(*HIDDEN, "l" * 255, "ü" * 127, "shown", "dot/shown")
    for _ in range(2):
        listed = await tree.children(tree.root)
        assert names(listed) == ["dot/", "l" * 255, "shown", "ü" * 127]
        dot = listed[0]
        assert isinstance(dot, Directory)
        assert names(await tree.children(dot)) == ["shown"]
        autojump_clock.jump(TTL)
    said = "%s: %d keys cannot be file names and are hidden"
    assert [record.getMessage() for record in caplog.records] == [
        said % ("/", 7),
        said % ("dot/", 3),
    ]
    await store.fill("/another", ".")
    await tree.children(tree.root)
    assert caplog.records[-1].getMessage() == said % ("/", 8)


@pytest.mark.parametrize("between", [0, 1200], ids=["same page", "pages apart"])
async def test_where_object_and_prefix_share_a_name_the_directory_is_shown(
    tree: Tree,
    store: StagedStore,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
    between: int,
) -> None:
    """Also when a page ends between the two, which must not renew the directory."""
    others = [f"a-{number:04}" for number in range(between)]
    await store.fill("a", *others, "a/b")
    listed = await tree.children(tree.root)
    assert names(listed) == ["a/", *others]
    directory = listed[0]
    assert isinstance(directory, Directory)
    below = await tree.children(directory)
    autojump_clock.jump(TTL)
    assert await tree.children(tree.root) == listed
    assert not directory.removed
    assert await tree.children(directory) == below
    assert len(caplog.records) == 1
    assert "1 keys" in caplog.text


async def test_what_others_made_and_deleted_is_seen_after_the_ttl(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    await store.fill("kept", "lost", "dir/below")
    before = await tree.children(tree.root)
    await store.lose("lost", "dir/below")
    await store.fill("new")
    assert await tree.children(tree.root) == before
    autojump_clock.jump(TTL)
    after = await tree.children(tree.root)
    assert names(after) == ["kept", "new"]
    assert after[0] is before[1]
    assert [node.removed for node in before] == [True, False, True]
    store.asked()
    with pytest.raises(e.FileMissing):
        await tree.lookup(tree.root, "lost")
    assert store.asked() == []


@pytest.mark.parametrize(("before", "after"), [("name", "name/below"), ("name/below", "name")])
async def test_a_listing_sees_a_name_change_its_kind(
    tree: Tree, store: StagedStore, autojump_clock: MockClock, before: str, after: str
) -> None:
    await store.fill(before)
    (old,) = await tree.children(tree.root)
    await store.lose(before)
    await store.fill(after)
    autojump_clock.jump(TTL)
    (new,) = await tree.children(tree.root)
    assert type(new) is not type(old)
    assert old.removed
    assert isinstance(new, File if after == "name" else Directory)
