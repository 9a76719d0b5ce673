# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A server on loopback whose every connection does what a test's script says."""

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: "e"\r\n\r\nok'


class Peer:
    """The server's end of one connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.rest = b""
        """What was received and not looked at yet."""

    async def request(self) -> bytes:
        """The next request's head, its body read and dropped; empty at the end."""
        head = await self.head()
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(self.rest) < length:
            self.rest += await self.stream.receive_some(1 << 20)
        self.rest = self.rest[length:]
        return head

    async def head(self) -> bytes:
        """The next request's head; its body stays unread."""
        while b"\r\n\r\n" not in self.rest:
            data = await self.stream.receive_some(65536)
            if not data:
                return b""
            self.rest += data
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        return head

    async def say(self, data: bytes) -> None:
        """Send bytes as they are."""
        await self.stream.send_all(data)

    def reset(self) -> None:
        """Break the connection with RST."""
        linger = struct.pack("ii", 1, 0)
        self.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.stream.socket.close()


def saying(status: bytes, body: bytes) -> Callable[[Peer], Awaitable[None]]:
    """A script that gives every request this answer."""
    head = b"HTTP/1.1 %s\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n"

    async def script(peer: Peer) -> None:
        while await peer.request():
            await peer.say(head % (status, len(body)) + body)

    return script


@dataclass
class Loopback:
    """A running server.

    Args:
        closed: set each time the server has let go of a connection.
    """

    url: str
    connections: int = 0
    closed: list[trio.Event] = field(default_factory=list)


@asynccontextmanager
async def serving(*scripts: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[Loopback]:
    """Serve: the first connection runs the first script, and so on; the last one repeats."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = Loopback(f"http://127.0.0.1:{listener.socket.getsockname()[1]}")

    async def handle(stream: trio.SocketStream) -> None:
        script = scripts[min(server.connections, len(scripts) - 1)]
        server.connections += 1
        closed = trio.Event()
        server.closed.append(closed)
        try:
            await script(Peer(stream))
        finally:
            stream.socket.close()
            closed.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handle, [listener])
        yield server
        nursery.cancel_scope.cancel()
