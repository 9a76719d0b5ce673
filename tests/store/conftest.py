# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The stores that the contract is proven on, and a server that does what a script says."""

import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from kontenumfs.protocol.signing import KeyPair
from kontenumfs.store.api import Attributes, Store
from kontenumfs.store.client import HTTPStore, open_store
from kontenumfs.store.fake import FakeStore
from kontenumfs.store.faulty import FaultyStore
from kontenumfs.store.keys import KeyRing
from kontenumfs.store.wire import Endpoint
from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator

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


@pytest.fixture(params=["fake", "faulty", "v4", "v2", "plain"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """Every implementation of Store, the client in each way of signing."""
    prefix = f"contract-{secrets.token_hex(6)}/"
    if request.param in ("fake", "faulty"):
        fake = FakeStore(BUCKET)
        store: Store = FaultyStore(fake) if request.param == "faulty" else fake
        yield Subject(store, prefix, fake.data)
        return
    emulator: Emulator = request.getfixturevalue("emulator")
    client = open_store(
        Endpoint(emulator.s3_url, signature=request.param), BUCKET, KeyRing([KEYS]), deadline=30
    )
    yield Subject(client, prefix, emulator.fetch)
    await client.aclose()


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[HTTPStore]:
    """The client against the emulator."""
    store = open_store(Endpoint(emulator.s3_url), BUCKET, KeyRing([KEYS]), deadline=30)
    yield store
    await store.aclose()
