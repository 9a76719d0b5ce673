# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Listings that never end, or that tell of what was not asked for."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol import errors as e
from kontenumfs.protocol.xml import ListedObject
from kontenumfs.protocol.xml import Listing as Said
from kontenumfs.store.api import ListPage
from kontenumfs.store.pages import Pages, Question
from kontenumfs.store.wire import Call
from kontenumfs.tree.node import Directory
from kontenumfs.tree.tree import Tree
from tests.tree.conftest import TTL, StagedStore, info

Answer = Callable[[int, str], ListPage]


def page(*keys: str, token: str | None, prefixes: tuple[str, ...] = ()) -> ListPage:
    """A page of objects."""
    return ListPage(tuple(info(key) for key in keys), prefixes, token)


@dataclass
class Lie:
    """What each page of a listing is, by its number."""

    name: str
    answer: Answer
    shown: list[str]


class LyingStore(StagedStore):
    """Answers each request for a page with what `answer` makes of its number and its prefix.

    What it says goes through the gate, as every answer does.
    """

    answer: Answer | None = None

    def __init__(self) -> None:
        super().__init__()
        self._gate = Pages()

    async def list_page(
        self,
        prefix: str = "",
        *,
        delimiter: str = "",
        max_keys: int = 1000,
        token: str | None = None,
        start_after: str = "",
    ) -> ListPage:
        told = await super().list_page(
            prefix, delimiter=delimiter, max_keys=max_keys, token=token, start_after=start_after
        )
        if self.answer is not None:
            told = self.answer(len(self.calls), prefix)
        said = Said(
            tuple(ListedObject(i.key, i.size, i.etag, i.last_modified) for i in told.objects),
            told.prefixes,
            told.next_token,
        )
        question = Question(prefix, delimiter, max_keys, token)
        return self._gate.judge_listing(said, Call("ListObjectsV2", "GET", prefix), question)


ENDLESS = {
    "tokens A, B, A, B": lambda n, p: page(f"{p}k{n % 2}", token="AB"[n % 2]),
    "tokens A, A, A": lambda n, p: page(f"{p}k{n}", token="A"),
    "new tokens and no new key": lambda n, p: page(f"{p}a", f"{p}b", token=str(n)),
    "new tokens and old keys in turn": lambda n, p: page(f"{p}k{n % 5}", token=str(n)),
    "new tokens and no key": lambda n, p: page(token=str(n)),
    "new tokens and one prefix": lambda n, p: page(token=str(n), prefixes=(f"{p}d/",)),
    "new tokens and one hidden key": lambda n, p: page(f"{p}/x", token=str(n)),
    "new hidden keys": lambda n, p: page(f"{p}.", token=str(n), prefixes=(f"{p}{n:09}/"[:-1],)),
    "new keys elsewhere": lambda n, p: page(f"elsewhere{n:09}", token=str(n)),
}


@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS)
async def test_a_listing_without_an_end_is_an_error_and_nothing_more_is_asked(
    autojump_clock: MockClock, answer: Answer
) -> None:
    """S9.10: To who reads the directory or a name in it; the mount is quiet after."""
    store = LyingStore()
    store.answer = answer
    tree = Tree(store, prefix="site/", ttl=TTL)
    for _ in range(2):
        with pytest.raises(e.UnexpectedAnswer):
            await tree.children(tree.root)
        assert len(store.asked()) <= 40
        await trio.sleep(TTL)
        assert store.asked() == []
    listing = await tree.open_listing(tree.root)
    assert listing is not None
    for _ in range(3):
        with pytest.raises(e.UnexpectedAnswer):
            await listing.finish()
    assert len(store.asked()) <= 40


SHOWN = {
    "hidden names": lambda n, p: page(token=str(n), prefixes=(f"{p}{n:09}{'x' * 255}/",)),
    "old names in new company": lambda n, p: page(f"{n % 45}", f"x{n % 44}", token=str(n)),
}


@pytest.mark.parametrize("answer", SHOWN.values(), ids=SHOWN)
async def test_pages_that_show_nothing_end(autojump_clock: MockClock, answer: Answer) -> None:
    """Each is a new one to the gate, but has nothing new for who reads the directory."""
    store = LyingStore()
    store.answer = answer
    tree = Tree(store)
    with pytest.raises(e.UnexpectedAnswer):
        await tree.children(tree.root)
    assert len(store.asked()) < 2000


async def test_a_store_that_was_lost_for_a_while_is_asked_anew(autojump_clock: MockClock) -> None:
    store = LyingStore()
    await store.fill("a", "b")
    store.answer = lambda n, p: page("a", token="A")
    tree = Tree(store)
    with pytest.raises(e.UnexpectedAnswer):
        await tree.children(tree.root)
    store.answer = None
    assert [node.name for node in await tree.children(tree.root)] == ["a", "b"]


async def test_a_few_empty_pages_are_waited_for(autojump_clock: MockClock) -> None:
    """Some stores send them while they look on."""
    store = LyingStore()
    counter = itertools.count()

    def answer(number: int, prefix: str) -> ListPage:
        count = next(counter)
        return page("a", token=None) if count == 10 else page(token=str(count))

    store.answer = answer
    tree = Tree(store)
    assert [node.name for node in await tree.children(tree.root)] == ["a"]


async def test_a_prefix_on_several_pages_is_one_directory(autojump_clock: MockClock) -> None:
    """Of a server that pages before it groups."""
    store = LyingStore()
    store.answer = lambda n, p: page(
        f"x{n}", token=str(n) if n < 5 else None, prefixes=(f"d{n // 3}/",)
    )
    tree = Tree(store)
    listing = await tree.open_listing(tree.root)
    assert listing is not None
    await listing.finish()
    assert [node.name for node in listing.entries if isinstance(node, Directory)] == ["d0", "d1"]


async def test_many_pages_that_do_not_sort_are_no_circle(autojump_clock: MockClock) -> None:
    store = LyingStore()
    store.answer = lambda n, p: page(f"{999 - n:03}", token=str(n) if n < 300 else None)
    tree = Tree(store)
    assert len(await tree.children(tree.root)) == 300


FOREIGN = {
    "an object": page("site/mine", "other/theirs", token=None),
    "a shorter key": page("site/mine", "sit", token=None),
    "a common prefix": page("site/mine", token=None, prefixes=("elsewhere/d/",)),
    "a prefix without its slash": page("site/mine", token=None, prefixes=("site/no-slash",)),
}


@pytest.mark.parametrize("answer", FOREIGN.values(), ids=FOREIGN)
async def test_what_is_not_below_what_was_asked_is_not_believed(
    autojump_clock: MockClock, answer: ListPage
) -> None:
    """Neither in a listing, nor as a sign that a directory is there; names are not cut blindly."""
    store = LyingStore()
    tree = Tree(store, prefix="site/")
    store.answer = lambda n, p: answer
    with pytest.raises(e.UnexpectedAnswer):
        await tree.children(tree.root)
    tree.root.large = True
    with pytest.raises(e.UnexpectedAnswer):
        await tree.lookup(tree.root, "other")
    store.answer = None
    assert await tree.children(tree.root) == []


async def test_a_walk_takes_nothing_that_lies_elsewhere(autojump_clock: MockClock) -> None:
    """find over directories that are listed ahead."""
    store = LyingStore()
    directories = [f"d{n}" for n in range(6)]
    await store.fill(*(f"{name}/file" for name in directories))
    tree = Tree(store)
    await tree.children(tree.root)
    store.answer = lambda n, p: page(*(f"x{d}/file" for d in directories), token=None)
    for name in directories:
        node = await tree.lookup(tree.root, name)
        assert isinstance(node, Directory)
        with pytest.raises(e.UnexpectedAnswer):
            await tree.children(node)


async def test_a_name_is_found_where_a_listing_has_no_end(autojump_clock: MockClock) -> None:
    """Who asks for many of a large directory has it listed, but needs no list."""
    store = LyingStore()
    names = [f"n{number}" for number in range(100)]
    await store.fill(*names)
    tree = Tree(store)
    store.answer = lambda n, p: page("a", token="A") if p == "" else page(token=None)
    tree.root.large = True
    for name in names:
        assert (await tree.lookup(tree.root, name)).name == name
