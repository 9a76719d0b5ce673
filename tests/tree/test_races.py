# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Answers that are older than what happened while they were under way undo nothing."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from kontenumfs.protocol import errors as e
from kontenumfs.store.api import Attributes
from kontenumfs.tree.node import Directory, File, Node
from kontenumfs.tree.tree import Tree
from tests.tree.conftest import HEAD, LIST, TTL, StagedStore, Written, info


@pytest.fixture
def tree(tree: Tree) -> Tree:
    """A mount whose root has too many names to be listed for one."""
    tree.root.large = True
    return tree


async def listed(tree: Tree) -> list[str]:
    """The names of the root, in order."""
    return [node.name for node in await tree.children(tree.root)]


async def test_a_listing_does_not_bring_back_what_was_deleted_here(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """Neither the name nor a request for it, and the same once more for a directory."""
    await store.fill("dir/", "file", "kept")

    async def delete() -> None:
        autojump_clock.jump(1)
        for name in ("file", "dir"):
            node = await tree.lookup(tree.root, name)
            await store.lose(node.key)
            tree.remove(node)

    store.meanwhile(LIST, delete)
    assert await listed(tree) == ["kept"]
    store.asked()
    for name in ("file", "dir"):
        with pytest.raises(e.FileMissing):
            await tree.lookup(tree.root, name)
    assert store.asked() == []


async def test_a_listing_does_not_lose_what_was_made_here(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """A file and a directory that came after its answer."""
    await store.fill("kept")

    async def make() -> None:
        autojump_clock.jump(1)
        await store.fill("file", "dir/")
        tree.stored(tree.add_file(tree.root, "file"), info("file"))
        tree.add_directory(tree.root, "dir", info("dir/"))

    store.meanwhile(LIST, make)
    assert await listed(tree) == ["dir", "file", "kept"]


async def test_a_listing_does_not_undo_a_rewrite_here(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    await store.fill("file")
    node = await tree.lookup(tree.root, "file")
    assert isinstance(node, File)
    new = info("file", size=7, etag="new")

    async def rewrite() -> None:
        autojump_clock.jump(1)
        tree.stored(node, new)

    store.meanwhile(LIST, rewrite)
    await tree.children(tree.root)
    assert node.info == new


async def test_a_listing_does_not_undo_a_change_of_kind_here(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """rmdir and create under one name, and unlink and mkdir under another."""
    await store.fill("was-dir/", "was-file")
    directory, file = await tree.children(tree.root)
    autojump_clock.jump(TTL)

    async def swap() -> None:
        autojump_clock.jump(1)
        tree.remove(directory)
        tree.stored(tree.add_file(tree.root, "was-dir"), info("was-dir"))
        tree.remove(file)
        tree.add_directory(tree.root, "was-file", info("was-file/"))

    store.meanwhile(LIST, swap)
    now_file, now_directory = await tree.children(tree.root)
    assert isinstance(now_file, File)
    assert isinstance(now_directory, Directory)
    assert [now_file.removed, now_directory.removed] == [False, False]


async def test_a_listing_does_not_undo_a_rename_here(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """The old name stays gone and the new one is there, on the same node."""
    await store.fill("old", "over")
    node = await tree.lookup(tree.root, "old")

    async def rename() -> None:
        autojump_clock.jump(1)
        tree.move(node, tree.root, "over")

    store.meanwhile(LIST, rename)
    assert await tree.children(tree.root) == [node]
    assert (node.name, node.removed) == ("over", False)


async def test_a_listing_does_not_undo_a_markers_change_here(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    await store.fill("dir/")
    directory = await tree.lookup(tree.root, "dir")
    assert isinstance(directory, Directory)
    new = info("dir/", size=0, etag="new")

    async def change() -> None:
        autojump_clock.jump(1)
        tree.stored(directory, new)

    store.meanwhile(LIST, change)
    await tree.children(directory)
    assert directory.info == new


async def test_a_file_that_is_being_written_is_not_lost_to_a_directory_of_others(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """Until it is closed; the directory wins after that."""
    node = tree.add_file(tree.root, "name")
    node.attach(Written(size=3))
    autojump_clock.jump(1)
    await store.fill("name/below")
    assert await tree.children(tree.root) == [node]
    autojump_clock.jump(TTL)
    assert await tree.children(tree.root) == [node]
    node.detach()
    autojump_clock.jump(TTL)
    (directory,) = await tree.children(tree.root)
    assert isinstance(directory, Directory)
    assert node.removed


async def test_what_others_do_during_a_listing_is_seen_at_the_next(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """A deletion behind the page and a creation behind it wait; one ahead of it is seen."""
    await store.fill(*(f"{number:04}" for number in range(1500)))

    async def change() -> None:
        await store.lose("0001", "1400")
        await store.fill("0001-new", "1400-new")

    store.meanwhile(LIST, change)
    seen = set(await listed(tree))
    assert {"0001", "1400-new"} <= seen
    assert not {"1400", "0001-new"} & seen
    autojump_clock.jump(TTL)
    seen = set(await listed(tree))
    assert {"0001-new", "1400-new"} <= seen
    assert not {"1400", "0001"} & seen


@pytest.mark.parametrize("key", ["name", "name/below"])
async def test_a_lookup_does_not_bring_back_what_was_deleted_here(
    tree: Tree, store: StagedStore, autojump_clock: MockClock, key: str
) -> None:
    """It says that the name is gone, also where a whole listing has come and gone since."""
    for relist in (False, True):
        await store.fill(key)
        (node,) = await tree.children(tree.root)
        tree.root.large = True
        autojump_clock.jump(TTL)

        async def delete(node: Node = node, relist: bool = relist) -> None:
            autojump_clock.jump(1)
            await store.lose(key)
            tree.remove(node)
            autojump_clock.jump(1)
            assert not relist or await tree.children(tree.root) == []

        store.meanwhile(HEAD if key == "name" else LIST, delete)
        with pytest.raises(e.FileMissing):
            await tree.lookup(tree.root, "name")
        assert await tree.children(tree.root) == []
        autojump_clock.jump(TTL)


async def test_a_lookup_does_not_lose_what_was_made_here(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    made: list[File] = []

    async def make() -> None:
        autojump_clock.jump(1)
        made.append(tree.add_file(tree.root, "file"))
        tree.stored(made[0], info("file"))

    store.meanwhile(HEAD, make)
    assert await tree.lookup(tree.root, "file") is made[0]


async def test_a_late_no_does_not_forget_a_later_deletion(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """A question, a listing, a deletion here; the two answers are heard in that order after it."""
    deleted, answered = trio.Event(), trio.Event()

    async def during_the_question() -> None:
        await wait_all_tasks_blocked()  # its other half is over: the next LIST is the listing's
        autojump_clock.jump(1)
        await store.fill("file")
        store.meanwhile(LIST, during_the_listing)
        nursery.start_soon(tree.children, tree.root)
        await deleted.wait()

    async def during_the_listing() -> None:
        autojump_clock.jump(1)
        await store.lose("file")
        tree.remove(tree.add_file(tree.root, "file"))
        deleted.set()
        await answered.wait()

    store.meanwhile(HEAD, during_the_question)
    async with trio.open_nursery() as nursery:
        with pytest.raises(e.FileMissing):
            await tree.lookup(tree.root, "file")
        answered.set()
    assert await tree.children(tree.root) == []


async def test_a_description_does_not_lose_a_file_that_was_renamed_meanwhile(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """The old key's 404 says nothing of the new one."""
    await store.fill("old")
    (node,) = await tree.children(tree.root)
    autojump_clock.jump(1)
    await store.lose("old")
    await store.fill("new")

    async def rename() -> None:
        autojump_clock.jump(1)
        tree.move(node, tree.root, "new")

    store.meanwhile(HEAD, rename)
    await tree.fetch_attributes(node)
    assert await tree.lookup(tree.root, "new") is node


async def test_a_description_counts_although_a_listing_came_in_between(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """The listing is younger and knows no metadata; of the same object, HEAD's is right."""
    await store.put("file", [b"x"], Attributes({"mode": "33152"}))
    (node,) = await tree.children(tree.root)
    assert isinstance(node, File)
    autojump_clock.jump(TTL)

    async def relist() -> None:
        autojump_clock.jump(1)
        await tree.children(tree.root)

    store.meanwhile(HEAD, relist)
    await tree.fetch_attributes(node)
    assert node.info is not None
    assert node.info.attributes is not None
    assert node.info.attributes.metadata == {"mode": "33152"}
