# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Generations of answers: what was asked before a refresh is asked again after it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

ATTEMPTS = 5
"""How often a question is asked while refreshes come all the time."""


class Generations:
    """Counts refreshes: who refreshes wants what is true from then on, not what is on its way."""

    def __init__(self) -> None:
        self._current = 0

    def advance(self) -> None:
        """Let no answer to a question that was asked before now count."""
        self._current += 1

    async def of_now(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what `ask` returns, once there is no refresh while it does.

        Where refreshes come faster than answers, the last of some answers counts: else a script
        that refreshes all the time would keep all others waiting.
        """
        for _ in range(ATTEMPTS):
            asked_in = self._current
            answer = await ask()
            if asked_in == self._current:
                break
        return answer
