# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""An httpx transport for one origin on trio: a small pool, and failures told by their fate.

httpx's own transport scans its whole pool at each request (2.7 ms of CPU a small request with
sixteen connections against 0.5 ms here), and does not tell a request that was never sent from
one whose answer was lost, which is the difference between repeating an append and doubling it.
"""

import ipaddress
import socket
import ssl
from collections import deque

import h11
import httpx
import trio

from kontenumfs.protocol.errors import (
    AnswerLost,
    InvalidRequest,
    NameResolutionError,
    NotPrivate,
    NotSent,
    TLSError,
    UnexpectedAnswer,
)
from kontenumfs.store.connection import (
    SMALL_BODY,
    Answer,
    Connection,
    ConnectionLost,
    Tap,
    TooLong,
)
from kontenumfs.store.places import Places

CONNECT_SECONDS = 10.0
KEEP_IDLE_SECONDS = 30.0
"""A connection that was idle for longer is closed rather than used."""
KEEP_IDLE_ONCE_SECONDS = 2.0
"""The same for a request that must not be repeated: servers close theirs from 5 s on."""
LONGEST_ANSWER = 8 << 20
"""Bytes of a good answer's body, where the request does not say."""
SAFE_METHODS = frozenset({"GET", "HEAD"})

MISMATCHES = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH (openssl/x509_vfy.h)."""


class OriginTransport(httpx.AsyncBaseTransport):
    """Sends requests to one origin; proxies and the environment play no part.

    Reads from a request's extensions: ``target`` (bytes: path and query as on the wire; else
    the URL's, in which httpx has resolved dot segments), ``once`` (bool: the request must not
    be repeated, so a connection that may be stale is not used for it) and ``longest_answer``
    (int: bytes of a good answer's body). Answers are never decoded: what Content-Encoding says is
    in the answer's extension ``content_encoding`` and not among its headers, where httpx would
    act upon it.

    Args:
        url: scheme, host and port; paths are passed over.
        trust: what makes TLS; needed when `url` is https.
        connections: how many are at work at most; further requests wait for one. Those whose
            requests stall do not count (store.places).
        connect_seconds: for each attempt to connect, the TLS handshake included.
        local_only: refuse to speak to another machine than this one, whatever its name.
    """

    def __init__(
        self,
        url: httpx.URL,
        *,
        trust: ssl.SSLContext | None = None,
        connections: int = 16,
        connect_seconds: float = CONNECT_SECONDS,
        local_only: bool = False,
    ) -> None:
        self._host = url.host
        self._local_only = local_only
        self._port = url.port or (443 if url.scheme == "https" else 80)
        self._trust = trust if url.scheme == "https" else None
        self._places = Places(connections)
        self._connect_seconds = connect_seconds
        self._idle: deque[Connection] = deque()
        """The connection used last stands at the right end and is used first."""
        self._closed = False
        self.connects = 0
        """How many connections were opened, for metrics and tests."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` and return its whole answer.

        Raises NotSent, NameResolutionError, TLSError, AnswerLost; UnexpectedAnswer for one that
        is too long; InvalidRequest for a head that HTTP cannot carry. A connection found closed by
        the store is replaced without a word where nothing was sent over it, or where the method is
        safe and nothing was answered.
        """
        target: bytes = request.extensions.get("target") or request.url.raw_path
        length = int(request.headers.get("content-length", "0"))
        longest: int = request.extensions.get("longest_answer", LONGEST_ANSWER)
        lookup, long = request.method in SAFE_METHODS, length > SMALL_BODY
        key = target.partition(b"?")[0]
        async with self._places.take(key, is_lookup=lookup, is_long=long) as place:
            while True:
                connection = self._take(once=request.extensions.get("once", False))
                reused = connection is not None
                if connection is None:
                    connection = await self._connect()
                place.move()
                connection.moved = place.move
                try:
                    answer = await connection.exchange(request, target, length, longest)
                    keep = await connection.is_reusable()
                except ConnectionLost as lost:
                    connection.close()
                    harmless = not lost.sent or request.method in SAFE_METHODS
                    if reused and harmless and not lost.answered:
                        continue
                    raise self._told(lost) from lost
                except TooLong as error:
                    connection.close()
                    raise UnexpectedAnswer(str(error)) from error
                except h11.LocalProtocolError:
                    connection.close()
                    # h11 quotes the value, which may be the secret key.
                    raise InvalidRequest("has a header that HTTP cannot carry") from None
                except BaseException:
                    connection.close()
                    raise
                self._give_back(connection, keep=keep)
                return _response(answer)

    async def aclose(self) -> None:
        """Close the idle connections now and the busy ones after their exchanges."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
        await trio.lowlevel.checkpoint()

    def _told(self, lost: ConnectionLost) -> NotSent | AnswerLost:
        where = f"{self._host}:{self._port}: {lost}"
        return AnswerLost(where) if lost.sent else NotSent(where)

    def _take(self, *, once: bool) -> Connection | None:
        """The connection used last, if any still is of use."""
        oldest = trio.current_time() - (KEEP_IDLE_ONCE_SECONDS if once else KEEP_IDLE_SECONDS)
        while self._idle:
            if once and self._idle[-1].idle_since < oldest:
                self._idle.popleft().close()  # it makes room for the one that is opened
                return None
            connection = self._idle.pop()
            if connection.idle_since >= oldest and not connection.is_stale:
                return connection
            connection.close()
        return None

    def _give_back(self, connection: Connection, *, keep: bool) -> None:
        if self._closed or not keep:
            connection.close()
            return
        now = connection.idle_since = trio.current_time()
        self._idle.append(connection)
        while self._idle[0].idle_since < now - KEEP_IDLE_SECONDS:
            self._idle.popleft().close()

    async def _connect(self) -> Connection:
        where = f"{self._host}:{self._port}"
        with trio.move_on_after(self._connect_seconds):
            try:
                tcp = await trio.open_tcp_stream(self._host, self._port)
            except socket.gaierror as error:
                raise NameResolutionError(f"{self._host}: {error.strerror}") from error
            except UnicodeError as error:
                raise NameResolutionError(f"{self._host}: not a host name: {error}") from error
            except OSError as error:
                raise NotSent(f"{where}: {_reason(error)}") from error
            self.connects += 1
            if self._local_only and not _is_local(tcp):
                tcp.socket.close()
                raise NotPrivate(f"{where} is not this machine")
            if self._trust is None:
                return self._heard_nothing(Connection(tcp, tcp))
            return await self._encrypt(tcp, self._trust)
        raise NotSent(f"{where}: no connection within {self._connect_seconds:g} s")

    def _heard_nothing(self, connection: Connection) -> Connection:
        """An answer that is there before the request is none to it."""
        if connection.spoke_first:
            connection.close()
            raise NotSent(f"{self._host}:{self._port}: spoke, or hung up, before it was asked")
        return connection

    async def _encrypt(self, tcp: trio.SocketStream, trust: ssl.SSLContext) -> Connection:
        tap = Tap(tcp)
        tls = trio.SSLStream(tap, trust, server_hostname=self._host, https_compatible=True)
        try:
            await tls.do_handshake()
        except trio.BrokenResourceError as error:
            tcp.socket.close()
            where = f"{self._host}:{self._port}"
            cause = error.__cause__
            if isinstance(cause, ssl.SSLCertVerificationError):
                why = cause.verify_message
                if cause.verify_code in MISMATCHES:
                    why = f"{why} (only what its subjectAltName says counts)"
                raise TLSError(f"{where}: {why}") from error
            if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
                raise TLSError(f"{where}: {cause.reason or cause}") from error
            raise NotSent(f"{where}: closed during the TLS handshake") from error
        except BaseException:
            tcp.socket.close()
            raise
        return Connection(tls, tcp, tap)


def _response(answer: Answer) -> httpx.Response:
    headers: list[tuple[bytes, bytes]] = []
    encodings: list[str] = []
    for name, value in answer.headers:
        if name.lower() == b"content-encoding":
            encodings.append(value.decode("latin-1"))
        else:
            headers.append((name, value))
    return httpx.Response(
        answer.status,
        headers=headers,
        stream=httpx.ByteStream(answer.body),
        extensions={"content_encoding": ", ".join(encodings)},
    )


def _is_local(tcp: trio.SocketStream) -> bool:
    """Whether the other end is this machine: the address counts, and not the name."""
    address = ipaddress.ip_address(tcp.socket.getpeername()[0].partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _reason(error: BaseException) -> str:
    """Why connecting failed: trio tells it in the cause, or in a group of them."""
    cause: BaseException | None = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    for candidate in (cause, error):
        if isinstance(candidate, OSError) and candidate.strerror:
            return candidate.strerror
    return str(error)
