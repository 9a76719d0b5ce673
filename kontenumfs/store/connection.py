# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One HTTP/1.1 connection: a request out, its whole answer in, and no doubt about its fate."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass

import h11
import httpx
import trio

from kontenumfs.store import operation
from kontenumfs.store.api import Body

SMALL_BODY = 64 * 1024
"""Bodies of at most so many bytes go out together with the head: they fit any socket buffer."""
SLICE = 1 << 20
"""Bytes handed to the socket at once; it takes what fits."""
RECEIVE_BYTES = 64 * 1024
MAX_HEAD = 64 * 1024
MAX_HEADERS = 256
"""Header lines of an answer; S3 sends a dozen, and user metadata are bounded by 2 KiB."""
MAX_INTERIM = 16
"""1xx answers before the final one."""
MAX_PIECES = 1 << 16
"""Pieces that a body comes in: each costs more than the byte that it may hold."""
MAX_ERROR = 64 * 1024
"""Bytes of an error's body; of a longer one the status is all that is read."""


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


class TooLong(Exception):
    """A good answer is longer than its question allows."""


class Silence(Exception):
    """The peer has said nothing more."""


class Tap(trio.abc.Stream):
    """What lies between TLS and TCP, so that one can ask TLS for what it has left, and no more.

    Args:
        stream: the TCP stream.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.is_open = True
        """Whether more may be received; else who tries hears Silence."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See trio.abc.SendStream."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See trio.abc.SendStream."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See trio.abc.ReceiveStream."""
        if not self.is_open:
            raise Silence
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        """See trio.abc.AsyncResource."""
        await self._stream.aclose()


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
        tap: what lies between the two, where they are two.
    """

    def __init__(
        self, stream: trio.abc.Stream, transport: trio.SocketStream, tap: Tap | None = None
    ) -> None:
        self._stream = stream
        self._socket = transport.socket
        self._tap = tap
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._answered = False
        self._is_head = False
        self.idle_since = 0.0
        self.moved: Callable[[], None] = _nobody_minds
        """Is called when something was sent or received."""

    @property
    def is_stale(self) -> bool:
        """Whether the store has closed it (or spoke out of turn) while it was idle."""
        return self._socket.is_readable()

    @property
    def spoke_first(self) -> bool:
        """Whether there is something to hear before anything was asked; TLS may have its own."""
        return self._tap is None and self._socket.is_readable()

    async def is_reusable(self) -> bool:
        """Whether another exchange may follow: the last one has ended, and left nothing over.

        What is left over would be taken for the answer to the next request.
        """
        if self._http.our_state is not h11.IDLE or self._http.trailing_data != (b"", False):
            return False
        if self._tap is None:
            return True
        self._tap.is_open = False
        try:
            await self._stream.receive_some(1)
        except Silence:
            self._tap.is_open = True
            return True
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        return False

    def close(self) -> None:
        """Drop the connection at once."""
        self._socket.close()

    async def exchange(
        self, request: httpx.Request, target: bytes, length: int, longest: int
    ) -> Answer:
        """Send a request with a body of `length` bytes and read its whole answer.

        An error answer that comes while the body is still on its way ends the sending.

        Raises ConnectionLost; TooLong for a good answer of more than `longest` bytes;
        h11.LocalProtocolError for a head that cannot be sent. The connection is of no more use
        after any exception, cancellation included.
        """
        self._answered = False
        self._is_head = request.method == "HEAD"
        head = self._http.send(
            h11.Request(method=request.method, target=target, headers=request.headers.raw)
        )
        assert head is not None
        if length <= SMALL_BODY:
            await self._send_small(request, head)
            answer = await self._receive(longest)
        else:
            answer = await self._send_large(request, head, longest)
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

    async def _send_large(self, request: httpx.Request, head: bytes, longest: int) -> Answer:
        try:
            await self._stream.send_all(head)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionLost(_reason(error), sent=False, answered=False) from error
        lost: ConnectionLost | TooLong | None = None
        answer: Answer | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_body, request)
            try:
                answer = await self._receive(longest)
            except (ConnectionLost, TooLong) as error:
                lost = error
            # A success is waited for: our own sender may merely not have looked up yet.
            if answer is None or answer.status >= 300:
                nursery.cancel_scope.cancel()
        if answer is None:
            assert lost is not None
            raise lost
        if answer.status < 300 and self._http.our_state not in (h11.DONE, h11.MUST_CLOSE):
            reason = "a success was answered to half of the request"
            raise ConnectionLost(reason, sent=True, answered=True)
        return answer

    async def _send_body(self, request: httpx.Request) -> None:
        gone = 0
        try:
            for piece in await _slices(request):
                for data in self._http.send_with_data_passthrough(h11.Data(data=piece)) or []:
                    await self._stream.send_all(data)
                    self.moved()
                gone += len(piece)
                operation.sent(gone)
            self._http.send_with_data_passthrough(h11.EndOfMessage())
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # The store may have said why before it hung up: that is for the receiver to find.
            return

    async def _receive(self, longest: int) -> Answer:
        answer: Answer | None = None
        body = bytearray()
        pieces = interim = 0
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise self._garbled(str(error)) from error
            if event is h11.NEED_DATA:
                await self._receive_some()
            elif isinstance(event, h11.InformationalResponse):
                interim += 1
                if interim > MAX_INTERIM:
                    raise self._garbled("interim answers without end")
            elif isinstance(event, h11.Response):
                answer = Answer(event.status_code, list(event.headers.raw_items()), b"")
                if reason := _misframed(answer):
                    raise self._garbled(reason)
                longest = longest if answer.status < 300 else MAX_ERROR
                if self._announced(answer) > longest:
                    return _cut(answer, longest)
            elif isinstance(event, h11.Data):
                body += event.data
                pieces += 1
                if len(body) > longest or pieces > MAX_PIECES:
                    assert answer is not None
                    return _cut(answer, longest)
            elif isinstance(event, h11.EndOfMessage):
                assert answer is not None
                answer.body = bytes(body)
                return answer

    def _announced(self, answer: Answer) -> int:
        """Bytes of the body that comes, as far as its head says so."""
        if self._http.their_state is not h11.SEND_BODY:
            return 0
        lengths = [value for name, value in answer.headers if name.lower() == b"content-length"]
        return int(lengths[0]) if lengths and not self._is_head else 0

    def _garbled(self, reason: str) -> ConnectionLost:
        return ConnectionLost(reason, sent=True, answered=self._answered)

    async def _receive_some(self) -> None:
        try:
            data = await self._stream.receive_some(RECEIVE_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionLost(_reason(error), sent=True, answered=self._answered) from error
        self.moved()
        self._answered = self._answered or bool(data)
        self._http.receive_data(bytes(data))


def _nobody_minds() -> None:
    """Nobody wants to know whether the connection moves."""


def _misframed(answer: Answer) -> str:
    """What makes it doubtful where the answer ends; empty where nothing does."""
    names = [name.lower() for name, _ in answer.headers]
    if len(names) > MAX_HEADERS:
        return f"the answer has more than {MAX_HEADERS} header lines"
    if b"transfer-encoding" in names and b"content-length" in names:
        return "the answer has both Content-Length and Transfer-Encoding"
    return ""


def _cut(answer: Answer, longest: int) -> Answer:
    """An answer that is too long: of an error the status is enough. The rest is not read."""
    if answer.status < 300:
        raise TooLong(f"the answer has more than {longest} bytes")
    return answer


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
