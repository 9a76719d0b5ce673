# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What this mount does itself is seen at once, and what the kernel holds is kept for it."""

import pytest
from trio.testing import MockClock

from kontenumfs.protocol import errors as e
from kontenumfs.tree.inodes import ROOT_INODE, InodeTable
from kontenumfs.tree.node import Directory, File
from kontenumfs.tree.tree import Tree
from tests.tree.conftest import LIST, TTL, StagedStore, Written, info


@pytest.mark.parametrize("ttl", [0, TTL])
async def test_a_new_file_is_there_before_the_store_has_it(store: StagedStore, ttl: float) -> None:
    """Without a request, whatever the ttl, for as long as it is being written."""
    tree = Tree(store, ttl=ttl)
    node = tree.add_file(tree.root, "file")
    node.attach(Written())
    assert await tree.lookup(tree.root, "file") is node
    await tree.fetch_attributes(node)
    assert store.asked() == []
    assert await tree.children(tree.root) == [node]
    assert await tree.lookup(tree.root, "file") is node
    assert store.asked() == [LIST]


async def test_a_stored_file_is_believed_for_the_ttl(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    node = tree.add_file(tree.root, "file")
    autojump_clock.jump(TTL)
    tree.stored(node, info("file"))
    autojump_clock.jump(TTL - 1)
    assert await tree.lookup(tree.root, "file") is node
    await tree.fetch_attributes(node)
    assert store.asked() == []
    autojump_clock.jump(1)
    with pytest.raises(e.FileMissing):
        await tree.lookup(tree.root, "file")
    assert store.asked() == [LIST]


async def test_a_created_name_is_no_longer_absent(tree: Tree, store: StagedStore) -> None:
    with pytest.raises(e.FileMissing):
        await tree.lookup(tree.root, "file")
    node = tree.add_file(tree.root, "file")
    assert await tree.lookup(tree.root, "file") is node


@pytest.mark.parametrize("etag", ["", "own"])
async def test_a_new_directory_is_known_to_be_empty(
    tree: Tree, store: StagedStore, autojump_clock: MockClock, etag: str
) -> None:
    """And stays where the store keeps no marker of it; else others may delete it."""
    directory = tree.add_directory(tree.root, "dir", info("dir/", size=0, etag=etag))
    assert await tree.lookup(tree.root, "dir") is directory
    await tree.fetch_attributes(directory)
    assert await tree.children(directory) == []
    with pytest.raises(e.FileMissing):
        await tree.lookup(directory, "file")
    assert store.asked() == []
    autojump_clock.jump(TTL)
    assert await tree.children(tree.root) == ([] if etag else [directory])


async def test_a_deleted_file_is_gone_at_once_and_its_directory_stays(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """A prefix without keys is nothing to the store: the directory stays here until rmdir."""
    await store.fill("dir/file")
    directory = await tree.lookup(tree.root, "dir")
    assert isinstance(directory, Directory)
    file = await tree.lookup(directory, "file")
    await store.lose("dir/file")
    tree.remove(file)
    tree.remove(file)
    assert file.removed
    with pytest.raises(e.FileMissing):
        await tree.lookup(directory, "file")
    assert store.asked() == []
    autojump_clock.jump(TTL)
    assert await tree.children(directory) == []
    assert await tree.children(tree.root) == [directory]
    tree.remove(directory)
    assert await tree.children(tree.root) == []


async def test_a_directory_with_a_file_being_written_stays(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """However deep the file is, and whoever deletes the rest."""
    await store.fill("a/b/other")
    a = await tree.lookup(tree.root, "a")
    assert isinstance(a, Directory)
    b = await tree.lookup(a, "b")
    assert isinstance(b, Directory)
    (other,) = await tree.children(b)
    assert isinstance(other, File)
    other.attach(Written())
    await store.lose("a/b/other")
    autojump_clock.jump(TTL)
    assert await tree.children(tree.root) == [a]
    assert await tree.lookup(a, "b") is b
    assert await tree.children(b) == [other]


async def test_a_moved_file_keeps_its_inode_and_leaves_its_name(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    await store.fill("old", "dir/over")
    await tree.children(tree.root)
    node = await tree.lookup(tree.root, "old")
    directory = await tree.lookup(tree.root, "dir")
    assert isinstance(directory, Directory)
    over = await tree.lookup(directory, "over")
    inode = node.inode
    store.asked()
    tree.move(node, directory, "over")
    assert await tree.lookup(directory, "over") is node
    assert (node.inode, node.key) == (inode, "dir/over")
    assert over.removed
    assert not node.removed
    with pytest.raises(e.FileMissing):
        await tree.lookup(tree.root, "old")
    assert store.asked() == []


async def test_the_kernel_holds_a_node_until_it_forgot_each_lookup(
    tree: Tree, inodes: InodeTable, store: StagedStore
) -> None:
    """Also one that was deleted; who gets its number then is of another generation."""
    node = tree.add_file(tree.root, "file")
    for _ in range(3):
        inodes.remember(node)
    tree.remove(node)
    inodes.forget(node.inode, 2)
    assert inodes.node(node.inode) is node
    inodes.forget(node.inode, 1)
    with pytest.raises(e.StaleInode):
        inodes.node(node.inode)
    inodes.forget(node.inode, 1)
    again = tree.add_file(tree.root, "file")
    assert inodes.number(again) == node.inode
    assert inodes.generation(again) == 1


async def test_what_is_still_known_keeps_its_number_to_itself(
    tree: Tree, inodes: InodeTable
) -> None:
    """A deleted file that is open, and one that was renamed, whatever has the old name."""
    for change in (tree.remove, lambda node: tree.move(node, tree.root, "new")):
        node = tree.add_file(tree.root, "file")
        inodes.remember(node)
        number = node.inode
        change(node)
        other = tree.add_file(tree.root, "file")
        inodes.remember(other)
        assert inodes.number(node) == number != other.inode
        assert inodes.node(number) is node


async def test_a_forgotten_name_is_the_same_inode_when_it_is_looked_up_again(
    tree: Tree, inodes: InodeTable, store: StagedStore
) -> None:
    """S9.3."""
    await store.fill("file")
    node = await tree.lookup(tree.root, "file")
    inodes.remember(node)
    inodes.forget(node.inode, 1)
    assert await tree.lookup(tree.root, "file") is node
    inodes.remember(node)
    assert inodes.node(node.inode) is node


async def test_the_root_is_never_forgotten(tree: Tree, inodes: InodeTable) -> None:
    inodes.forget(ROOT_INODE, 100)
    assert inodes.directory(ROOT_INODE) is tree.root
    tree.remove(tree.root)
    assert not tree.root.removed


async def test_a_file_is_no_directory(tree: Tree, inodes: InodeTable) -> None:
    node = tree.add_file(tree.root, "file")
    inodes.remember(node)
    with pytest.raises(e.NotDirectory):
        inodes.directory(node.inode)


async def test_keys_are_paths_below_the_prefix(store: StagedStore) -> None:
    tree = Tree(store, prefix="site/")
    directory = tree.add_directory(tree.root, "dir", info("site/dir/"))
    assert tree.root.key == "site/"
    assert directory.key == "site/dir/"
    assert tree.add_file(directory, "file").key == "site/dir/file"
    assert directory.child_key("below", directory=True) == "site/dir/below/"
    with pytest.raises(e.NameTooLong):
        directory.child_key("ü" * 508)
    assert len(directory.child_key("ü" * 507)) == len("site/dir/") + 507
