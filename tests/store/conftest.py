# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The stores that the contract is proven on, and a server that does what a script says."""

import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kontenumfs.protocol.signing import KeyPair
from kontenumfs.store.api import Attributes, Store
from kontenumfs.store.capabilities import ProvenCapabilities
from kontenumfs.store.client import HTTPStore, open_store
from kontenumfs.store.conditional import ConditionalStore
from kontenumfs.store.keys import KeyRing
from kontenumfs.store.proof import Verb
from kontenumfs.store.spool.store import SpoolStore
from kontenumfs.store.wire import Endpoint
from tests.doubles.fake import FakeStore
from tests.doubles.faulty import FaultyStore
from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator
from tests.store.spool.harness import content, drained, open_spool

KEYS = KeyPair(ACCESS, SECRET)


@dataclass
class Subject:
    """A store under test, with a prefix of its own and a way to see bytes that no store shows."""

    store: Store
    prefix: str
    fetch: Callable[[str], bytes]

    async def put(self, name: str, data: bytes, **headers: str) -> str:
        """Store `data` below the prefix; returns the key."""
        key = self.prefix + name
        named = {header.replace("_", "-"): value for header, value in headers.items()}
        await self.store.put(key, [data], Attributes(headers=named))
        return key


IGNORED: dict[str, list[Verb]] = {
    "honoured": [],
    "ignored": list(Verb),
    **{f"{verb.value} ignored": [verb] for verb in Verb},
}
"""The rows of the matrix: which conditions the store behind a ConditionalStore passes over."""


async def believing(inner: Store) -> ConditionalStore:
    """The store on which beliefs count, whatever `inner` makes of conditions."""
    capabilities = ProvenCapabilities(inner, "outside/")
    await capabilities.get()
    return ConditionalStore(inner, capabilities, deadline=30)


class Spooled(Subject):
    """A spool of which nothing is sent but what others read from the store behind it."""

    async def put(self, name: str, data: bytes, **headers: str) -> str:
        """Store `data` below the prefix, and see that it gets there; returns the key."""
        assert isinstance(self.store, SpoolStore)
        key = await super().put(name, data, **headers)
        assert not await drained(self.store.spool)
        return key


KINDS = ["fake", "faulty", "v4", "v2", "plain", "conditional", "conditional-v4", "spool"]


@pytest.fixture(params=KINDS)
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    """Every implementation of Store, the client in each way of signing."""
    prefix = f"contract-{secrets.token_hex(6)}/"
    if request.param == "spool":
        fake = FakeStore(BUCKET)
        spool = open_spool(await believing(fake), tmp_path / "spool")
        yield Spooled(SpoolStore(spool), prefix, lambda key: content(spool, fake, key))
        assert not await drained(spool)
        spool.close()
        return
    if request.param == "conditional":
        fake = FakeStore(BUCKET)
        yield Subject(await believing(fake), prefix, fake.data)
        return
    if request.param in ("fake", "faulty"):
        fake = FakeStore(BUCKET)
        store: Store = FaultyStore(fake) if request.param == "faulty" else fake
        yield Subject(store, prefix, fake.data)
        return
    emulator: Emulator = request.getfixturevalue("emulator")
    kind, _, signature = request.param.rpartition("-")
    client = open_store(
        Endpoint(emulator.s3_url, signature=signature), BUCKET, KeyRing([KEYS]), deadline=30
    )
    store = await believing(client) if kind else client
    yield Subject(store, prefix, emulator.fetch)
    await client.aclose()


@pytest.fixture(params=["fake", "faulty", "emulator", *IGNORED])
async def believer(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """Every store on which beliefs count, on each row of the matrix of what is behind it."""
    prefix = f"beliefs-{secrets.token_hex(6)}/"
    if request.param == "emulator":
        emulator: Emulator = request.getfixturevalue("emulator")
        client = open_store(Endpoint(emulator.s3_url), BUCKET, KeyRing([KEYS]), deadline=30)
        yield Subject(await believing(client), prefix, emulator.fetch)
        await client.aclose()
        return
    fake = FakeStore(BUCKET, conditions=set(Verb) - set(IGNORED.get(request.param, [])))
    if request.param in IGNORED:
        yield Subject(await believing(fake), prefix, fake.data)
        return
    yield Subject(FaultyStore(fake) if request.param == "faulty" else fake, prefix, fake.data)


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[HTTPStore]:
    """The client against the emulator."""
    store = open_store(Endpoint(emulator.s3_url), BUCKET, KeyRing([KEYS]), deadline=30)
    yield store
    await store.aclose()
