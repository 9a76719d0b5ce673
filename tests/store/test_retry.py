# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What is repeated, when, and for how long; the clock is a mock."""

from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol import errors as e
from kontenumfs.store.retry import Repeat, RetryPolicy

NOTHING_DONE = [e.NotSent("x"), e.NameResolutionError("x")]
EFFECT_UNKNOWN = [
    e.AnswerLost("x"),
    e.ServerError("x", status=500),
    e.Throttled("x", code="SlowDown", status=503),
]
FINAL = [e.NoSuchKey(), e.AccessDenied(), e.InvalidRequest(), e.TLSError("x"), e.Conflict()]


def policy(deadline: float = 60.0) -> RetryPolicy:
    return RetryPolicy(deadline=deadline, uniform=lambda low, high: high)


def failing(*errors: Exception) -> tuple[Callable[[], Awaitable[str]], list[float]]:
    """An attempt that raises each of `errors` once and then succeeds, and when it was made."""
    left, times = list(errors), list[float]()

    async def attempt() -> str:
        times.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if left:
            raise left.pop(0)
        return "done"

    return attempt, times


@pytest.mark.parametrize("error", NOTHING_DONE, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("repeat", [Repeat.UNSENT, Repeat.ALWAYS])
async def test_what_was_not_done_is_repeated(
    autojump_clock: MockClock, error: Exception, repeat: Repeat
) -> None:
    attempt, times = failing(error, error)
    assert await policy().run(attempt, repeat) == "done"
    assert len(times) == 3


@pytest.mark.parametrize("error", EFFECT_UNKNOWN, ids=lambda error: type(error).__name__)
async def test_an_unknown_effect_is_repeated_only_where_it_is_harmless(
    autojump_clock: MockClock, error: Exception
) -> None:
    attempt, times = failing(error)
    assert await policy().run(attempt, Repeat.ALWAYS) == "done"
    attempt, times = failing(error)
    with pytest.raises(type(error)):
        await policy().run(attempt, Repeat.UNSENT)
    assert len(times) == 1


@pytest.mark.parametrize("error", FINAL, ids=lambda error: type(error).__name__)
async def test_final_answers_are_not_repeated(error: Exception) -> None:
    attempt, times = failing(error)
    with pytest.raises(type(error)):
        await policy().run(attempt, Repeat.ALWAYS)
    assert len(times) == 1


async def test_waits_grow_and_are_bounded(autojump_clock: MockClock) -> None:
    attempt, times = failing(*[e.NotSent("x")] * 9)
    await policy(1000).run(attempt, Repeat.ALWAYS)
    waits = [round(after - before, 6) for before, after in pairwise(times)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


async def test_thousands_of_attempts_are_no_problem(autojump_clock: MockClock) -> None:
    attempt, _ = failing(*[e.NotSent("x")] * 2000)
    assert await policy(1e6).run(attempt, Repeat.ALWAYS) == "done"


async def test_retry_after_is_obeyed(autojump_clock: MockClock) -> None:
    attempt, times = failing(e.Throttled("x", status=503, retry_after=7.0))
    await policy().run(attempt, Repeat.ALWAYS)
    assert times[1] - times[0] >= 7.0


async def test_throttling_is_shared(autojump_clock: MockClock) -> None:
    shared = policy()
    slowed, _ = failing(e.Throttled("x", status=503, retry_after=5.0))
    other, times = failing()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shared.run, slowed, Repeat.ALWAYS)
        await trio.sleep(1)
        await shared.run(other, Repeat.ALWAYS)
    assert times[0] >= 5.0


async def test_an_hours_retry_after_fails_at_once_and_silences_nobody(
    autojump_clock: MockClock,
) -> None:
    shared = policy()
    slowed, times = failing(e.Throttled("x", status=503, retry_after=3600.0))
    with pytest.raises(e.Throttled):
        await shared.run(slowed, Repeat.ALWAYS)
    assert trio.current_time() == times[0]
    other, _ = failing()
    assert await shared.run(other, Repeat.ALWAYS) == "done"


async def test_the_deadline_ends_repeating(autojump_clock: MockClock) -> None:
    attempt, _ = failing(*[e.NotSent("x")] * 1000)
    start = trio.current_time()
    with pytest.raises(e.NotSent):
        await policy(30).run(attempt, Repeat.ALWAYS)
    assert trio.current_time() - start <= 30


async def test_a_deadline_during_an_attempt_leaves_its_effect_unknown(
    autojump_clock: MockClock,
) -> None:
    first, _ = failing(e.NotSent("x"))

    async def attempt() -> str:
        await first()
        await trio.sleep_forever()

    with pytest.raises(e.DeadlineExceeded):
        await policy(5).run(attempt, Repeat.UNSENT)
    assert trio.current_time() == pytest.approx(5)


async def test_a_slowdown_that_is_not_repeated_is_heard_by_all(autojump_clock: MockClock) -> None:
    shared = policy()
    slowed, _ = failing(e.ServerError("x", code="SlowDown", status=503, retry_after=5.0))
    other, times = failing()
    with pytest.raises(e.ServerError):
        await shared.run(slowed, Repeat.UNSENT)
    await shared.run(other, Repeat.UNSENT)
    assert times[0] >= 5.0


async def test_nobody_is_silenced_for_his_whole_deadline(autojump_clock: MockClock) -> None:
    """Where the deadline is shorter than the longest pause, one Retry-After fails nobody else."""
    patience = policy(deadline=3)
    slow_down, _ = failing(e.Throttled("x", status=503, retry_after=3600))
    with pytest.raises(e.Throttled):
        await patience.run(slow_down, Repeat.ALWAYS)
    attempt, _ = failing()
    assert await patience.run(attempt, Repeat.ALWAYS) == "done"
