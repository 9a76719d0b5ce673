# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A store that does not answer for some keys holds up nobody who wants others."""

import trio
from trio.testing import MockClock

from kontenumfs.store import places
from kontenumfs.store.places import Places


async def test_stalled_requests_hold_up_nobody(autojump_clock: MockClock) -> None:
    """200 of them, and one that comes after: it waits a moment, and not as long as they do."""
    taken = Places(16)
    waits: list[float] = []

    async def stall() -> None:
        async with taken.take():
            await trio.sleep(1000)

    async with trio.open_nursery() as nursery:
        for _ in range(200):
            nursery.start_soon(stall)
        await trio.sleep(20)
        began = trio.current_time()
        async with taken.take():
            waits.append(trio.current_time() - began)
        nursery.cancel_scope.cancel()
    assert waits[0] <= places.STALLED_SECONDS


async def test_requests_that_move_are_bounded(autojump_clock: MockClock) -> None:
    """However many want a place, in the order in which they came."""
    taken = Places(4)
    running = most = 0
    order: list[int] = []

    async def move(number: int) -> None:
        nonlocal running, most
        async with taken.take() as place:
            order.append(number)
            running += 1
            most = max(most, running)
            for _ in range(10):
                await trio.sleep(0.5)
                place.move()
            running -= 1

    async with trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(move, number)
            await trio.sleep(0.001)
    assert most == 4
    assert order == list(range(12))


async def test_stalled_requests_are_bounded_too(autojump_clock: MockClock) -> None:
    """By descriptors: who comes after those waits for one of them to end."""
    taken = Places(1)
    ended: list[float] = []

    async def stall() -> None:
        async with taken.take():
            await trio.sleep(80_000)
        ended.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(places.MOST_STALLED + 1):
            nursery.start_soon(stall)
        await trio.sleep(10_000)
        assert not ended
        async with taken.take():
            assert len(ended) >= 1
        nursery.cancel_scope.cancel()
