# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Many writers and little memory: back-pressure, and never a standstill."""

import random

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.store.fake import FakeStore
from kontenumfs.writing.memory import MemoryBudget
from tests.writing.harness import workbench

MIB = 1 << 20


class SlowStore(FakeStore):
    """Each request takes a random time, longer ones longer."""

    def __init__(self, random_numbers: random.Random) -> None:
        super().__init__()
        self._random = random_numbers

    async def _enter(self, operation: str, key: str, sent: int = 0) -> None:
        await trio.sleep(self._random.random() * 0.01 * (1 + sent / MIB))
        await super()._enter(operation, key, sent)


@pytest.mark.parametrize("seed", range(12))
async def test_a_hundred_writers_and_little_memory(seed: int, autojump_clock: MockClock) -> None:
    """Every copy ends, though the kernel lets 32 calls in at once and memory holds five files."""
    numbers = random.Random(seed)
    store = SlowStore(numbers)
    calls = trio.CapacityLimiter(32)

    async with workbench(store, chunk_size=8 * MIB, memory=16 * MIB) as bench:

        async def copy(name: str) -> None:
            await trio.sleep(numbers.random() * 0.05)
            handle = await bench.open(name)
            for at in range(3):
                async with calls:
                    await handle.write(at * MIB, bytes(MIB))
                await trio.sleep(numbers.random() * 0.02)
            async with calls:
                await bench.files.flush(handle)
            async with calls:
                await bench.files.release(handle)

        with trio.fail_after(600):
            async with trio.open_nursery() as nursery:
                for number in range(100):
                    nursery.start_soon(copy, f"f{number}")
        assert bench.memory.used == 0
        assert bench.memory.peak <= (16 + 32) * MIB
    assert all(store.data(f"f{number}") == bytes(3 * MIB) for number in range(100))


async def test_a_sparse_file_takes_the_memory_of_its_bytes(autojump_clock: MockClock) -> None:
    """4 KiB in each MiB, at random: the holes that are sent along are no bytes of ours."""
    store = FakeStore()
    offsets = [at * MIB for at in range(100)]
    random.Random(1).shuffle(offsets)
    async with workbench(store, chunk_size=64 * 1024, memory=MIB) as bench:
        handle = await bench.open("f")
        for offset in offsets:
            await handle.write(offset, b"x" * 4096)
        assert bench.memory.peak <= 2 * MIB
        await bench.close(handle)
        assert bench.memory.used == 0
    data = store.data("f")
    assert len(data) == 99 * MIB + 4096
    assert all(data[at : at + 4097] == (b"x" * 4096 + b"\0")[: len(data) - at] for at in offsets)


class Busy:
    """A file whose bytes are on their way."""

    can_send_early = False

    async def send_early(self) -> None:
        """Is never asked to."""
        raise AssertionError


@pytest.fixture
async def budget(nursery: trio.Nursery) -> MemoryBudget:
    """Ten bytes, of which some will come free."""
    made = MemoryBudget(10, nursery)
    made.note(Busy(), 0, moving=True)
    return made


async def test_a_cancelled_writer_takes_nothing(
    budget: MemoryBudget, autojump_clock: MockClock
) -> None:
    """What waited for memory and gave up does not keep it."""
    await budget.reserve(10)
    with trio.move_on_after(1):
        await budget.reserve(5)
    budget.release(10)
    assert budget.used == 0
    await budget.reserve(10)
    assert budget.used == 10


async def test_first_come_first_served(budget: MemoryBudget, autojump_clock: MockClock) -> None:
    """A large request is not overtaken by small ones."""
    await budget.reserve(8)
    order: list[int] = []

    async def take(count: int) -> None:
        await budget.reserve(count)
        order.append(count)

    async with trio.open_nursery() as nursery:
        for count in (9, 1, 2):
            nursery.start_soon(take, count)
            await trio.testing.wait_all_tasks_blocked()
        budget.release(8)
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(order) == [1, 9]
        budget.release(9)
    assert order[2:] == [2]
