# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What a lookup costs and what it finds: nothing when fresh, else one HEAD and one LIST."""

import logging

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol import errors as e
from kontenumfs.tree.inodes import InodeTable
from kontenumfs.tree.node import Directory, File
from kontenumfs.tree.tree import Tree
from tests.doubles.faulty import Fault, FaultyStore
from tests.tree.conftest import HEAD, LIST, TTL, StagedStore

ALWAYS = -1
"""A fault's count that never runs out."""


@pytest.fixture
def tree(tree: Tree) -> Tree:
    """A mount whose root has too many names to be listed for one."""
    tree.root.large = True
    return tree


async def test_a_first_lookup_is_one_head_and_one_list_side_by_side(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    """Neither waits for the other: both together take as long as one."""
    await store.fill("file")
    store.latency = 1.0
    found = await tree.lookup(tree.root, "file")
    assert store.asked() == [HEAD, LIST]
    assert trio.current_time() == 1.0
    assert isinstance(found, File)
    assert found.info is not None
    assert (found.info.key, found.info.size) == ("file", 4)


async def test_an_answer_is_believed_for_the_ttl(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    await store.fill("file")
    found = await tree.lookup(tree.root, "file")
    store.asked()
    autojump_clock.jump(TTL - 1)
    assert await tree.lookup(tree.root, "file") is found
    assert store.asked() == []
    autojump_clock.jump(1)
    assert await tree.lookup(tree.root, "file") is found
    assert store.asked() == [HEAD, LIST]


async def test_without_a_ttl_each_lookup_asks(store: StagedStore) -> None:
    tree = Tree(store, ttl=0)
    await store.fill("file")
    found = await tree.lookup(tree.root, "file")
    assert await tree.lookup(tree.root, "file") is found
    assert store.asked() == [HEAD, HEAD, LIST, LIST]


async def test_a_fresh_listing_answers_for_what_is_there_and_what_is_not(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    await store.fill("file", "dir/file")
    await tree.children(tree.root)
    store.asked()
    autojump_clock.jump(TTL - 1)
    assert isinstance(await tree.lookup(tree.root, "file"), File)
    assert isinstance(await tree.lookup(tree.root, "dir"), Directory)
    with pytest.raises(e.FileMissing):
        await tree.lookup(tree.root, "absent")
    assert store.asked() == []


async def test_an_absent_name_is_asked_for_once_a_ttl(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    for _ in range(3):
        with pytest.raises(e.FileMissing):
            await tree.lookup(tree.root, "absent")
    assert store.asked() == [HEAD, LIST]
    await store.fill("absent")
    with pytest.raises(e.FileMissing):
        await tree.lookup(tree.root, "absent")
    autojump_clock.jump(TTL)
    assert isinstance(await tree.lookup(tree.root, "absent"), File)


@pytest.mark.parametrize("keys", [["name/"], ["name/below/deep"], ["name", "name/below"]])
async def test_a_prefix_is_a_directory(tree: Tree, store: StagedStore, keys: list[str]) -> None:
    """With a marker, without one, and also where an object has the name as well."""
    await store.fill(*keys)
    found = await tree.lookup(tree.root, "name")
    assert isinstance(found, Directory)
    assert found.key == "name/"


async def test_an_absent_name_stays_known_when_its_neighbour_is_doubtful(
    tree: Tree, store: StagedStore
) -> None:
    """A listing has told that both are absent; a failed change makes it count no more for one."""
    await store.fill("file")
    await tree.children(tree.root)
    for name in ("asked", "failed"):
        with pytest.raises(e.FileMissing):
            await tree.lookup(tree.root, name)
    store.asked()
    tree.invalidate(tree.root, "failed")
    with pytest.raises(e.FileMissing):
        await tree.lookup(tree.root, "asked")
    assert store.asked() == []
    with pytest.raises(e.FileMissing):
        await tree.lookup(tree.root, "failed")
    assert LIST in store.asked()


@pytest.mark.parametrize(("before", "after"), [("name", "name/below"), ("name/below", "name")])
async def test_what_others_turn_into_another_kind_is_another_node(
    tree: Tree,
    inodes: InodeTable,
    store: StagedStore,
    autojump_clock: MockClock,
    before: str,
    after: str,
) -> None:
    """A file that became a directory, or the reverse, has a new inode number."""
    await store.fill(before)
    old = await tree.lookup(tree.root, "name")
    inodes.remember(old)
    await store.lose(before)
    await store.fill(after)
    autojump_clock.jump(TTL)
    new = await tree.lookup(tree.root, "name")
    assert type(new) is not type(old)
    assert inodes.number(new) != inodes.number(old)
    assert old.removed
    assert not new.removed


async def test_what_others_deleted_is_gone_after_the_ttl(
    tree: Tree, store: StagedStore, autojump_clock: MockClock
) -> None:
    await store.fill("file")
    old = await tree.lookup(tree.root, "file")
    await store.lose("file")
    assert await tree.lookup(tree.root, "file") is old
    autojump_clock.jump(TTL)
    with pytest.raises(e.FileMissing):
        await tree.lookup(tree.root, "file")
    assert old.removed


async def test_heads_side_by_side_are_bounded(
    store: StagedStore, autojump_clock: MockClock
) -> None:
    tree = Tree(store, heads=3)
    await store.fill(*(str(number) for number in range(10)))
    store.latency = 1.0
    async with trio.open_nursery() as nursery:
        for node in await tree.children(tree.root):
            nursery.start_soon(tree.fetch_attributes, node)
    assert store.busiest == 3


async def test_many_names_of_one_directory_are_one_listing(tree: Tree, store: StagedStore) -> None:
    """rsync asks for every name that it will write: the third one has the directory listed."""
    await store.fill("there")
    for number in range(50):
        with pytest.raises(e.FileMissing):
            await tree.lookup(tree.root, f"new{number}")
    await tree.lookup(tree.root, "there")
    assert len(store.asked()) == 2 * 2 + 1


async def test_names_of_a_large_directory_are_asked_for_one_by_one(
    tree: Tree, store: StagedStore
) -> None:
    """One page is fetched to find out, and its names are known then."""
    await store.fill(*(f"{number:04}" for number in range(1500)))
    for number in (1490, 1491, 1492, 1493, 0, 1, 2):
        await tree.lookup(tree.root, f"{number:04}")
    assert len(store.asked()) == 2 * 4 + 1


@pytest.mark.parametrize("verb", ["head", "list_page"])
async def test_a_failure_is_raised_as_it_is(store: StagedStore, verb: str) -> None:
    """Not wrapped in a group, and remembered as nothing."""
    tree = Tree(FaultyStore(store, Fault(verb, e.ServerError(status=500))))
    tree.root.large = True
    await store.fill("file")
    with pytest.raises(e.ServerError):
        await tree.lookup(tree.root, "file")
    assert isinstance(await tree.lookup(tree.root, "file"), File)


async def test_the_longest_key_can_be_looked_up_and_a_longer_one_is_refused(
    tree: Tree, store: StagedStore
) -> None:
    """1,024 bytes: a slash more would be refused by the store, so it is not sent."""
    components = ["c" * 255] * 4  # 1,023 bytes with three slashes
    await store.fill("/".join(components) + "x")
    parent = tree.root
    for name in components[:3]:
        found = await tree.lookup(parent, name)
        assert isinstance(found, Directory)
        parent = found
        parent.large = True
    store.asked()
    assert isinstance(await tree.lookup(parent, components[3] + "x"), File)
    assert store.asked() == [HEAD]
    with pytest.raises(e.NameTooLong):
        await tree.lookup(parent, "ü" * 129)
    assert store.asked() == []


def denied() -> e.AccessDenied:
    """The answer to a HEAD that is refused: it has no body, and so no code."""
    return e.AccessDenied(status=403)


async def test_where_head_is_refused_a_listing_tells(
    store: StagedStore, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What exists is found, what does not is ENOENT; it is logged once, and tried again later."""
    faulty = FaultyStore(store, Fault("head", denied(), count=ALWAYS))
    tree = Tree(faulty, ttl=TTL)
    await store.fill("file", "filed", "dir/below")
    found = await tree.lookup(tree.root, "file")
    assert isinstance(found, File)
    assert found.info is not None
    assert (found.info.key, found.info.size) == ("file", 4)
    await tree.fetch_attributes(found)
    assert isinstance(await tree.lookup(tree.root, "dir"), Directory)
    for absent in ("fil", "absent"):
        with pytest.raises(e.FileMissing):
            await tree.lookup(tree.root, absent)
    autojump_clock.jump(TTL)
    assert await tree.lookup(tree.root, "file") is found
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_a_refused_head_is_not_refused_for_good(
    store: StagedStore, autojump_clock: MockClock
) -> None:
    """Rights that come back show times and modes again, after the ttl."""
    tree = Tree(FaultyStore(store, Fault("head", denied(), count=1)), ttl=TTL)
    await store.fill("file")
    found = await tree.lookup(tree.root, "file")
    assert isinstance(found, File)
    await tree.fetch_attributes(found)
    assert found.info is not None
    assert found.info.attributes is None
    assert store.asked() == [LIST, LIST]
    autojump_clock.jump(TTL)
    await tree.fetch_attributes(found)
    assert found.info.attributes is not None
    assert store.asked() == [HEAD]


async def test_a_key_pair_that_may_do_nothing_is_told_so(store: StagedStore) -> None:
    """403 to everything is no proof that a name is absent, or that HEAD alone is refused."""
    faulty = FaultyStore(store)
    tree = Tree(faulty)
    await store.fill("file")
    found = (await tree.children(tree.root))[0]
    faulty.add(Fault("*", denied(), count=4))
    for _ in range(2):
        with pytest.raises(e.AccessDenied):
            await tree.fetch_attributes(found)
    assert not found.removed
    await tree.fetch_attributes(found)
    assert isinstance(found, File)
    assert found.info is not None
    assert found.info.attributes is not None
