# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The deletion of a file while it is being stored: it is gone, and nothing else is."""

import random

import pytest
import trio
from trio.testing import MockClock

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
