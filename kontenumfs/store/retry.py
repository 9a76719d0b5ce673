# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One policy for repeating requests: what may be repeated, how long to wait, and when to stop."""

import logging
import random
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TypeVar

import trio

from kontenumfs.protocol.errors import (
    AnswerLost,
    DeadlineExceeded,
    KontenumError,
    NotSent,
    ServerError,
    StoreError,
    Throttled,
)

T = TypeVar("T")
log = logging.getLogger(__name__)


class Repeat(Enum):
    """What a verb's failed request may do."""

    NEVER = "never"
    UNSENT = "unsent"
    """Only when nothing was done: not sent, or refused with SlowDown (append)."""
    ALWAYS = "always"
    """Also after a lost answer or a 5xx: doing it twice is doing it once."""


_REPEATABLE: dict[Repeat, tuple[type[KontenumError], ...]] = {
    Repeat.NEVER: (),
    Repeat.UNSENT: (NotSent, Throttled),
    Repeat.ALWAYS: (NotSent, Throttled, AnswerLost, ServerError),
}


class RetryPolicy:
    """Exponential back-off with full jitter, shared by all requests to an endpoint.

    Args:
        deadline: seconds that one operation may take, its repetitions included.
        base: seconds of the first wait at most.
        longest: seconds of any wait at most, unless the store asks for more.
        uniform: a random number between two others; injected by tests.

    Full jitter: "Exponential Backoff And Jitter", AWS Architecture Blog.
    """

    def __init__(
        self,
        *,
        deadline: float,
        base: float = 0.1,
        longest: float = 10.0,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._deadline = deadline
        self._base = base
        self._longest = longest
        self._uniform = uniform
        self._not_before = float("-inf")
        self.repeated = 0

    async def run(self, attempt: Callable[[], Awaitable[T]], repeat: Repeat) -> T:
        """The result of `attempt`, tried again as far as `repeat` allows.

        Raises what the last attempt raised, or DeadlineExceeded when none had ended.
        """
        failure: KontenumError | None = None
        with trio.move_on_after(self._deadline):
            for number in range(1_000_000):
                await self._wait_for_others()
                try:
                    return await attempt()
                except _REPEATABLE[repeat] as error:
                    failure = error
                await self._back_off(number, failure)
        if failure is not None:
            raise failure
        raise DeadlineExceeded(f"no answer within {self._deadline:g} s")

    async def _wait_for_others(self) -> None:
        """SlowDown is said to one request and meant for all."""
        while (wait := self._not_before - trio.current_time()) > 0:
            await trio.sleep(wait)

    async def _back_off(self, number: int, error: KontenumError) -> None:
        wait = self._uniform(0, min(self._longest, self._base * 2**number))
        if isinstance(error, StoreError) and error.retry_after is not None:
            wait = max(wait, error.retry_after)
        if isinstance(error, Throttled):
            self._not_before = max(self._not_before, trio.current_time() + wait)
        self.repeated += 1
        log.info("again in %.2f s: %s", wait, error)
        await trio.sleep(wait)
