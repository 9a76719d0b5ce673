# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One connection: uvicorn's protocol, bounded, and the way past it that large bodies take.

uvicorn gives a body out in pieces of a quarter of a megabyte at most, each copied five times on its
way. What comes of a large body after its first piece is read from the socket straight into the
memory that it is hashed and written from.
"""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kontenumfs.emulator.errors import S3Error

LARGE = 1 << 18
"""Bytes of a body still to come from which going past the parser pays."""
MAX_HEAD = 1 << 16
"""Bytes of a request's head, trailers included; uvicorn knows no bound."""
LINGER = 2
"""Seconds in which a client that was refused may read why, while what it sends is thrown away."""
EXTENSION = "kontenum.connection"
"""Where an ASGI scope has its `Connection`."""


class HeadTooLarge(Exception):
    """Ends the parsing of a request."""


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, within reach of the application."""

    _unparsed = 0
    """Bytes of the body, as its Content-Length says, that the parser has not seen."""
    _head = 0
    """Bytes of the head that the parser has given out."""
    _pending = 0
    """Bytes that came while the head had not ended, but for the first piece of it."""
    _is_in_head = False
    _is_refused = False

    def data_received(self, data: bytes) -> None:
        """Parse what has come; a head that never ends is refused."""
        if self._is_refused:
            return
        was_in_head = self._is_in_head
        super().data_received(data)
        if was_in_head and self._is_in_head and not self._is_refused:
            self._pending += len(data)
            if self._pending > MAX_HEAD:
                self.send_400_response("")

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, in S3's words."""
        self._is_refused = True
        is_large = max(self._head, self._pending) > MAX_HEAD
        error = S3Error("InvalidRequest", msg)
        if is_large:
            error = S3Error("RequestHeaderSectionTooLarge", MaxSizeAllowed=str(MAX_HEAD))
        body = error.body("", "")
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/xml\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        # Closed with bytes unread, the connection would be reset, and the answer lost.
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER, self.transport.abort)

    def on_message_begin(self) -> None:
        """Another request begins."""
        super().on_message_begin()
        self._head = self._pending = 0
        self._is_in_head = True

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > MAX_HEAD:
            raise HeadTooLarge

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request's target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer of a chunked body is none, and goes."""
        self._count(len(name) + len(value) + len(b": \r\n"))
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Let the application see the connection."""
        self._is_in_head = False
        super().on_headers_complete()
        extensions: dict[str, Any] = {EXTENSION: self}
        self.scope["extensions"] = extensions
        lengths = (int(value) for name, value in self.headers if name == b"content-length")
        self._unparsed = next(lengths, 0)

    def on_body(self, body: bytes) -> None:
        """Count what the parser has seen."""
        self._unparsed -= len(body)
        super().on_body(body)

    def straight(self, scope: dict[str, Any]) -> "Straight | None":
        """The way past the parser for the rest of the body of `scope`, where that is large.

        None as well while there is something parsed that the application has not received.
        """
        if self.scope is not scope or self.cycle.body or self._unparsed < LARGE:
            return None
        return Straight(self, self._unparsed)

    def body_has_ended(self) -> None:
        """Go on behind a body that went past the parser, with a parser that knows nothing of it."""
        if self.transport.is_closing():
            return
        self.parser = httptools.HttpRequestParser(self)
        self.transport.set_protocol(self)
        self.on_message_complete()
        self.flow.resume_reading()


class Straight(asyncio.BufferedProtocol):
    """Reads the rest of a body, and then hands the connection back."""

    def __init__(self, connection: Connection, left: int) -> None:
        self._connection = connection
        self.left = left
        """Bytes still to come."""
        self._room = memoryview(b"")
        self._filled = 0
        self._full: asyncio.Future[None] | None = None
        self._unwanted = bytearray()
        connection.flow.pause_reading()
        connection.transport.set_protocol(self)

    async def fill(self, room: memoryview) -> int:
        """Read into `room`; returns how many bytes, fewer only where the body or the client ends.

        When it is cancelled, what comes is thrown away.
        """
        self._room, self._filled = room[: self.left], 0
        if len(self._room) and not self._connection.cycle.disconnected:
            self._full = asyncio.get_running_loop().create_future()
            self._connection.flow.resume_reading()
            try:
                await self._full
            finally:
                self._room, self._full = memoryview(b""), None
        return self._filled

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go: never more than the body has left."""
        if self._full is not None:
            return self._room[self._filled :]
        self._unwanted = self._unwanted or bytearray(LARGE)  # after an error
        return memoryview(self._unwanted)[: self.left]

    def buffer_updated(self, nbytes: int) -> None:
        """Take note of what has come."""
        self.left -= nbytes
        self._filled += nbytes
        if not self.left or (self._full is not None and self._filled == len(self._room)):
            self._connection.flow.pause_reading()
            if not self.left:
                asyncio.get_running_loop().call_soon(self._connection.body_has_ended)
            self._wake()

    def _wake(self) -> None:
        if self._full is not None and not self._full.done():
            self._full.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._connection.connection_lost(exc)
        self._wake()

    def pause_writing(self) -> None:
        """As in `Connection`."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """As in `Connection`."""
        self._connection.resume_writing()
