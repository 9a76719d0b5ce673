# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever the store says: the outcome is right, or an error of ours within the deadline."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from kontenumfs.protocol import errors as e
from kontenumfs.store.client import HTTPStore, open_store
from kontenumfs.store.keys import KeyRing
from kontenumfs.store.wire import Endpoint
from tests.harness.emulator import BUCKET
from tests.store.conftest import KEYS
from tests.store.hostile import FOREIGN, KINDS, ONCE, VERBS, Kind, Verb, head, table
from tests.store.loopback import Loopback, Peer, serving

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
DEADLINE, SHORT = 30.0, 0.5
MEMORY = 96 << 20
HEAVY = {"a gzip bomb", "400,000 elements", "a body without end", "elements 5,000 deep"}


def store_at(server: Loopback, deadline: float) -> HTTPStore:
    return open_store(Endpoint(server.url), BUCKET, KeyRing([KEYS]), deadline=deadline)


async def outcome(kind: Kind, asked: list[bytes], deadline: float | None = None) -> object:
    """What the caller gets."""
    if deadline is None:
        deadline = SHORT if kind.is_slow else DEADLINE

    async def script(peer: Peer) -> None:
        try:
            await kind.play(peer, asked)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # who has heard enough hangs up

    async with serving(script) as server:
        store = store_at(server, deadline)
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


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
async def test_every_broken_answer_to_every_request_does_no_harm(verb: Verb) -> None:
    """Whatever it was made for: right, or an error of ours, within the deadline."""
    wrong: list[str] = []

    async def judge(kind: Kind) -> None:
        asked: list[bytes] = []
        fits = kind.fits(verb)
        got = await outcome(replace(kind, verb=verb), asked, DEADLINE if fits else SHORT)
        if reason := harm(kind, verb, got, asked):
            wrong.append(f"{kind.name}: {reason}: {got}")

    async with trio.open_nursery() as nursery:
        for kind in KINDS:
            nursery.start_soon(judge, kind)
    assert not wrong, "\n".join(wrong)


def harm(kind: Kind, verb: Verb, got: object, asked: list[bytes]) -> str:
    """What is wrong with an outcome; empty where nothing is."""
    if isinstance(got, e.KontenumError):
        if kind.fits(verb):
            return "a good answer is refused"
        if not str(got).isprintable() or len(str(got)) > 2500:
            return "it is told in too many words"
        if isinstance(got, e.NotFound) and verb is not head and not kind.says_missing:
            return "something else than the store says that nothing is there"
    elif not kind.fits(verb):
        return "it is believed"
    if any(FOREIGN.encode() in request for request in asked):
        return "another key is asked for"
    if len(asked) > (1 if verb in ONCE else 100):
        return f"{len(asked)} requests"
    return ""


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
