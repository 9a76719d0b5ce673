# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What many want at the same time is asked for once, and again after a refresh."""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

T = TypeVar("T")

ATTEMPTS = 5
"""How often a question is asked while refreshes come all the time."""


class Flights:
    """Questions that are under way."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, trio.Event] = {}

    @asynccontextmanager
    async def first(self, question: Hashable) -> AsyncIterator[bool]:
        """Yield True to who is the first to ask; the others wait for its end, and get False.

        They look whether there is an answer then: the first one may have failed.
        """
        before = self._under_way.get(question)
        if before is not None:
            await before.wait()
            yield False
            return
        done = self._under_way[question] = trio.Event()
        try:
            yield True
        finally:
            del self._under_way[question]
            done.set()


class Refreshes:
    """Who refreshes wants to see what is true from then on, not what is on its way already."""

    def __init__(self) -> None:
        self._count = 0

    def happened(self) -> None:
        """An answer to a question that was asked before now counts no more."""
        self._count += 1

    async def outlast(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` returns, once there is no refresh while it does.

        Where refreshes come faster than answers, the last of some answers counts: else a script
        that refreshes all the time would keep all others waiting.
        """
        for _ in range(ATTEMPTS):
            count = self._count
            answer = await ask()
            if count == self._count:
                break
        return answer
