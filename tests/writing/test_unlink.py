# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A file that loses its name while it is being stored: it is gone, and nothing else is."""

import os
import random

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol.errors import AccessDenied
from tests.doubles.fake import FakeStore
from tests.doubles.faulty import Fault, FaultyStore
from tests.writing.harness import workbench
from tests.writing.test_memory import SlowStore


@pytest.mark.parametrize("content", [b"", b"content", bytes(1000)])
@pytest.mark.parametrize("moment", range(0, 24, 2))
async def test_unlink_meets_a_file_that_is_being_closed(
    moment: int, content: bytes, autojump_clock: MockClock
) -> None:
    """Whenever it comes: the kernel releases a file after close(2) has returned."""
    store = SlowStore(random.Random(moment))
    async with workbench(store) as bench:

        async def remove_late(name: str) -> None:
            handle = await bench.open(name)
            if content:
                await handle.write(0, content)
            async with trio.open_nursery() as closing:
                closing.start_soon(bench.close, handle)
                await trio.sleep(moment / 1000)
                await bench.namespace.unlink(bench.tree.root, name)

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(remove_late, f"f{number}")
        await trio.sleep(10)
        assert bench.memory.used == 0
    assert not store.objects
    assert not store.uploads


@pytest.mark.parametrize("moment", range(0, 24, 2))
async def test_rename_meets_a_target_that_is_appended_to(
    moment: int, autojump_clock: MockClock
) -> None:
    """What the old file was sending goes nowhere, and not into the new one."""
    store = SlowStore(random.Random(moment))
    async with workbench(store) as bench:
        for name in ("a", "b"):
            handle = await bench.open(name)
            await handle.write(0, name.encode())
            await bench.close(handle)
        old = await bench.open("b", os.O_WRONLY | os.O_APPEND)
        await old.write(0, bytes(300))
        await trio.sleep(moment / 1000)
        root = bench.tree.root
        await bench.namespace.rename(root, "a", root, "b")
        await old.write(0, bytes(300))
        await trio.sleep(10)
        await bench.close(old)
        assert bench.memory.used == 0
    assert {key: store.data(key) for key in store.objects} == {"b": b"a"}


@pytest.mark.parametrize("verb", ["delete", "copy"])
async def test_a_file_that_kept_its_name_goes_on(verb: str, autojump_clock: MockClock) -> None:
    """What the store has refused did not happen: nothing that was written is lost by it."""
    fake = FakeStore()
    store = FaultyStore(fake)
    async with workbench(store) as bench:
        root = bench.tree.root
        for name in ("f", "other"):
            handle = await bench.open(name)
            await handle.write(0, b"one ")
            await bench.close(handle)
        handle = await bench.open("f")
        await handle.write(4, b"two ")
        attempt = {
            "delete": lambda: bench.namespace.unlink(root, "f"),
            "copy": lambda: bench.namespace.rename(root, "other", root, "f"),
        }
        store.add(Fault(verb, AccessDenied("no")))
        with pytest.raises(AccessDenied):
            await attempt[verb]()
        await handle.write(8, b"three")
        await bench.close(handle)
    assert fake.data("f") == b"one two three"
