# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Memory is bounded, by whatever order names are used in, and small for each."""

import gc
import tracemalloc

from kontenumfs.tree.node import Directory, File
from kontenumfs.tree.tree import Tree
from tests.tree.conftest import LIST, AttentiveKernel, StagedStore, Written, numbered

LIMIT = 100


async def listed(tree: Tree, name: str) -> list[str]:
    """The names in one directory of the root."""
    node = await tree.lookup(tree.root, name)
    assert isinstance(node, Directory)
    return [child.name for child in await tree.children(node)]


async def test_directories_that_were_not_used_for_longest_are_forgotten(store: StagedStore) -> None:
    """S9.3."""
    await store.fill(*(f"d{n}/f{m:02}" for n in range(20) for m in range(30)))
    tree = Tree(store, entries=LIMIT)
    for number in range(20):
        assert len(await listed(tree, f"d{number}")) == 30
        await listed(tree, "d0")
        assert tree.statistics.entries <= LIMIT + 30
    store.asked()
    await listed(tree, "d0")
    await listed(tree, "d19")
    assert store.asked() == []
    assert len(await listed(tree, "d5")) == 30
    assert LIST in store.asked()


async def test_a_directory_larger_than_the_limit_is_listed_whole(store: StagedStore) -> None:
    await store.fill(*(f"big/{n:04}" for n in range(2500)), "small/f")
    tree = Tree(store, entries=LIMIT)
    assert len(await listed(tree, "big")) == 2500
    assert await listed(tree, "small") == ["f"]
    assert tree.statistics.entries <= LIMIT


async def test_what_is_open_or_waits_stays(store: StagedStore) -> None:
    await store.fill(*(f"d{n}/f{m:02}" for n in range(10) for m in range(30)))
    tree = Tree(store, entries=LIMIT)
    await listed(tree, "d0")
    parent = await tree.lookup(tree.root, "d0")
    assert isinstance(parent, Directory)
    busy = tree.add_file(parent, "open")
    busy.attach(Written())
    for number in range(1, 10):
        await listed(tree, f"d{number}")
    assert parent.children == {"open": busy}
    assert "open" in await listed(tree, "d0")


async def test_the_kernel_is_asked_to_let_go(store: StagedStore) -> None:
    """And what it has let go of is forgotten then; a directory it may keep."""
    await store.fill(*(f"d{n}/f{m:02}" for n in range(10) for m in range(30)))
    kernel = AttentiveKernel()
    tree = Tree(store, entries=LIMIT, kernel=kernel)
    inodes = numbered(tree)
    for number in range(10):
        directory = await tree.lookup(tree.root, f"d{number}")
        assert isinstance(directory, Directory)
        inodes.remember(directory)
        for node in await tree.children(directory):
            inodes.remember(node)
        for parent, name in kernel.dropped:
            known = inodes.directory(parent).children.get(name)
            assert known is None or isinstance(known, File)
            if known is not None:
                inodes.forget(known.inode, known.lookups)
        kernel.dropped.clear()
        assert len(inodes) <= LIMIT + 60
    assert tree.statistics.entries <= LIMIT + 30


async def test_a_listing_under_way_is_not_whole_when_its_names_were_forgotten(
    store: StagedStore,
) -> None:
    """Else what was forgotten would be taken for gone."""
    await store.fill(*(f"big/{n:04}" for n in range(1500)), *(f"e{n}/f{n}" for n in range(9)))
    tree = Tree(store, entries=LIMIT)
    big = await tree.lookup(tree.root, "big")
    assert isinstance(big, Directory)
    listing = await tree.open_listing(big)
    assert listing is not None
    assert await listing.read_beyond(0)
    for number in range(9):
        await listed(tree, f"e{number}")
    assert len(big.children) < 1000
    await listing.finish()
    for number in range(0, 1500, 100):
        assert (await tree.lookup(big, f"{number:04}")).name == f"{number:04}"


async def test_an_entry_is_small(store: StagedStore) -> None:
    """Under 400 bytes, as listings tell it and the kernel knows it."""
    await store.fill(*(f"dir/some-file-{n:06}.txt" for n in range(20_000)))
    tree = Tree(store)
    inodes = numbered(tree)
    directory = await tree.lookup(tree.root, "dir")
    assert isinstance(directory, Directory)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for node in await tree.children(directory):
        inodes.remember(node)
    await tree.refresh(tree.root)
    gc.collect()
    each = (tracemalloc.get_traced_memory()[0] - before) / 20_000
    tracemalloc.stop()
    assert each < 400
