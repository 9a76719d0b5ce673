# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What was asked before a refresh is asked again after it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

ATTEMPTS = 5
"""How often a question is asked while refreshes come all the time."""


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
