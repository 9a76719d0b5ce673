# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Who stats one file after another finds that the next ones were asked for already."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from kontenumfs.protocol import errors as e
from kontenumfs.tree.node import Directory, File, Node
from kontenumfs.tree.series import AHEAD
from kontenumfs.tree.tree import Tree
from tests.doubles.faulty import Fault, FaultyStore
from tests.tree.conftest import HEAD, TTL, StagedStore

HEADS = 16
"""Requests side by side, as a mount has them."""


@asynccontextmanager
async def mounted(tree: Tree) -> AsyncIterator[Tree]:
    """The tree of a mount, which looks ahead."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        yield tree
        nursery.cancel_scope.cancel()


def names(count: int) -> list[str]:
    """File names in the order of a listing."""
    return [f"f{number:04}" for number in range(count)]


def asked_for(store: StagedStore) -> list[str]:
    """The keys of the HEADs since this was called last, in order."""
    keys = [call.key for call in store.calls if call.operation == HEAD]
    store.calls.clear()
    return keys


async def listed(tree: Tree) -> list[Node]:
    """The files of the root."""
    return await tree.children(tree.root)


async def test_one_file_is_one_head(tree: Tree, store: StagedStore) -> None:
    """Nobody is known to want the others."""
    await store.fill(*names(50))
    async with mounted(tree):
        await tree.fetch_attributes((await listed(tree))[20])
        await wait_all_tasks_blocked()
    assert asked_for(store) == ["f0020"]


async def test_the_second_file_in_order_starts_a_bounded_look_ahead(
    store: StagedStore, autojump_clock: MockClock
) -> None:
    """The next ones in listing order, no more than AHEAD of them, HEADS at once."""
    await store.fill(*names(500))
    tree = Tree(store, heads=HEADS)
    async with mounted(tree):
        nodes = await listed(tree)
        store.latency = 1.0
        await tree.fetch_attributes(nodes[10])
        await tree.fetch_attributes(nodes[11])
        assert trio.current_time() == 2.0
        await trio.sleep(100)
    assert store.busiest == HEADS - 1
    asked = asked_for(store)
    wanted = names(500)[10 : 11 + AHEAD]
    assert sorted(asked) == wanted
    assert all(abs(wanted.index(key) - at) < HEADS for at, key in enumerate(asked))


async def test_a_long_walk_takes_as_long_as_the_heads_side_by_side(
    store: StagedStore, autojump_clock: MockClock
) -> None:
    """Each file is asked for once, and not one after the other."""
    count = 15 * 67
    await store.fill(*names(count))
    tree = Tree(store, heads=HEADS)
    async with mounted(tree):
        store.latency = 1.0
        for node in await listed(tree):
            await tree.fetch_attributes(node)
        assert trio.current_time() <= 70
    assert sorted(asked_for(store)) == names(count)


async def test_what_is_known_is_not_asked_again(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    await store.fill(*names(20))
    async with mounted(tree):
        nodes = await listed(tree)
        for number in (9, 12, 8, 7):
            await tree.fetch_attributes(nodes[number])
            await trio.sleep(1)
        assert sorted(asked_for(store)) == names(20)[7:10] + names(20)[12:]
        for number in range(7, 20):
            await tree.fetch_attributes(nodes[number])
            await trio.sleep(1)
    assert asked_for(store) == names(20)[10:12]


async def test_who_goes_backwards_costs_one_head_a_file(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    await store.fill(*names(40))
    async with mounted(tree):
        for node in reversed(await listed(tree)):
            await tree.fetch_attributes(node)
            await wait_all_tasks_blocked()
    assert asked_for(store) == names(40)[::-1]


async def test_two_directories_in_turn_are_no_series(tree: Tree, store: StagedStore) -> None:
    await store.fill(*(f"{d}/{name}" for d in "ab" for name in names(50)))
    async with mounted(tree):
        pairs = []
        for parent in await listed(tree):
            assert isinstance(parent, Directory)
            pairs.append(await tree.children(parent))
        for both in list(zip(*pairs, strict=True))[:5]:
            for node in both:
                await tree.fetch_attributes(node)
                await wait_all_tasks_blocked()
    assert len(asked_for(store)) == 10


async def test_somebody_else_does_not_wait_for_the_look_ahead(
    store: StagedStore, autojump_clock: MockClock
) -> None:
    """A stat in another directory is answered as if there were none."""
    await store.fill(*(f"a/{name}" for name in names(300)), "b/other")
    tree = Tree(store, heads=HEADS)
    async with mounted(tree):
        many, other = await listed(tree)
        assert isinstance(many, Directory)
        assert isinstance(other, Directory)
        nodes, (wanted,) = await tree.children(many), await tree.children(other)
        store.latency = 1.0
        await tree.fetch_attributes(nodes[0])
        await tree.fetch_attributes(nodes[1])
        await trio.sleep(0.5)
        began = trio.current_time()
        await tree.fetch_attributes(wanted)
        assert trio.current_time() - began == 1.0


async def test_what_fails_ahead_is_told_to_who_wants_it(
    store: StagedStore, autojump_clock: MockClock
) -> None:
    """The mount goes on, and the file that failed is asked for again."""
    await store.fill(*names(10))
    faulty = FaultyStore(store, Fault("head", e.NotSent("no route"), key="f0005"))
    tree = Tree(faulty, ttl=TTL)
    async with mounted(tree):
        nodes = await listed(tree)
        await tree.fetch_attributes(nodes[0])
        await tree.fetch_attributes(nodes[1])
        await trio.sleep(1)
        assert sorted(asked_for(store)) == [n for n in names(10) if n != "f0005"]
        await tree.fetch_attributes(nodes[5])
    assert asked_for(store) == ["f0005"]


async def test_what_was_deleted_meanwhile_is_missing_at_no_further_cost(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    await store.fill(*names(10))
    async with mounted(tree):
        nodes = await listed(tree)
        await store.lose("f0006")
        await tree.fetch_attributes(nodes[0])
        await tree.fetch_attributes(nodes[1])
        await trio.sleep(1)
        store.asked()
        assert nodes[6].removed
        with pytest.raises(e.FileMissing):
            await tree.lookup(tree.root, "f0006")
        assert store.asked() == []


async def test_a_mount_that_ends_does_not_wait_for_it(
    store: StagedStore, autojump_clock: MockClock
) -> None:
    """What is under way is given up, and what is asked for then is answered all the same."""
    await store.fill(*names(100))
    tree = Tree(store, heads=HEADS)
    async with mounted(tree):
        nodes = await listed(tree)
        await tree.fetch_attributes(nodes[0])
        store.latency = 60.0
        with trio.move_on_after(1):
            await tree.fetch_attributes(nodes[1])
    assert trio.current_time() == 1.0
    store.latency = 0.0
    last = nodes[-1]
    assert isinstance(last, File)
    await tree.fetch_attributes(last)
    assert last.is_described
