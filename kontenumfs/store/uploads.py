# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Multipart uploads that are under way: what they will be, and those whose id never arrived."""

import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count

import trio
from cachetools import LRUCache

from kontenumfs.protocol.errors import (
    AnswerLost,
    DeadlineExceeded,
    KontenumError,
    ServerError,
    StoreError,
    Throttled,
)
from kontenumfs.store.api import Attributes, Store

log = logging.getLogger(__name__)

REMEMBERED = 10_000
"""Uploads; of older ones only the ETag tells whose the object is."""
FIRST_WAIT = 0.1
LONGEST_WAIT = 5.0
CLOCK_SECONDS = 1.0
"""The resolution of an upload's time."""
ATTEMPT_SHARE = 0.5
"""Of the deadline that is left, for one attempt: one that hangs is given up, and made anew."""


@dataclass(slots=True)
class Sent:
    """What an upload will be.

    Args:
        key: of the object.
        attributes: that it will carry.
        sizes: bytes of each part that was stored.
    """

    key: str
    attributes: Attributes
    sizes: dict[int, int] = field(default_factory=dict)

    def size(self, numbers: Iterable[int]) -> int:
        """Bytes of these parts together."""
        return sum(self.sizes.get(number, 0) for number in numbers)


class Uploads:
    """The uploads of one store.

    Args:
        store: where they are.
        deadline: seconds that beginning one may take.
        uniform: a random number between two others.
    """

    def __init__(
        self,
        store: Store,
        *,
        deadline: float,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._store = store
        self._deadline = deadline
        self._uniform = uniform
        self._sent: LRUCache[str, Sent] = LRUCache(REMEMBERED)

    async def begin(self, key: str, attributes: Attributes) -> str:
        """Begin an upload; returns its id.

        An attempt whose answer was lost may have made one that nobody could ever complete or
        abort: it is looked for once another attempt has an answer.
        """
        began, trouble = trio.current_time(), None
        with trio.move_on_after(self._deadline):
            for number in count():
                try:
                    upload_id = await self._attempt(key, attributes)
                except (AnswerLost, DeadlineExceeded, ServerError, Throttled) as error:
                    trouble = error
                    await self._wait(number, error)
                    continue
                self._sent[upload_id] = Sent(key, attributes)
                if trouble is not None:
                    await self._abort_orphans(key, upload_id, trio.current_time() - began)
                return upload_id
        raise trouble or DeadlineExceeded(f"upload of {key!r}: no answer in time")

    def of(self, upload_id: str) -> Sent | None:
        """What is known of an upload."""
        return self._sent.get(upload_id)

    def sent(self, upload_id: str, number: int, size: int) -> None:
        """A part was stored."""
        if upload_id in self._sent:
            self._sent[upload_id].sizes[number] = size

    def ended(self, upload_id: str) -> None:
        """An upload was completed or aborted."""
        self._sent.pop(upload_id, None)

    async def _attempt(self, key: str, attributes: Attributes) -> str:
        left = trio.current_effective_deadline() - trio.current_time()
        with trio.move_on_after(left * ATTEMPT_SHARE):
            return await self._store.create_multipart(key, attributes)
        raise DeadlineExceeded(f"upload of {key!r}: no answer in time")

    async def _wait(self, number: int, error: KontenumError) -> None:
        wait = self._uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(number, 10)))
        if isinstance(error, StoreError) and error.retry_after is not None:
            wait = max(wait, error.retry_after)
        if trio.current_time() + wait >= trio.current_effective_deadline():
            raise error
        await trio.sleep(wait)

    async def _abort_orphans(self, key: str, ours: str, seconds: float) -> None:
        """Abort uploads of exactly this key that our lost attempts can have begun.

        The store's clock tells: they are not younger than ours, and not older than the attempts
        took. A failure is logged, for the upload itself has begun.
        """
        try:
            found = {
                upload.upload_id: upload.initiated
                for upload in await self._store.list_uploads(key)
                if upload.key == key and upload.initiated is not None
            }
            last = found.pop(ours, None)
            for upload_id, initiated in found.items():
                if last is None or initiated is None or upload_id in self._sent:
                    continue
                if last - seconds - CLOCK_SECONDS <= initiated <= last + CLOCK_SECONDS:
                    log.info("an upload whose id was lost is aborted: key=%r", key)
                    await self._store.abort_multipart(key, upload_id)
        except KontenumError as error:
            log.warning("an upload may be left behind: key=%r (%s)", key, error)
