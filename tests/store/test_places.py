# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A store that does not answer for some keys holds up nobody who wants others."""

from contextlib import AbstractAsyncContextManager

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from kontenumfs.store import places
from kontenumfs.store.places import Place, Places


def upload(taken: Places, key: str, *, long: bool = False) -> AbstractAsyncContextManager[Place]:
    return taken.take(key.encode(), is_lookup=False, is_long=long)


def lookup(taken: Places, key: str) -> AbstractAsyncContextManager[Place]:
    return taken.take(key.encode(), is_lookup=True, is_long=False)


async def stall(taken: Places, key: str) -> None:
    async with upload(taken, key):
        await trio.sleep_forever()


async def test_stalled_requests_hold_up_nobody(autojump_clock: MockClock) -> None:
    """200 at once, and one that comes after: it waits a moment, and not as long as they do."""
    taken = Places(16)
    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(stall, taken, f"stalled-{number}")
        await wait_all_tasks_blocked()
        began = trio.current_time()
        async with upload(taken, "other"):
            waited = trio.current_time() - began
        nursery.cancel_scope.cancel()
    assert waited <= 200 / 16 * places.STALLED_SECONDS


async def test_names_are_looked_up_while_all_else_stalls(mock_clock: MockClock) -> None:
    """A HEAD has places of its own: it does not wait for a single moment."""
    taken = Places(16)
    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(stall, taken, f"stalled-{number}")
        await wait_all_tasks_blocked()
        async with lookup(taken, "name"):
            pass
        nursery.cancel_scope.cancel()


async def test_a_key_that_stalls_takes_no_more_places(autojump_clock: MockClock) -> None:
    """Forty requests for one key that hangs: a quarter of the places is what it has."""
    taken = Places(16)
    begun = 0

    async def hang() -> None:
        nonlocal begun
        async with upload(taken, "one"):
            begun += 1
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(hang)
        await trio.sleep(places.STALLED_SECONDS * 2)
        for _ in range(36):
            nursery.start_soon(hang)
        await trio.sleep(1000)
        assert begun <= 16
        async with upload(taken, "other"):
            pass
        nursery.cancel_scope.cancel()


async def test_keys_take_turns(mock_clock: MockClock) -> None:
    """Whoever wants one thing does not wait for all thirty of somebody else."""
    taken = Places(1)
    order: list[str] = []

    async def use(key: str) -> None:
        async with upload(taken, key):
            order.append(key)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery, upload(taken, "first"):
        for _ in range(30):
            nursery.start_soon(use, "many")
        await wait_all_tasks_blocked()
        nursery.start_soon(use, "single")
        await wait_all_tasks_blocked()
    assert order.index("single") <= 1


async def test_requests_that_move_are_bounded(autojump_clock: MockClock) -> None:
    """However many want a place, in the order in which they came."""
    taken = Places(4)
    running = most = 0
    order: list[int] = []

    async def move(number: int) -> None:
        nonlocal running, most
        async with upload(taken, f"{number}", long=True) as place:
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

    async def hang(number: int) -> None:
        async with upload(taken, f"{number}"):
            await trio.sleep(80_000)
        ended.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for number in range(places.STALLED_AT_MOST + 1):
            nursery.start_soon(hang, number)
        await trio.sleep(10_000)
        assert not ended
        async with upload(taken, "other"):
            assert len(ended) >= 1
        nursery.cancel_scope.cancel()


async def test_who_gives_up_waiting_keeps_nobody_waiting(autojump_clock: MockClock) -> None:
    """Also where it was the one who looked at the clock for the others."""
    taken = Places(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stall, taken, "stalled")
        await wait_all_tasks_blocked()
        with trio.CancelScope() as given_up:
            nursery.start_soon(_cancel_later, given_up)
            async with upload(taken, "impatient"):
                raise AssertionError("there is no place yet")
        async with upload(taken, "patient"):
            pass
        nursery.cancel_scope.cancel()


async def _cancel_later(scope: trio.CancelScope) -> None:
    await trio.sleep(places.STALLED_SECONDS / 2)
    scope.cancel()
