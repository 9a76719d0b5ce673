# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One HTTP/1.1 connection: a request out, its whole answer in, and no doubt about its fate."""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass

import h11
import httpx
import trio

from kontenumfs.protocol.errors import UnexpectedAnswer
from kontenumfs.store.api import Body

SMALL_BODY = 64 * 1024
"""Bodies of at most so many bytes go out together with the head: they fit any socket buffer."""
SLICE = 1 << 20
"""Bytes handed to the socket at once; it takes what fits."""
RECEIVE_BYTES = 64 * 1024
MAX_HEAD = 64 * 1024
MAX_ANSWER = 64 << 20
"""Bytes of an answer's body; a listing of a thousand of the longest keys has a tenth of that."""


class ConnectionLost(Exception):
    """The connection broke during an exchange.

    Args:
        sent: whether any byte of the request may have reached the store.
        answered: whether any byte of an answer came.
    """

    def __init__(self, reason: str, *, sent: bool, answered: bool) -> None:
        super().__init__(reason)
        self.sent = sent
        self.answered = answered


class BufferStream(httpx.AsyncByteStream):
    """A body that is sent in slices, without copies, and again when the request is repeated."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def slices(self) -> Iterator[memoryview]:
        """The body's bytes, in order, as views of the buffers."""
        for piece in self._body:
            view = memoryview(piece)
            for start in range(0, len(view), SLICE):
                yield view[start : start + SLICE]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """What httpx expects of a body; the connection takes the slices."""
        for view in self.slices():
            yield bytes(view)

    def let_go(self) -> None:
        """Forget the buffers: the request is over."""
        self._body = ()


@dataclass(slots=True)
class Answer:
    """A whole answer, its body included."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Connection:
    """An open connection; it carries one exchange at a time.

    Args:
        stream: what is spoken over, TLS included where there is any.
        transport: the TCP stream below it, or itself.
    """

    def __init__(self, stream: trio.abc.Stream, transport: trio.SocketStream) -> None:
        self._stream = stream
        self._socket = transport.socket
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._answered = False
        self.idle_since = 0.0

    @property
    def is_stale(self) -> bool:
        """Whether the store has closed it (or spoke out of turn) while it was idle."""
        return self._socket.is_readable()

    @property
    def is_reusable(self) -> bool:
        """Whether another exchange may follow."""
        return self._http.our_state is h11.IDLE

    def close(self) -> None:
        """Drop the connection at once."""
        self._socket.close()

    async def exchange(self, request: httpx.Request, target: bytes, length: int) -> Answer:
        """Send a request with a body of `length` bytes and read its whole answer.

        An error answer that comes while the body is still on its way ends the sending.

        Raises ConnectionLost; UnexpectedAnswer for an answer that is too long;
        h11.LocalProtocolError for a head that cannot be sent. The connection is of no more use
        after any exception, cancellation included.
        """
        self._answered = False
        head = self._http.send(
            h11.Request(method=request.method, target=target, headers=request.headers.raw)
        )
        assert head is not None
        if length <= SMALL_BODY:
            await self._send_small(request, head)
            answer = await self._receive()
        else:
            answer = await self._send_large(request, head)
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return answer

    async def _send_small(self, request: httpx.Request, head: bytes) -> None:
        pieces = [head]
        for piece in await _slices(request):
            pieces += self._http.send_with_data_passthrough(h11.Data(data=piece)) or []
        pieces += self._http.send_with_data_passthrough(h11.EndOfMessage()) or []
        try:
            await self._stream.send_all(b"".join(pieces))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            # The one send failed: the kernel took no byte of it.
            raise ConnectionLost(_reason(error), sent=False, answered=False) from error

    async def _send_large(self, request: httpx.Request, head: bytes) -> Answer:
        try:
            await self._stream.send_all(head)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionLost(_reason(error), sent=False, answered=False) from error
        lost: ConnectionLost | UnexpectedAnswer | None = None
        answer: Answer | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_body, request)
            try:
                answer = await self._receive()
            except (ConnectionLost, UnexpectedAnswer) as error:
                lost = error
            # A success is waited for: our own sender may merely not have looked up yet.
            if answer is None or answer.status >= 300:
                nursery.cancel_scope.cancel()
        if answer is None:
            assert lost is not None
            raise lost
        return answer

    async def _send_body(self, request: httpx.Request) -> None:
        try:
            for piece in await _slices(request):
                for data in self._http.send_with_data_passthrough(h11.Data(data=piece)) or []:
                    await self._stream.send_all(data)
            self._http.send_with_data_passthrough(h11.EndOfMessage())
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # The store may have said why before it hung up: that is for the receiver to find.
            return

    async def _receive(self) -> Answer:
        answer: Answer | None = None
        body: list[bytes] = []
        size = 0
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise ConnectionLost(str(error), sent=True, answered=self._answered) from error
            if event is h11.NEED_DATA:
                await self._receive_some()
            elif isinstance(event, h11.Response):
                answer = Answer(event.status_code, list(event.headers.raw_items()), b"")
            elif isinstance(event, h11.Data):
                body.append(event.data)
                size += len(event.data)
                if size > MAX_ANSWER:
                    raise UnexpectedAnswer(f"the answer has more than {MAX_ANSWER} bytes")
            elif isinstance(event, h11.EndOfMessage):
                assert answer is not None
                answer.body = b"".join(body)
                return answer

    async def _receive_some(self) -> None:
        try:
            data = await self._stream.receive_some(RECEIVE_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionLost(_reason(error), sent=True, answered=self._answered) from error
        self._answered = self._answered or bool(data)
        self._http.receive_data(bytes(data))


async def _slices(request: httpx.Request) -> Iterable[bytes]:
    stream = request.stream
    if isinstance(stream, BufferStream):
        return stream.slices()  # type: ignore[return-value]  # h11 and sockets take any buffer
    assert isinstance(stream, httpx.AsyncByteStream)
    return [piece async for piece in stream]


def _reason(error: BaseException) -> str:
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(error) or "the connection was closed"
