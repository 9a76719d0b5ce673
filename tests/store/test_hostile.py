# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever the store says: the outcome is right, or an error of ours within the deadline."""

import tracemalloc
from pathlib import Path

import pytest
import trio

from kontenumfs.protocol import errors as e
from kontenumfs.store.client import HTTPStore, open_store
from kontenumfs.store.keys import KeyRing
from kontenumfs.store.wire import Endpoint
from tests.harness.emulator import BUCKET
from tests.store.conftest import KEYS
from tests.store.hostile import FOREIGN, KINDS, Kind, table
from tests.store.loopback import Loopback, Peer, serving

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
DEADLINE, SHORT = 30.0, 0.5
MEMORY = 96 << 20
HEAVY = {"a gzip bomb", "400,000 elements", "a body without end", "elements 5,000 deep"}


def store_at(server: Loopback, deadline: float) -> HTTPStore:
    return open_store(Endpoint(server.url), BUCKET, KeyRing([KEYS]), deadline=deadline)


async def outcome(kind: Kind, asked: list[bytes]) -> object:
    """What the caller gets."""

    async def script(peer: Peer) -> None:
        try:
            await kind.play(peer, asked)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # who has heard enough hangs up

    async with serving(script) as server:
        store = store_at(server, SHORT if kind.is_slow else DEADLINE)
        try:
            with trio.fail_after(DEADLINE + 30):
                return await kind.verb(store)
        except e.KontenumError as error:
            return error
        finally:
            await store.aclose()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name.replace(" ", "-"))
async def test_a_broken_answer_does_no_harm(kind: Kind) -> None:
    asked: list[bytes] = []
    got = await outcome(kind, asked)
    if kind.errors:
        assert isinstance(got, kind.errors), got
        assert str(got).isprintable()
        assert len(str(got)) < 2500
    else:
        assert not isinstance(got, e.KontenumError), got
    if kind.result is not None:
        assert got == kind.result
    if isinstance(got, e.UnexpectedAnswer):
        assert got.operation
        assert got.resource or got.operation == "DeleteObjects"
        assert got.message
    assert not [head for head in asked if FOREIGN.encode() in head]
    assert len(asked) < 100


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.name in HEAVY], ids=lambda kind: kind.name
)
async def test_a_broken_answer_takes_little_memory(kind: Kind) -> None:
    tracemalloc.start()
    try:
        await outcome(kind, [])
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


def test_there_are_sixty_kinds_and_the_document_has_them_all() -> None:
    assert len(KINDS) >= 60
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert table() in DOCUMENT.read_text()
