# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What a file costs does not depend on how many others are open."""

import os
import sys

from trio.testing import MockClock

from tests.doubles.fake import FakeStore
from tests.writing.harness import workbench

MIB = 1 << 20


async def calls_per_file(count: int, flags: int, *, memory: int) -> float:
    """Calls of functions that it takes to open, write and close `count` files side by side."""
    calls = 0

    def counted(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    store = FakeStore()
    async with workbench(store, memory=memory) as bench:
        sys.setprofile(counted)
        try:
            handles = [await bench.open(f"log-{number}", flags) for number in range(count)]
            for handle in handles:
                await handle.write(0, b"line\n")
            for handle in handles:
                await bench.close(handle)
        finally:
            sys.setprofile(None)
    assert len([key for key in store.objects if key.startswith("log-")]) == count
    return calls / count


async def test_each_of_many_open_files_costs_the_same(autojump_clock: MockClock) -> None:
    """FAULTS 5.4: ten times as many logs, ten times the work."""
    few = await calls_per_file(100, os.O_WRONLY | os.O_CREAT | os.O_APPEND, memory=64 * MIB)
    many = await calls_per_file(1000, os.O_WRONLY | os.O_CREAT | os.O_APPEND, memory=64 * MIB)
    assert many < 1.5 * few


async def test_short_memory_is_found_without_asking_all(autojump_clock: MockClock) -> None:
    """The same where each write has to have another file send what it holds."""
    few = await calls_per_file(100, os.O_WRONLY | os.O_CREAT, memory=300)
    many = await calls_per_file(1000, os.O_WRONLY | os.O_CREAT, memory=300)
    assert many < 1.5 * few
