# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Many writers and little memory: back-pressure, and never a standstill."""

import os
import random

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol.errors import DeadlineExceeded
from kontenumfs.store.api import Attributes
from kontenumfs.store.operation import operation, sent, transfer
from kontenumfs.writing.memory import MemoryBudget
from tests.doubles.fake import FakeStore
from tests.writing.harness import workbench

MIB = 1 << 20
PATIENCE = 60.0


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
    made = MemoryBudget(10, nursery, patience=PATIENCE)
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


async def after(seconds: float, budget: MemoryBudget, *, stored: bool) -> None:
    """A file that held ten bytes ends, stored or failed."""
    await trio.sleep(seconds)
    if stored:
        budget.stored()
    budget.release(10)


async def test_who_waits_for_a_store_that_stands_still_waits_one_deadline(
    budget: MemoryBudget, autojump_clock: MockClock
) -> None:
    """Not one for each of those before him, who hold the memory a deadline long."""
    await budget.reserve(10)
    ended: list[float] = []

    async def stalled_writer() -> None:
        try:
            await budget.reserve(10)
        except DeadlineExceeded:
            ended.append(trio.current_time())
        else:
            await after(PATIENCE, budget, stored=False)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(stalled_writer)
        await after(PATIENCE - 1, budget, stored=False)
    assert len(ended) == 11
    assert set(ended) == {began + PATIENCE}
    assert budget.used == 0


async def test_who_waits_for_a_slow_store_waits_his_turn(
    budget: MemoryBudget, autojump_clock: MockClock
) -> None:
    """However many are before him: each of them gets on."""
    await budget.reserve(10)

    async def slow_writer() -> None:
        await budget.reserve(10)
        await after(PATIENCE - 1, budget, stored=True)

    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(slow_writer)
        await after(PATIENCE - 1, budget, stored=True)
    assert budget.used == 0


async def test_a_long_upload_that_gets_on_is_waited_for(
    budget: MemoryBudget, autojump_clock: MockClock
) -> None:
    """A MiB is progress, though nothing is free yet."""
    await budget.reserve(10)

    async def long_upload() -> None:
        with operation() as current, transfer(current):
            for mib in range(1, 10):
                await trio.sleep(PATIENCE - 1)
                sent(mib * MIB)
        budget.release(10)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(long_upload)
        await budget.reserve(10)
    assert budget.used == 10


async def test_a_refused_write_publishes_no_half_of_a_file(autojump_clock: MockClock) -> None:
    """S12.4: It stands behind a gap: close says so, and the old object is as it was."""
    store = FakeStore()
    await store.put("old", [b"old content"], Attributes())
    async with workbench(store, deadline=PATIENCE) as bench:
        handle = await bench.open("old", os.O_WRONLY | os.O_TRUNC)
        other = await bench.open("new")
        await handle.write(0, b"half")
        bench.memory.note(Busy(), 0, moving=True)
        bench.memory.take(bench.memory.limit)
        for refused, offset in ((handle, 4), (other, 0)):
            with pytest.raises(DeadlineExceeded):
                await refused.write(offset, b"the rest")
        bench.memory.release(bench.memory.limit)
        for refused in (handle, other):
            with pytest.raises(DeadlineExceeded):
                await bench.close(refused)
        assert bench.memory.used == 0
    assert store.data("old") == b"old content"
    assert "new" not in store.objects


async def test_a_refused_append_leaves_what_was_appended_before(autojump_clock: MockClock) -> None:
    """S1.4: Its end is wherever the end is: the handle goes on."""
    store = FakeStore()
    await store.put("log", [b"one\n"], Attributes())
    async with workbench(store, deadline=PATIENCE) as bench:
        handle = await bench.open("log", os.O_WRONLY | os.O_APPEND)
        await handle.write(0, b"two\n")
        bench.memory.note(Busy(), 0, moving=True)
        bench.memory.take(bench.memory.limit)
        with pytest.raises(DeadlineExceeded):
            await handle.write(0, b"three\n")
        bench.memory.release(bench.memory.limit)
        await handle.write(0, b"four\n")
        await bench.close(handle)
    assert store.data("log") == b"one\ntwo\nfour\n"
