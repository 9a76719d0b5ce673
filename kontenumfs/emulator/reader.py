# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Request bodies as they arrive, with their transfer coding."""

from collections.abc import Awaitable, Callable
from typing import Any

from kontenumfs.emulator.connection import EXTENSION, Straight
from kontenumfs.emulator.errors import S3Error

BLOCK = 1 << 20
"""Bytes of memory that a large body is read into at a time."""
SMALL = 1 << 16
"""Bytes that are handled at once, where a turn of a thread costs more."""
MAX_MESSAGE = 4 << 20
"""Bytes of a body that is held in memory: an XML message."""
MAX_DRAINED = 64 << 20
"""Bytes that are still read after an error."""

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Reader:
    """The raw bytes of one request; to be read once."""

    def __init__(self, scope: dict[str, Any], receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        self._rest = memoryview(b"")  # of the last message
        self._ended = False
        self._straight: Straight | None = None
        self.count = 0
        """Bytes that have arrived."""

    async def fill(self, room: memoryview) -> int:
        """Read into `room`; returns how many bytes, fewer only where the body ends.

        Raises:
            S3Error: the client has gone before the end.
        """
        filled = 0
        while filled < len(room):
            if not self._rest:
                if self._ended:
                    break
                if self._straight is None and self.count:
                    self._straight = self._scope["extensions"][EXTENSION].straight(self._scope)
                if self._straight is not None:
                    return filled + await self._fill_straight(self._straight, room[filled:])
                await self._next_message()
            piece = self._rest[: len(room) - filled]
            room[filled : filled + len(piece)] = piece
            self._rest = self._rest[len(piece) :]
            filled += len(piece)
        return filled

    async def _fill_straight(self, straight: Straight, room: memoryview) -> int:
        count = await straight.fill(room)
        self.count += count
        if count < len(room):
            self._ended = True
            if straight.left:
                raise S3Error("IncompleteBody")
        return count

    async def _next_message(self) -> None:
        message = await self._receive()
        if message["type"] != "http.request":
            self._ended = True
            raise S3Error("IncompleteBody")
        self._ended = not message.get("more_body", False)
        self._rest = memoryview(message.get("body", b""))
        self.count += len(self._rest)

    async def drain(self) -> None:
        """Read on after an error, so that the client sees the answer and not a reset."""
        try:
            while not self._ended and self.count <= MAX_DRAINED:
                await self.fill(memoryview(bytearray(SMALL)))
        except S3Error:
            return  # the client has gone: nobody is left to be answered

    async def small(self) -> bytes:
        """The whole body, where it fits into memory; raises S3Error."""
        pieces = []
        while self._rest or not self._ended:
            if not self._rest:
                await self._next_message()
            if self.count > MAX_MESSAGE:
                raise S3Error("EntityTooLarge")
            pieces.append(self._rest)
            self._rest = memoryview(b"")
        return b"".join(pieces)

    async def hold(self) -> None:
        """Take the whole body into memory, where it outlives its connection; raises S3Error."""
        pieces = []
        while not self._ended:
            block = memoryview(bytearray(BLOCK))
            pieces.append(block[: await self.fill(block)])
        self._rest = memoryview(b"".join(pieces))
