# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Modes and times that are set on stored files: they arrive, or it is said that they did not."""

import logging
import os

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import AccessDenied, DeadlineExceeded
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import Attributes
from tests.doubles.fake import FakeStore
from tests.doubles.faulty import Fault, FaultyStore
from tests.writing.harness import workbench
from tests.writing.rival import Rival
from tests.writing.test_meetings import APPEND, store_file

CHMOD = FileMetadata(mode=0o600)
MODE = str(0o100600)


async def test_a_mode_that_is_set_during_an_outage(autojump_clock: MockClock) -> None:
    """S10.3: It is kept however long that takes, told as failed meanwhile, and stored then."""
    fake = FakeStore()
    store = FaultyStore(fake)
    async with workbench(store) as bench:
        await store_file(bench, "f", b"x")
        node = await bench.find("f")
        store.add(Fault("*", DeadlineExceeded("out"), key="f", count=-1))
        bench.files.set_metadata(node, CHMOD)
        await trio.sleep(3600)
        told = bench.files.status.of(node)
        assert (told["state"], told["last_error"]) == ("failed", "out")
        store.clear()
        await trio.sleep(600)
        assert bench.files.status.of(node)["state"] == "clean"
    assert fake.objects["f"].attributes.metadata["mode"] == MODE


async def test_a_mode_that_the_store_refuses(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """S10.3: Said once, and not tried for ever."""
    store = FaultyStore(FakeStore(), Fault("copy", AccessDenied("no"), key="f", count=-1))
    async with workbench(store) as bench:
        await store_file(bench, "f", b"x")
        bench.files.set_metadata(await bench.find("f"), CHMOD)
        await trio.sleep(3600)
        assert not len(bench.deferred)
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(said) == 1
    assert "metadata lost: key='f'" in said[0]


async def test_what_is_lost_at_the_end_is_named(autojump_clock: MockClock) -> None:
    """The store is out while the mount ends."""
    store = FaultyStore(FakeStore())
    lost: list[str] = []
    async with workbench(store) as bench:
        await store_file(bench, "f", b"x")
        bench.files.set_metadata(await bench.find("f"), CHMOD)
        store.add(Fault("*", DeadlineExceeded("out"), key="f", count=-1))
        await bench.files.drain(lost)
    assert lost == ["f: metadata: out"]


async def test_fsync_of_a_mode_that_could_not_be_stored(autojump_clock: MockClock) -> None:
    """It is told, and tried again by itself."""
    fake = FakeStore()
    store = FaultyStore(fake)
    async with workbench(store) as bench:
        await store_file(bench, "f", b"x")
        node = await bench.find("f")
        bench.files.set_metadata(node, CHMOD)
        store.add(Fault("copy", DeadlineExceeded("out"), key="f"))
        with pytest.raises(DeadlineExceeded):
            await bench.files.sync(node)
        await trio.sleep(60)
    assert fake.objects["f"].attributes.metadata["mode"] == MODE


async def test_metadata_of_more_than_one_copy_takes(autojump_clock: MockClock) -> None:
    """S10.2: `touch` and `chmod` of an object beyond 5 GiB."""
    limits = Limits(max_copy=16, min_part=8)
    store = Rival(limits=limits)
    await store.put("large", [bytes(40)], Attributes())
    async with workbench(store, limits=limits) as bench:
        await bench.capabilities.get()
        bench.files.set_metadata(await bench.find("large"), CHMOD)
        store.before("CompleteMultipartUpload", "large", store.appends("large", b"line"))
        await trio.sleep(60)
        assert store.has_acted
        assert (await bench.find("large")).info.size == 44  # type: ignore[union-attr]
    assert store.data("large") == bytes(40) + b"line"
    assert store.objects["large"].attributes.metadata["mode"] == MODE


@pytest.mark.parametrize("moment", [0.0, 0.5, 1.0])
async def test_an_open_takes_over_what_was_about_to_be_sent(
    moment: float, autojump_clock: MockClock
) -> None:
    """chmod in one process and `>>` in another, again and again: nobody dies of it."""
    fake = FakeStore()
    async with workbench(fake) as bench:
        await store_file(bench, "f", b"x")
        for _ in range(50):
            node = await bench.find("f")
            bench.files.set_metadata(node, CHMOD)
            if moment:
                await trio.sleep(moment)
            handle = await bench.files.open(node, APPEND & ~os.O_CREAT, 0)
            await handle.write(0, b"y")
            await bench.close(handle)
        await trio.sleep(10)
    assert fake.data("f") == b"x" + b"y" * 50
    assert fake.objects["f"].attributes.metadata["mode"] == MODE
