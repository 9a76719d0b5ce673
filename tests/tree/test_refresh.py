# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Refresh: within the ttl, what others changed is seen at once, and no more is asked than that."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol import errors as e
from kontenumfs.tree.inodes import InodeTable
from kontenumfs.tree.node import Directory, File, Node
from kontenumfs.tree.tree import Tree
from tests.tree.conftest import HEAD, LIST, AttentiveKernel, StagedStore, Written

KEYS = ["a/b/deep", "a/near", "c/other", "top"]


async def find(tree: Tree, path: str) -> Node:
    """The node at `path`, as the kernel would look it up."""
    at: Node = tree.root
    for name in path.split("/"):
        assert isinstance(at, Directory)
        at = await tree.lookup(at, name)
    return at


async def sizes(tree: Tree) -> dict[str, int]:
    """The size of each file, by path."""
    found = {}
    waiting: list[Directory] = [tree.root]
    while waiting:
        for node in await tree.children(waiting.pop()):
            if isinstance(node, Directory):
                waiting.append(node)
            else:
                await tree.fetch_attributes(node)
                assert node.info is not None
                found[node.key] = node.info.size
    return found


@pytest.fixture
async def known(tree: Tree, store: StagedStore) -> Tree:
    """A tree that knows all of the bucket, in which everything is longer by now."""
    await store.fill(*KEYS)
    await sizes(tree)
    for key in KEYS:
        await store.append(key, [b"!!"])
    assert await sizes(tree) == {key: len(key) for key in KEYS}
    store.calls.clear()
    return tree


@pytest.mark.parametrize(
    ("path", "recursive", "seen"),
    [
        ("top", False, ["top"]),
        ("a/near", False, ["a/near"]),
        ("a/b/deep", True, ["a/b/deep"]),
        ("a", False, ["a/near"]),
        ("a", True, ["a/b/deep", "a/near"]),
        ("", False, ["top"]),
        ("", True, KEYS),
    ],
)
async def test_what_was_refreshed_is_seen_by_name(
    known: Tree, store: StagedStore, path: str, recursive: bool, seen: list[str]
) -> None:
    """The file itself or those of a directory, with `recursive` all below; it asks nobody."""
    await known.refresh(known.root, path, recursive=recursive)
    assert store.calls == []
    for key in seen:
        node = await find(known, key)
        await known.fetch_attributes(node)
        assert node.info is not None
        assert node.info.size == len(key) + 2, key


async def test_the_rest_is_still_believed(known: Tree, store: StagedStore) -> None:
    """What neither was refreshed nor is in a listing of what was."""
    await known.refresh(known.root, "a", recursive=True)
    for key in ("c/other", "top"):
        node = await find(known, key)
        await known.fetch_attributes(node)
    assert store.asked() == []


async def test_refreshing_all_is_one_listing_of_all(known: Tree, store: StagedStore) -> None:
    """And one HEAD for each file that has changed."""
    await known.refresh(known.root, recursive=True)
    assert store.asked() == []
    assert await sizes(known) == {key: len(key) + 2 for key in KEYS}
    asked = store.asked()
    assert asked.count(HEAD) == len(KEYS)
    assert asked.count(LIST) <= 4


@pytest.mark.parametrize("path", ["new", "", "new/below"])
async def test_a_name_that_was_missing_is_found(
    known: Tree, kernel: AttentiveKernel, store: StagedStore, path: str
) -> None:
    """By refreshing the name, or the directory that it is in now; also one below it."""
    with pytest.raises(e.FileMissing):
        await known.lookup(known.root, "new")
    await store.fill("new")
    with pytest.raises(e.FileMissing):
        await known.lookup(known.root, "new")
    await known.refresh(known.root, path)
    assert (known.root.inode, "new") in kernel.dropped
    assert isinstance(await known.lookup(known.root, "new"), File)


@pytest.mark.parametrize("path", ["top/below", "a/near/x/y"])
async def test_a_path_below_a_file_is_nothing_to_refresh(
    known: Tree, store: StagedStore, path: str
) -> None:
    assert await known.refresh(known.root, path, recursive=True) == 0
    assert await sizes(known) == {key: len(key) for key in KEYS}
    assert store.asked() == []


async def test_what_was_deleted_and_made_is_seen_in_its_directory(
    known: Tree, store: StagedStore
) -> None:
    await store.lose("a/near")
    await store.fill("a/new", "c/new")
    await known.refresh(known.root, "a")
    assert [n.name for n in await known.children(await directory(known, "a"))] == ["b", "new"]
    assert [n.name for n in await known.children(await directory(known, "c"))] == ["other"]


async def directory(tree: Tree, path: str) -> Directory:
    """The directory at `path`."""
    node = await find(tree, path)
    assert isinstance(node, Directory)
    return node


async def test_the_kernel_lets_go_of_files_that_it_knows(
    known: Tree, kernel: AttentiveKernel, inodes: InodeTable
) -> None:
    """Of others it knows nothing, and a directory it cannot forget."""
    near = await find(known, "a/near")
    deep = await find(known, "a/b/deep")
    above, below = await directory(known, "a"), await directory(known, "a/b")
    for node in (above, below, near, deep):
        inodes.remember(node)
    await known.refresh(known.root, "a")
    assert (above.inode, "near") in kernel.dropped
    assert (below.inode, "deep") not in kernel.dropped
    await known.refresh(known.root, "a", recursive=True)
    assert (below.inode, "deep") in kernel.dropped
    await known.refresh(known.root)
    assert (known.root.inode, "top") not in kernel.dropped


async def test_what_is_being_written_stays(known: Tree, store: StagedStore) -> None:
    """It is not in the store yet, so no answer of the store can be waited for."""
    node = known.add_file(await directory(known, "a"), "own")
    node.attach(Written())
    await known.refresh(known.root, recursive=True)
    assert await find(known, "a/own") is node
    assert node in await known.children(await directory(known, "a"))


async def test_a_directory_that_others_deleted_is_missing(known: Tree, store: StagedStore) -> None:
    """After a refresh of the one that it was in, without `recursive` too."""
    await store.lose("c/other")
    assert isinstance(await find(known, "c"), Directory)
    await known.refresh(known.root)
    with pytest.raises(e.FileMissing):
        await find(known, "c")


async def test_a_listing_that_is_being_read_is_not_one_of_now(store: StagedStore) -> None:
    """Its first page came before the refresh; it is read to its end all the same."""
    tree = Tree(store, trust_listings=True)
    await store.fill(*(f"f{number:04}" for number in range(1500)))
    listing = await tree.open_listing(tree.root)
    assert listing is not None
    await listing.read_to_page(1)
    await store.lose("f0007")
    await store.fill("f0003-new")
    await tree.refresh(tree.root)
    await listing.finish()
    assert len(listing.entries) == 1500
    names = [node.name for node in await tree.children(tree.root)]
    assert "f0003-new" in names
    assert "f0007" not in names


async def list_root(tree: Tree) -> None:
    """A listing of the root."""
    await tree.children(tree.root)


async def look_up(tree: Tree) -> None:
    """A lookup in a large directory: the object and the prefix are asked for."""
    tree.root.large = True
    await tree.lookup(tree.root, "top")


async def stat(tree: Tree) -> None:
    """What the listing of the root does not tell of a file."""
    await tree.fetch_attributes((await tree.children(tree.root))[-1])


async def walk(tree: Tree) -> None:
    """Directories listed in order, the last ones by a walk."""
    for node in await tree.children(tree.root):
        if isinstance(node, Directory):
            await tree.children(node)


@pytest.mark.parametrize(
    ("ask", "operation", "skip"),
    [
        (list_root, LIST, 0),
        (look_up, HEAD, 0),
        (look_up, LIST, 1),
        (stat, HEAD, 0),
        (walk, LIST, 2),
    ],
)
async def test_an_answer_that_was_on_its_way_is_not_believed(
    store: StagedStore, ask: Callable[[Tree], Awaitable[None]], operation: str, skip: int
) -> None:
    """The store said it before somebody refreshed: it may be older than what he wants to see."""
    tree = Tree(store, trust_listings=operation == LIST)
    await store.fill("d1/f", "d2/f", "d3/f", "d4/f", "top")

    async def change_and_refresh() -> None:
        await store.append("top", [b"!!"])
        await store.append("d4/f", [b"!!"])
        await tree.refresh(tree.root, recursive=True)

    async def nothing() -> None:
        pass

    for _ in range(skip):
        store.meanwhile(operation, nothing)
    store.meanwhile(operation, change_and_refresh)
    await ask(tree)
    assert len([call for call in store.calls if call.operation == "AppendObject"]) == 2
    for key in ("top", "d4/f"):
        node = await find(tree, key)
        await tree.fetch_attributes(node)
        assert node.info is not None
        assert node.info.size == len(key) + 2


async def test_neither_of_two_answers_is_from_before(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """The store was asked for an object and a prefix; by then the one had become the other."""
    tree.root.large = True
    await store.fill("name")

    async def change_and_refresh() -> None:
        await trio.sleep(1)  # the answer on the prefix has come
        await store.lose("name")
        await store.fill("name/below")
        await tree.refresh(tree.root, "name")

    store.meanwhile(HEAD, change_and_refresh)
    assert isinstance(await tree.lookup(tree.root, "name"), Directory)


@pytest.mark.parametrize("ask", [list_root, look_up, stat, walk])
async def test_refreshing_all_the_time_keeps_nobody_waiting(
    store: StagedStore, ask: Callable[[Tree], Awaitable[None]], autojump_clock: MockClock
) -> None:
    """A script that refreshes faster than the store answers."""
    tree = Tree(store)
    await store.fill("d1/f", "d2/f", "d3/f", "d4/f", "top")
    store.latency = 0.1

    async def refresh_on_and_on() -> None:
        while True:
            await tree.refresh(tree.root, recursive=True)
            await trio.sleep(store.latency / 3)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(refresh_on_and_on)
        with trio.fail_after(60):
            await ask(tree)
        nursery.cancel_scope.cancel()
