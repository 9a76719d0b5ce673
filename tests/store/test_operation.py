# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One operation takes one deadline, however many requests it needs; unless bytes move."""

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol.errors import DeadlineExceeded, NotSent
from kontenumfs.store import operation
from kontenumfs.store.retry import Repeat, RetryPolicy

MIB = 1 << 20
DEADLINE = 10.0


async def request(policy: RetryPolicy, seconds: float, *, mib: int = 0) -> None:
    """One that sends `mib` MiB, evenly."""

    async def attempt() -> None:
        for number in range(mib):
            await trio.sleep(seconds / mib)
            operation.sent((number + 1) * MIB)
        if not mib:
            await trio.sleep(seconds)

    await policy.run(attempt, Repeat.ALWAYS)


async def test_many_requests_share_one_deadline(autojump_clock: MockClock) -> None:
    """A close of a thousand fragments, each answered after a second, ends after ten."""
    policy = RetryPolicy(deadline=DEADLINE)

    async def close() -> None:
        with operation.operation():
            for _ in range(1000):
                await request(policy, 1.0)

    with pytest.raises(DeadlineExceeded):
        await close()
    assert trio.current_time() == pytest.approx(DEADLINE)


async def test_requests_side_by_side_share_it_too(autojump_clock: MockClock) -> None:
    """Eight at a time: what comes late has what is left, and no more."""
    policy = RetryPolicy(deadline=DEADLINE)

    async def work() -> None:
        for _ in range(100):
            await request(policy, 1.0)

    with operation.operation(), pytest.RaisesGroup(DeadlineExceeded, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
    assert trio.current_time() == pytest.approx(DEADLINE)


async def test_a_large_transfer_that_gets_on_is_not_cut_off(autojump_clock: MockClock) -> None:
    """100 MiB on a line of 200 KiB a second: 500 s, with a deadline of ten."""
    policy = RetryPolicy(deadline=DEADLINE)
    with operation.operation():
        await request(policy, 500.0, mib=100)
        await request(policy, 9.0)
    assert trio.current_time() == pytest.approx(509.0)


async def test_a_large_transfer_that_stops_is_cut_off(autojump_clock: MockClock) -> None:
    """The time counts from the last MiB."""
    policy = RetryPolicy(deadline=DEADLINE)
    with operation.operation():
        await request(policy, 50.0, mib=10)
        with pytest.raises(DeadlineExceeded):
            await request(policy, 1000.0)
    assert trio.current_time() == pytest.approx(50.0 + DEADLINE)


async def test_what_is_sent_again_is_no_progress(autojump_clock: MockClock) -> None:
    """A store that breaks off after each third MiB is not tried for ever."""
    policy = RetryPolicy(deadline=DEADLINE)

    async def attempt() -> None:
        for number in range(3):
            await trio.sleep(1.0)
            operation.sent((number + 1) * MIB)
        raise NotSent("broken off")

    with operation.operation(), pytest.raises((NotSent, DeadlineExceeded)):
        await policy.run(attempt, Repeat.ALWAYS)
    assert trio.current_time() <= 3.0 + DEADLINE


async def test_clean_up_has_its_own_time(autojump_clock: MockClock) -> None:
    """What was begun can be dropped although the time is over."""
    policy = RetryPolicy(deadline=DEADLINE)
    with operation.operation():
        with pytest.raises(DeadlineExceeded):
            await request(policy, 100.0)
        assert not operation.time_left(5.0)
        with operation.cleaning_up(5.0) as scope:
            await request(policy, 1.0)
    assert not scope.cancelled_caught


async def test_a_request_on_its_own_has_a_deadline_of_its_own(autojump_clock: MockClock) -> None:
    """As from the command line: each has the whole of it."""
    policy = RetryPolicy(deadline=DEADLINE)
    for _ in range(3):
        await request(policy, 9.0)
