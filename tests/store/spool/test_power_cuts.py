# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Power cuts at any write: what was acknowledged is there, and gets to the store once.

`make spool-campaign` runs many more of them than a test does.
"""

import os
import random
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import trio

from kontenumfs.protocol.errors import NoSuchKey, SpoolFailed, SpoolFull, SpoolRefused
from kontenumfs.store import settling
from kontenumfs.store.api import Attributes
from kontenumfs.store.beliefs import ABSENT, Belief, Version
from kontenumfs.store.capabilities import ProvenCapabilities
from kontenumfs.store.conditional import ConditionalStore
from kontenumfs.store.spool import runner
from kontenumfs.store.spool.journal import Journal
from kontenumfs.store.spool.spool import Spool, SpoolOptions
from kontenumfs.store.spool.store import SpoolStore
from tests.doubles.fake import FakeStore
from tests.store.spool.harness import SIZE, WHOSE, content, drained, sending
from tests.store.spool.power import FragileDisk

CUTS = int(os.environ.get("KONTENUMFS_CUTS", "20"))
MODE = Attributes({"mode": "33188"}, {"content-type": "text/plain"})
KEYS = ("a", "b", "c", "live.m3u8", "log")

Step = tuple[str, bytes | None, Callable[[], Awaitable[object]]]
"""A key, what it has afterwards (None: no object), and the request."""


async def base(store: SpoolStore, key: str) -> Belief:
    """What a writer believes of a key."""
    try:
        info = await store.head(key)
    except NoSuchKey:
        return ABSENT
    return Version(info.etag, info.size)


def steps(store: SpoolStore, rng: random.Random, view: dict[str, bytes]) -> Iterator[Step]:
    """What a program does next, request by request."""
    key, body = rng.choice(KEYS), rng.randbytes(rng.choice([1, 20, 70_000]))

    async def put() -> None:
        await store.put(key, [body], MODE, expected=await base(store, key))

    async def append() -> None:
        await store.append(key, [body], expected=await base(store, key))

    async def copy() -> None:
        await store.copy(key, f"{key}2", MODE, expected=await base(store, key))

    async def delete() -> None:
        await store.delete(key)

    match rng.choice(["put", "append", "append", "rename", "delete"]):
        case "put":
            yield key, body, put
        case "append":
            yield key, view.get(key, b"") + body, append
        case "rename" if key in view:
            yield f"{key}2", view[key], copy
            yield key, None, delete
        case "delete":
            yield key, None, delete


def seen(spool: Spool, fake: FakeStore) -> dict[str, bytes]:
    """All objects as the spool has them."""
    found = {}
    for key in {*fake.objects, *spool.queue.keys}:
        state = spool.queue.state(key)
        if state is None or state.size is not None:
            found[key] = content(spool, fake, key)
    return found


class Machine:
    """A store, and a machine beside it whose power goes again and again."""

    def __init__(self, place: Path, seed: int) -> None:
        self.fake = FakeStore("bucket")
        self.rng = random.Random(seed)
        self.view: dict[str, bytes] = {}
        self.unsure: tuple[str, bytes | None] | None = None
        """What was under way when the power went, and was acknowledged to nobody."""
        self._place = place
        place.mkdir(mode=0o700)

    async def boot(self, disk: FragileDisk) -> Spool:
        """Begin anew, and find everything that was acknowledged."""
        capabilities = ProvenCapabilities(self.fake, "outside/")
        await capabilities.get()
        store = ConditionalStore(self.fake, capabilities, deadline=30)
        journal = Journal(self._place, WHOSE, disk=disk, segment_bytes=1 << 18)
        spool = Spool(store, self._place, WHOSE, SpoolOptions(SIZE), journal=journal)
        spool.open()
        found = seen(spool, self.fake)
        if self.unsure is not None and found != self.view:
            self._set(*self.unsure)
        self.unsure = None
        assert found == self.view
        return spool

    def _set(self, key: str, value: bytes | None) -> None:
        if value is None:
            self.view.pop(key, None)
        else:
            self.view[key] = value

    async def work(self, spool: Spool) -> None:
        """Do something, and again, until the disk fails."""
        store = SpoolStore(spool)
        while True:
            for key, value, request in steps(store, self.rng, self.view):
                self.unsure = key, value
                await request()
                self._set(key, value)
                self.unsure = None
            await trio.sleep(self.rng.choice([0, 0, 0.002]))

    async def cut(self) -> None:
        """Boot, work, and lose the power at some write."""
        disk = FragileDisk(stop_after=self.rng.randrange(1, 80))
        try:
            spool = await self.boot(disk)
        except SpoolRefused:
            disk.cut(self.rng)
            return
        async with sending(spool):
            with pytest.raises((SpoolFailed, SpoolFull)):
                await self.work(spool)
        spool.close()
        disk.cut(self.rng)


@pytest.mark.parametrize("seed", range(2))
async def test_nothing_is_lost_or_doubled_by_power_cuts(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """S13.3: each boot shows what was acknowledged, and in the end the store has just that."""
    monkeypatch.setattr(runner, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(settling, "FIRST_WAIT", 0.001)
    machine = Machine(tmp_path / "spool", seed)
    for _ in range(CUTS // 2):
        await machine.cut()
    spool = await machine.boot(FragileDisk())
    assert await drained(spool) == 0, [entry.parked for entry in spool.queue]
    spool.close()
    assert {key: bytes(made.data) for key, made in machine.fake.objects.items()} == machine.view
    caplog.clear()
