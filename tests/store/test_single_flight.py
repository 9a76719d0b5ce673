# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One question, one answer, also when it is an error; and each waits for himself alone."""

import errno
import traceback
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol.errors import DeadlineExceeded, KontenumError, ServerError
from kontenumfs.store.operation import joined, operation
from kontenumfs.store.single_flight import SingleFlight

WAITERS = 12
DEADLINE = 3.0


class Question:
    """Takes a while, and then gives each who asks a number of his own, or an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked = 0
        self.error = error

    async def ask(self) -> int:
        """The number of this answer."""
        self.asked += 1
        number = self.asked
        await trio.sleep(DEADLINE)
        if self.error is not None:
            raise self.error
        return number


async def all_at_once(ask: Callable[[], Awaitable[object]]) -> list[object]:
    """What each of many hears, an error included."""
    heard: list[object] = []

    async def one() -> None:
        try:
            heard.append(await ask())
        except Exception as error:
            heard.append(error)

    async with trio.open_nursery() as nursery:
        for _ in range(WAITERS):
            nursery.start_soon(one)
    return heard


async def test_all_who_wait_get_the_one_answer(autojump_clock: MockClock) -> None:
    """Who comes after it asks anew."""
    flight, question = SingleFlight[int](), Question()
    assert await all_at_once(lambda: flight.run("key", question.ask)) == [1] * WAITERS
    assert trio.current_time() == DEADLINE
    assert await flight.run("key", question.ask) == 2


async def test_twelve_who_wait_for_a_stalled_question_wait_one_deadline(
    autojump_clock: MockClock,
) -> None:
    """And not one after another."""
    flight, question = SingleFlight[int](), Question(DeadlineExceeded("stalled"))
    heard = await all_at_once(lambda: flight.run("key", question.ask))
    assert trio.current_time() == DEADLINE
    assert question.asked == 1
    assert {type(error) for error in heard} == {DeadlineExceeded}
    assert len({id(error) for error in heard}) == WAITERS


async def test_other_questions_are_not_waited_for(autojump_clock: MockClock) -> None:
    flight, question = SingleFlight[int](), Question()
    async with trio.open_nursery() as nursery:
        for key in range(3):
            nursery.start_soon(flight.run, key, question.ask)
    assert question.asked == 3
    assert trio.current_time() == DEADLINE


async def test_no_answer_at_all_is_an_answer(autojump_clock: MockClock) -> None:
    """None is shared like any other."""
    flight = SingleFlight[None]()
    asked = 0

    async def ask() -> None:
        nonlocal asked
        asked += 1
        await trio.sleep(1)

    assert await all_at_once(lambda: flight.run("key", ask)) == [None] * WAITERS
    assert asked == 1


@pytest.mark.parametrize(
    "error",
    [
        ServerError("words", code="Busy", status=500, request_id="1", retry_after=2.0),
        OSError(errno.ENETUNREACH, "unreachable"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        KontenumError("note"),
    ],
)
async def test_a_shared_error_says_all_that_the_first_one_says(
    autojump_clock: MockClock, error: Exception
) -> None:
    """And grows no traceback from one to the next."""
    error.add_note("seen first")
    flight, question = SingleFlight[int](), Question(error)
    heard = await all_at_once(lambda: flight.run("key", question.ask))
    for other in heard:
        assert isinstance(other, Exception)
        assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))
        assert len(traceback.extract_tb(other.__traceback__)) <= 3


async def test_when_the_asker_is_cancelled_one_of_those_who_wait_asks(
    autojump_clock: MockClock,
) -> None:
    flight, question = SingleFlight[int](), Question()
    heard: list[int] = []

    async def wait() -> None:
        heard.append(await flight.run("key", question.ask))

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(1):
            async with trio.open_nursery() as first:
                first.start_soon(flight.run, "key", question.ask)
                await trio.sleep(0.5)
                for _ in range(WAITERS):
                    nursery.start_soon(wait)
    assert heard == [2] * WAITERS
    assert question.asked == 2
    assert trio.current_time() == 1 + DEADLINE


async def test_a_waiters_own_deadline_ends_his_waiting_alone(autojump_clock: MockClock) -> None:
    flight, question = SingleFlight[int](), Question()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(flight.run, "key", question.ask)
        await trio.sleep(0.5)
        with trio.move_on_after(1) as scope:
            await flight.run("key", question.ask)
        assert scope.cancelled_caught
        assert await flight.run("key", question.ask) == 1
    assert trio.current_time() == DEADLINE


async def test_who_came_late_has_his_own_deadline(autojump_clock: MockClock) -> None:
    """The store is well again: of the time that was over for the first, others have some left."""
    flight = SingleFlight[float]()
    heard: list[tuple[float, object]] = []
    asked = 0

    async def ask() -> float:
        nonlocal asked
        asked += 1
        with joined() as current, current.limited(DEADLINE):
            await trio.sleep(2 * DEADLINE if asked == 1 else 1)
            return trio.current_time()
        raise DeadlineExceeded("stalled")

    async def come(seconds: float) -> None:
        await trio.sleep(seconds)
        with operation():
            try:
                heard.append((seconds, await flight.run("key", ask)))
            except DeadlineExceeded as error:
                heard.append((seconds, type(error)))
                assert trio.current_time() == DEADLINE

    came = [0, 0.01, *[DEADLINE - 0.5] * WAITERS]
    async with trio.open_nursery() as nursery:
        for seconds in came:
            nursery.start_soon(come, seconds)
    told: list[object] = [DeadlineExceeded] * 2 + [DEADLINE + 1] * WAITERS
    assert sorted(heard, key=lambda one: one[0]) == list(zip(came, told, strict=True))
    assert asked == 2
