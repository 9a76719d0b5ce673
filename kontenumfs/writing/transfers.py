# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Bytes on their way to the store while the program goes on writing."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import trio

from kontenumfs.writing.metadata import Carried

PARALLEL_PARTS = 3
"""Parts of one staged upload under way at once; more would only hold more memory."""


class Route(Enum):
    """How bytes leave before the file is closed."""

    APPEND = "append"
    """Behind those of the object, for everybody to see."""
    STAGED = "staged"
    """Into an upload that becomes a helper object."""
    DIRECT = "direct"
    """Into an upload of the file's own object, on a store that joins no objects."""

    @property
    def parallel(self) -> int:
        """Transfers that may be under way at once."""
        return 1 if self is Route.APPEND else PARALLEL_PARTS


@dataclass(frozen=True, slots=True)
class Transfer:
    """One request to be sent in the background.

    Args:
        send: sends it; returns what it carried beside the bytes, if anything.
        held: bytes of memory that it holds until then.
    """

    send: Callable[[], Awaitable[Carried | None]]
    held: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Bytes that have left the rope and are to be sent.

    Args:
        transfers: to be sent in this order, as many at once as the route allows.
        ends_upload: whether the upload must be ended once all are sent: only the last part of one
            may be short, so the next bytes begin another.
    """

    transfers: Sequence[Transfer]
    ends_upload: bool = False


class InFlight:
    """Counts the transfers of one file that are under way."""

    def __init__(self) -> None:
        self.count = 0
        self.held = 0
        """Bytes of memory that they hold."""
        self._ended = trio.Event()

    def add(self, transfer: Transfer) -> None:
        """Count a transfer that is about to be sent; `remove` it in any case."""
        self.count += 1
        self.held += transfer.held

    def remove(self, transfer: Transfer) -> None:
        """Let those go on who wait for it to end."""
        self.count -= 1
        self.held -= transfer.held
        self._ended.set()
        self._ended = trio.Event()

    async def fewer_than(self, limit: int) -> None:
        """Wait until fewer than `limit` are under way; at once, without a checkpoint, if so."""
        while self.count >= limit:
            await self._ended.wait()
