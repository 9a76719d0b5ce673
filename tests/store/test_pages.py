# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Listings of odd but honest servers are read to their end."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from kontenumfs.protocol import errors as e
from kontenumfs.store.client import HTTPStore, open_store
from kontenumfs.store.keys import KeyRing
from kontenumfs.store.wire import Endpoint
from tests.harness.emulator import BUCKET
from tests.store.conftest import KEYS
from tests.store.hostile import answer, common, entry, page
from tests.store.loopback import Peer, serving

Pages = Callable[[int], bytes]
"""The page at a place; the token of the next is its number."""


@asynccontextmanager
async def store_of(pages: Pages) -> AsyncIterator[HTTPStore]:
    async def script(peer: Peer) -> None:
        while head := await peer.request():
            target = head.split(b" ")[1].decode()
            _, is_later, rest = target.partition("continuation-token=")
            await peer.say(pages(int(rest.partition("&")[0]) if is_later else 0))

    async with serving(script) as server:
        store = open_store(Endpoint(server.url), BUCKET, KeyRing([KEYS]), deadline=30)
        try:
            yield store
        finally:
            await store.aclose()


async def keys(store: HTTPStore, delimiter: str = "") -> list[str]:
    found: list[str] = []
    token: str | None = None
    while True:
        at = await store.list_page("mine/", delimiter=delimiter, token=token)
        found += [info.key for info in at.objects] + list(at.prefixes)
        token = at.next_token
        if token is None:
            return found


def numbered(number: int, last: int, *entries: bytes) -> bytes:
    return page(*entries, token=b"%d" % (number + 1) if number < last else b"")


async def read(pages: Pages, delimiter: str = "") -> list[str]:
    async with store_of(pages) as store:
        return await keys(store, delimiter)


async def test_any_order_will_do() -> None:
    found = await read(lambda n: numbered(n, 9, entry(b"mine/%d" % (9 - n))))
    assert found == [f"mine/{9 - number}" for number in range(10)]


async def test_some_empty_pages_are_passed_over() -> None:
    """As of a bucket with many deleted versions."""
    found = await read(lambda n: numbered(n, 31, *([entry(b"mine/last")] if n == 31 else [])))
    assert found == ["mine/last"]


async def test_a_prefix_may_be_told_on_several_pages() -> None:
    """A server that pages before it groups."""
    found = await read(lambda n: numbered(n, 20, common(b"mine/dir/")), "/")
    assert set(found) == {"mine/dir/"}


async def test_the_same_listing_can_be_read_twice_and_by_two_at_once() -> None:
    """Tokens say where it goes on, and are the same for all."""
    async with store_of(lambda n: numbered(n, 40, entry(b"mine/%02d" % n))) as store:
        first = await store.list_page("mine/")
        whole = await keys(store)
        assert len(whole) == 41
        token = first.next_token
        count = 1
        while token is not None:
            at = await store.list_page("mine/", token=token)
            token = at.next_token
            count += len(at.objects)
            if count == 20:
                assert await keys(store) == whole
        assert count == 41


@pytest.mark.parametrize("length", [2, 3, 7, 20])
async def test_a_circle_of_any_length_ends(length: int) -> None:
    def pages(number: int) -> bytes:
        after = number + 1 if number < length + 4 else 5
        return page(entry(b"mine/%d" % number), token=b"%d" % after)

    async with store_of(pages) as store:
        with pytest.raises(e.UnexpectedAnswer, match="never ends"):
            await keys(store)


@pytest.mark.parametrize("length", [2, 5, 20])
async def test_old_pages_in_turn_with_new_tokens_end(length: int) -> None:
    def pages(number: int) -> bytes:
        return numbered(number, 200, entry(b"mine/%d" % (number % length)))

    async with store_of(pages) as store:
        with pytest.raises(e.UnexpectedAnswer, match="never ends"):
            await keys(store)


async def test_bytes_that_are_no_text_stay_themselves() -> None:
    """Such a key is hidden, as it cannot be a file name, and no other key is taken for it."""
    encoded = b"<EncodingType>url</EncodingType>"
    found = await read(lambda n: page(entry(b"mine/%FF"), entry(b"mine/a%2Bb+c"), more=encoded))
    assert found == ["mine/\udcff", "mine/a+b c"]


@pytest.mark.parametrize("said", [b"mine/", b"mine%2F"])
async def test_an_answer_may_tell_its_prefix_in_either_form(said: bytes) -> None:
    more = b"<EncodingType>url</EncodingType><Prefix>" + said + b"</Prefix>"
    assert await read(lambda n: page(entry(b"mine/a"), more=more)) == ["mine/a"]


async def test_a_bucket_is_there_only_where_a_listing_says_so() -> None:
    async def script(peer: Peer) -> None:
        while await peer.request():
            await peer.say(answer(b"200 OK", body=b"<html>hello</html>"))

    async with serving(script) as server:
        store = open_store(Endpoint(server.url), BUCKET, KeyRing([KEYS]), deadline=5)
        with pytest.raises(e.UnexpectedAnswer, match="not S3's"):
            await store.head_bucket()
        await store.aclose()
