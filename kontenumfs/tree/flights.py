# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What many want at the same time is asked for once."""

from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

import trio


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
