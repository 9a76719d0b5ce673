# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Who opens one directory after another has them listed a thousand keys at a time."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from trio.testing import MockClock

from kontenumfs.store.api import ListPage
from kontenumfs.tree.node import Directory, File, Node
from kontenumfs.tree.tree import Tree
from tests.tree.conftest import LIST, TTL, StagedStore


async def walked(tree: Tree, top: Directory | None = None) -> AsyncIterator[Node]:
    """Everything below `top`, as find goes about it."""
    for node in await tree.children(top or tree.root):
        yield node
        if isinstance(node, Directory):
            async for below in walked(tree, node):
                yield below


async def keys(tree: Tree) -> list[str]:
    """The keys that a walk sees, in order."""
    return sorted([node.key async for node in walked(tree)])


TREE = [
    "a/1",
    "a/b/2",
    "a/b/c/3",
    "a/d/4",
    "a.txt",
    "empty/",
    "f/",
    "f/5",
    "g/h/i/j/6",
    "z",
]
SEEN = sorted({*TREE, "a/", "a/b/", "a/b/c/", "a/d/", "f/", "g/", "g/h/", "g/h/i/", "g/h/i/j/"})


async def test_a_walk_sees_what_is_there(tree: Tree, store: StagedStore) -> None:
    await store.fill(*TREE)
    assert await keys(tree) == SEEN
    first = store.asked()
    assert len(first) < len([key for key in SEEN if key.endswith("/")])
    assert await keys(tree) == SEEN
    assert store.asked() == []


async def test_a_walk_of_many_directories_is_a_list_a_thousand_keys(
    tree: Tree, store: StagedStore
) -> None:
    await store.fill(*(f"d{n:03}/f{m:02}" for n in range(100) for m in range(30)))
    assert len(await keys(tree)) == 3100
    assert store.asked() == [LIST] * 5  # the root, one directory, and three pages of the rest


async def test_a_walk_sees_changes_of_others(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """What is gone is gone, what is new is there, in each directory and in the midst of it."""
    await store.fill(*(f"d{n}/f{m}" for n in range(9) for m in range(3)))
    await keys(tree)
    await store.lose("d1/f0", "d4/f0", "d5/f1", "d8/f2", "d6/f0", "d6/f1", "d6/f2")
    await store.fill("d3/new", "d9/f", "d4/sub/f")
    autojump_clock.jump(TTL)
    seen = await keys(tree)
    there = sorted(key for key in store.objects)
    assert [key for key in seen if not key.endswith("/")] == there
    assert "d6/" not in seen


async def test_a_walk_hides_what_cannot_be_a_name(tree: Tree, store: StagedStore) -> None:
    """Also in the directories that it filled on its way; the mount's own keys are not counted."""
    fine = [f"d{n}/f" for n in range(5)]
    await store.fill(*fine, "d2//x", "d2//y", "d3/../z", "d4/f/below", "d3/" + "n" * 300)
    await store.fill(".kontenumfs/x/y", "d3/.")
    seen = await keys(tree)
    directories = [f"d{n}/" for n in range(5)]
    assert seen == sorted([*fine[:4], *directories, "d4/f/", "d4/f/below"])
    hidden = tree.statistics.hidden
    assert hidden == {"d2/": 1, "d3/": 3, "d4/": 1}


async def test_a_directory_with_much_below_it_is_listed_alone(
    tree: Tree, store: StagedStore
) -> None:
    """ls of one after another must not list millions of keys that nobody asked for."""
    await store.fill(*(f"d{n}/deep/f{m:04}" for n in range(4) for m in range(6000)))
    for node in await tree.children(tree.root):
        assert isinstance(node, Directory)
        assert [child.name for child in await tree.children(node)] == ["deep"]
    assert len(store.asked()) <= 5 + 4


class CarelessStore(StagedStore):
    """Does not know start-after, and may not sort."""

    sorts = True

    async def list_page(
        self,
        prefix: str = "",
        *,
        delimiter: str = "",
        max_keys: int = 1000,
        token: str | None = None,
        start_after: str = "",
    ) -> ListPage:
        page = await super().list_page(prefix, delimiter=delimiter, max_keys=max_keys, token=token)
        if self.sorts:
            return page
        return replace(page, objects=page.objects[::-1], prefixes=page.prefixes[::-1])


@pytest.mark.parametrize("sorts", [True, False])
async def test_a_server_that_ignores_start_after_or_does_not_sort(sorts: bool) -> None:
    """Nothing is missed, whatever it costs."""
    store = CarelessStore()
    store.sorts = sorts
    await store.fill(*(f"d{n}/f{m}" for n in range(30) for m in range(60)))
    assert len(await keys(Tree(store))) == 30 * 61


async def test_a_file_that_is_made_during_a_walk_stays(tree: Tree, store: StagedStore) -> None:
    await store.fill(*(f"d{n}/f{m}" for n in range(9) for m in range(3)))
    made: list[File] = []
    async for node in walked(tree):
        if node.key == "d3/" and not made:
            last = (await tree.children(tree.root))[-1]
            assert isinstance(last, Directory)
            made.append(tree.add_file(last, "own"))
            tree.stored(made[0], await store.head("d0/f0"))
    assert made[0].parent is not None
    assert made[0] in await tree.children(made[0].parent)
