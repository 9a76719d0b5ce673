# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the store is away, for those who can go on without it."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from kontenumfs.protocol.errors import KontenumError, ServerError, TransportError
from kontenumfs.store.api import ListPage, ObjectInfo, Store

T = TypeVar("T")
log = logging.getLogger(__name__)

AWAY = (TransportError, ServerError)
"""What says that nobody answers, and nothing of the question."""
PATIENCE = 5.0
"""Seconds that somebody waits for an answer who could go on without one."""
PAUSE = 2.0
"""Seconds between two looks whether it is back."""


class Outage:
    """The store's absence, as all who ask it find out.

    It begins with a question that stays without an answer, and ends with the first answer that
    anybody gets; while it lasts, `run` asks for one.
    """

    def __init__(self) -> None:
        self._begun = trio.Event()
        self._ended = trio.Event()

    @property
    def is_on(self) -> bool:
        """Whether the store was away when it was last asked."""
        return self._begun.is_set()

    def unanswered(self) -> None:
        """Note that nobody has answered."""
        if not self.is_on:
            log.warning("the store does not answer: what is known of names is believed meanwhile")
            self._ended = trio.Event()
            self._begun.set()

    def answered(self) -> None:
        """Note that the store has answered, whatever it said."""
        if self.is_on:
            log.warning("the store answers again")
            self._begun = trio.Event()
            self._ended.set()

    def failed(self, error: KontenumError) -> None:
        """Note what a request has failed with."""
        if isinstance(error, AWAY):
            self.unanswered()
        else:
            self.answered()

    async def run(self, ask: Callable[[], Awaitable[object]]) -> None:
        """Ask the store while it is away, until cancelled.

        Args:
            ask: a question that the store answers at once, if it is there.
        """
        while True:
            await self._begun.wait()
            with trio.move_on_after(PAUSE):
                await self._ended.wait()
                continue
            with trio.move_on_after(PATIENCE):
                try:
                    await ask()
                except KontenumError as error:
                    self.failed(error)
                else:
                    self.answered()


class WatchedReads:
    """What a store says of objects; an outage learns whether it answers."""

    def __init__(self, store: Store, outage: Outage) -> None:
        self._store = store
        self._outage = outage

    async def head(self, key: str) -> ObjectInfo:
        """See Store."""
        return await self._watched(lambda: self._store.head(key))

    async def list_page(
        self,
        prefix: str = "",
        *,
        delimiter: str = "",
        max_keys: int = 1000,
        token: str | None = None,
        start_after: str = "",
    ) -> ListPage:
        """See Store."""
        return await self._watched(
            lambda: self._store.list_page(
                prefix, delimiter=delimiter, max_keys=max_keys, token=token, start_after=start_after
            )
        )

    async def _watched(self, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            answer = await ask()
        except KontenumError as error:
            self._outage.failed(error)
            raise
        self._outage.answered()
        return answer
