# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One policy for repeating requests: what may be repeated, how long to wait, and when to stop."""

import logging
import random
from collections.abc import Awaitable, Callable
from enum import Enum
from itertools import count
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
    TLSError,
)
from kontenumfs.store.operation import joined, transfer

T = TypeVar("T")
log = logging.getLogger(__name__)

THROTTLING = (429, 503)


class Repeat(Enum):
    """What a verb's failed request may do."""

    NEVER = "never"
    UNSENT = "unsent"
    """Only when it never reached the store (append). A SlowDown proves nothing: it may be the
    answer to a gateway's second try."""
    ALWAYS = "always"
    """Also after a lost answer, a 5xx or a SlowDown: doing it twice is doing it once."""


REPEATABLE: dict[Repeat, tuple[type[KontenumError], ...]] = {
    Repeat.NEVER: (),
    Repeat.UNSENT: (NotSent,),
    Repeat.ALWAYS: (NotSent, Throttled, AnswerLost, ServerError),
}
"""The failures after which a request is sent again, as long as its operation has time."""


class RetryPolicy:
    """Exponential back-off with full jitter, shared by all requests to an endpoint.

    Args:
        deadline: seconds that one operation may go on without progress, its repetitions and all
            its other requests included (store.operation).
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

        Raises what the last attempt raised, at once when the wait that it asks for would pass
        the deadline; DeadlineExceeded when the deadline passed during an attempt, whose effect
        is then unknown. TLSError is not repeated: a certificate does not change.
        """
        failure: KontenumError | None = None
        with joined() as operation, transfer(operation), operation.limited(self._deadline):
            for number in count():
                await self._wait_for_others()
                failure = None
                try:
                    return await attempt()
                except KontenumError as error:
                    self._make_room(number, error)
                    if isinstance(error, TLSError) or not isinstance(error, REPEATABLE[repeat]):
                        raise
                    failure = error
                await self._back_off(number, failure)
        if failure is not None:
            try:
                raise failure
            finally:
                failure = None  # its traceback holds this frame, and the frame the body
        raise DeadlineExceeded(f"no progress within {self._deadline:g} s")

    async def _wait_for_others(self) -> None:
        """SlowDown is said to one request and meant for all."""
        while (wait := self._not_before - trio.current_time()) > 0:
            # Not all at the same moment, or the next answer is SlowDown again.
            await trio.sleep(wait + self._uniform(0, self._base))

    def _make_room(self, number: int, error: KontenumError) -> None:
        """Let all requests wait where the store asks for it, repeated or not."""
        if isinstance(error, StoreError) and (
            isinstance(error, Throttled) or error.status in THROTTLING
        ):
            # An hour's Retry-After ends this request, and must not silence all others: each has
            # the time left for an attempt of its own.
            longest = min(self._longest, self._deadline / 2)
            shared = trio.current_time() + min(self._wait(number, error), longest)
            self._not_before = max(self._not_before, shared)

    def _wait(self, number: int, error: KontenumError) -> float:
        wait = self._uniform(0, min(self._longest, self._base * 2 ** min(number, 30)))
        if isinstance(error, StoreError) and error.retry_after is not None:
            wait = max(wait, error.retry_after)
        return wait

    async def _back_off(self, number: int, error: KontenumError) -> None:
        wait = self._wait(number, error)
        if trio.current_time() + wait >= trio.current_effective_deadline():
            raise error
        self.repeated += 1
        log.info("again in %.2f s: %s", wait, error)
        await trio.sleep(wait)
