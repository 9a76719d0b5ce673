# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Directories that this mount made, wrote into or emptied: here as long as they are somewhere."""

import pytest
from trio.testing import MockClock

from kontenumfs.protocol import errors as e
from kontenumfs.tree.node import Directory, File
from kontenumfs.tree.tree import Tree
from tests.tree.conftest import LIST, TTL, AttentiveKernel, StagedStore, Written, info, numbered

DEEP = 500
"""Directories in one another: a key of 1,024 bytes has room for them."""


async def make(tree: Tree, store: StagedStore, parent: Directory, name: str) -> Directory:
    """What mkdir does where the store keeps markers."""
    key = parent.child_key(name, directory=True)
    await store.fill(key)
    return tree.add_directory(parent, name, info(key, size=0))


async def write(tree: Tree, store: StagedStore, parent: Directory, name: str) -> File:
    """What a program does that creates a file, writes and closes it."""
    node = tree.add_file(parent, name)
    node.attach(Written(size=1))
    await store.fill(node.key)
    tree.stored(node, info(node.key))
    node.detach()
    return node


async def delete(tree: Tree, store: StagedStore, node: File) -> None:
    """What rm does."""
    await store.lose(node.key)
    tree.remove(node)


async def implicit(tree: Tree, store: StagedStore) -> tuple[Directory, File]:
    """A directory that is only a file's prefix, and the file."""
    await store.fill("dir/file")
    directory = await tree.lookup(tree.root, "dir")
    assert isinstance(directory, Directory)
    file = await tree.lookup(directory, "file")
    assert isinstance(file, File)
    return directory, file


async def names(tree: Tree) -> list[str]:
    """What ls shows of the root."""
    return [node.name for node in await tree.children(tree.root)]


async def test_a_directory_made_here_goes_when_others_delete_it(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """S9.6: After the ttl, or at once with refresh."""
    for by_refresh in (False, True):
        await make(tree, store, tree.root, "dir")
        await store.lose("dir/")
        assert isinstance(await tree.lookup(tree.root, "dir"), Directory)
        if by_refresh:
            await tree.refresh(tree.root)
        else:
            autojump_clock.jump(TTL)
        with pytest.raises(e.FileMissing):
            await tree.lookup(tree.root, "dir")
        assert await names(tree) == []


@pytest.mark.parametrize("marked", [False, True])
async def test_a_directory_written_into_here_goes_when_others_delete_it(
    tree: Tree, store: StagedStore, autojump_clock: MockClock, marked: bool
) -> None:
    """With all that is above it and in it, whoever made those."""
    for change in (write, make):
        await store.fill("top/dir/theirs", *(["top/dir/"] if marked else []))
        top = await tree.lookup(tree.root, "top")
        assert isinstance(top, Directory)
        directory = await tree.lookup(top, "dir")
        assert isinstance(directory, Directory)
        await change(tree, store, directory, "mine")
        await store.lose(*store.objects)
        autojump_clock.jump(TTL)
        assert await names(tree) == []
        assert directory.removed or top.removed
        autojump_clock.jump(TTL)


async def test_a_directory_emptied_here_stays_until_rmdir(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """S9.6: The store has nothing of it, however often it is asked."""
    directory, file = await implicit(tree, store)
    await delete(tree, store, file)
    for _ in range(3):
        autojump_clock.jump(TTL)
        assert await names(tree) == ["dir"]
        assert await tree.lookup(tree.root, "dir") is directory
    tree.remove(directory)
    assert await names(tree) == []


async def test_a_directory_emptied_by_a_rename_stays(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    directory, file = await implicit(tree, store)
    await store.lose("dir/file")
    await store.fill("moved")
    tree.move(file, tree.root, "moved")
    autojump_clock.jump(TTL)
    assert sorted(await names(tree)) == ["dir", "moved"]
    assert not directory.removed


async def test_a_directory_emptied_here_goes_with_refresh(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """Somebody has said that what the store shows is what counts."""
    for path, recursive in (("dir", False), ("", False), ("", True)):
        directory, file = await implicit(tree, store)
        await delete(tree, store, file)
        await tree.refresh(tree.root, path, recursive=recursive)
        assert await names(tree) == []
        assert directory.removed
        autojump_clock.jump(TTL)


async def test_what_the_store_has_shown_again_is_others_to_delete(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """Emptied here, filled and deleted by others: it goes with the last."""
    _, file = await implicit(tree, store)
    await delete(tree, store, file)
    await store.fill("dir/theirs")
    autojump_clock.jump(TTL)
    assert await names(tree) == ["dir"]
    await store.lose("dir/theirs")
    autojump_clock.jump(TTL)
    assert await names(tree) == []


async def test_a_listing_from_before_does_not_end_what_was_emptied_after_it_began(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """It names the directory by the file that has gone meanwhile."""
    tree.root.large = True
    _, file = await implicit(tree, store)
    autojump_clock.jump(TTL)

    async def empty() -> None:
        autojump_clock.jump(1)
        await delete(tree, store, file)

    store.meanwhile(LIST, empty)
    for _ in range(3):
        assert await names(tree) == ["dir"]
        autojump_clock.jump(TTL)


async def test_memory_is_bounded_whatever_was_made_here(store: StagedStore) -> None:
    """Directories and files of this mount are forgotten like those of others, and found again."""
    limit = 100
    tree = Tree(store, entries=limit)
    for number in range(30):
        directory = await make(tree, store, tree.root, f"d{number:02}")
        for below in range(5):
            await write(tree, store, await make(tree, store, directory, f"e{below}"), "file")
    for number in range(30):
        node = await tree.lookup(tree.root, f"d{number:02}")
        assert isinstance(node, Directory)
        assert len(await tree.children(node)) == 5
        assert tree.statistics.entries <= limit + 30
    assert len(await names(tree)) == 30


async def test_what_is_only_here_is_known_at_any_depth(tree: Tree, store: StagedStore) -> None:
    """Open files, and directories that the store keeps no marker of; nothing else."""
    top = await make(tree, store, tree.root, "top")
    assert not top.has_local_children
    below = top
    for _ in range(DEEP):
        below = await make(tree, store, below, "d")
    stored = await write(tree, store, below, "stored")
    assert not top.has_local_children
    stored.attach(Written())
    assert top.has_local_children
    stored.detach()
    only_here = tree.add_directory(below, "only-here", info("", size=0, etag=""))
    assert top.has_local_children
    assert not only_here.has_local_children
    await write(tree, store, only_here, "file")
    assert not top.has_local_children


async def test_a_name_that_was_never_stored_gives_way_at_once(store: StagedStore) -> None:
    """The kernel is told, or it would show the next file of that name as the one that was not."""
    kernel = AttentiveKernel()
    tree = Tree(store, kernel=kernel)
    directory = await make(tree, store, tree.root, "dir")
    node = tree.add_file(directory, "name")
    numbered(tree).remember(node)
    tree.discard(node)
    tree.discard(node)
    assert kernel.dropped == [(directory.inode, "name")]
    with pytest.raises(e.FileMissing):
        await tree.lookup(directory, "name")
    again = await write(tree, store, directory, "name")
    assert await tree.lookup(directory, "name") is again


async def test_what_was_deleted_has_no_name_any_more(tree: Tree, store: StagedStore) -> None:
    """Whoever has that name now is not what an old descriptor means; nor is what was in it."""
    directory = await make(tree, store, tree.root, "dir")
    file = await write(tree, store, directory, "file")
    file.require_linked()
    tree.remove(directory)
    await make(tree, store, tree.root, "dir")
    for node in (directory, file):
        with pytest.raises(e.StaleInode):
            node.require_linked()
