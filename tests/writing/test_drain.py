# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The end of a mount while programs are still writing: what was closed stays as it is."""

import random

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.store.fake import FakeStore
from tests.writing.harness import workbench
from tests.writing.test_memory import SlowStore


@pytest.mark.parametrize("moment", range(0, 40, 2))
async def test_drain_meets_files_that_are_being_closed(
    moment: int, autojump_clock: MockClock
) -> None:
    """Whenever it comes: a file that was closed since is not published again, empty."""
    store: FakeStore = SlowStore(random.Random(moment))
    async with workbench(store) as bench:

        async def copy(name: str) -> None:
            handle = await bench.open(name)
            await handle.write(0, b"content of " + name.encode())
            await bench.close(handle)

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(copy, f"f{number}")
            await trio.sleep(moment / 1000)
            assert await bench.files.drain() == []
    for number in range(8):
        assert store.data(f"f{number}") == f"content of f{number}".encode()
