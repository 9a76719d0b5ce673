# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The transport tells the fate of a request, and never repeats what may have arrived."""

import gzip
import ipaddress
import socket
import ssl
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from kontenumfs.protocol import errors as e
from kontenumfs.store.connection import BufferStream
from kontenumfs.store.transport import KEEP_IDLE_ONCE_SECONDS, KEEP_IDLE_SECONDS, OriginTransport
from tests.harness.tls import certificate
from tests.store.loopback import OK, Loopback, Peer, serving

LARGE = 32 << 20
"""More than the sockets' buffers take."""


def request(
    url: str, method: str = "PUT", body: bytes = b"", *, once: bool = False, **headers: str
) -> httpx.Request:
    named = {"host": "h", "content-length": str(len(body)), **headers}
    return httpx.Request(
        method,
        url + "/b/k",
        headers=named,
        stream=BufferStream([body]),
        extensions={"once": once},
    )


@asynccontextmanager
async def transport_to(server: Loopback, connections: int = 4) -> AsyncIterator[OriginTransport]:
    transport = OriginTransport(httpx.URL(server.url), connections=connections)
    try:
        yield transport
    finally:
        await transport.aclose()


async def answering(peer: Peer) -> None:
    while await peer.request():
        await peer.say(OK)


async def answering_once(peer: Peer) -> None:
    await peer.request()
    await peer.say(OK)


async def closing_after_request(peer: Peer) -> None:
    await peer.request()


async def resetting_after_request(peer: Peer) -> None:
    await peer.request()
    peer.reset()


async def test_answers_come_whole_and_connections_are_kept() -> None:
    async with serving(answering) as server, transport_to(server) as transport:
        for _ in range(3):
            response = await transport.handle_async_request(request(server.url, body=b"x"))
            assert (response.status_code, await response.aread()) == (200, b"ok")
            assert response.headers["etag"] == '"e"'
        assert transport.connects == 1


async def test_the_target_is_sent_as_it_stands() -> None:
    heads: list[bytes] = []

    async def noting(peer: Peer) -> None:
        heads.append(await peer.request())
        await peer.say(OK)

    async with serving(noting) as server, transport_to(server) as transport:
        asked = request(server.url)
        asked.extensions["target"] = b"/b/a/../%20?append"
        await transport.handle_async_request(asked)
    assert heads[0].startswith(b"PUT /b/a/../%20?append HTTP/1.1\r\n")


async def test_connections_are_bounded_and_the_last_used_is_first(mock_clock: MockClock) -> None:
    release, three = trio.Event(), trio.Event()
    arrived = 0

    async def held(peer: Peer) -> None:
        nonlocal arrived
        while await peer.request():
            arrived += 1
            if arrived == 3:
                three.set()
            await release.wait()
            await peer.say(OK)

    async with serving(held) as server, transport_to(server, connections=3) as transport:
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(transport.handle_async_request, request(server.url))
            await three.wait()
            await wait_all_tasks_blocked()
            assert transport.connects == 3
            release.set()
        assert transport.connects == 3


async def test_connection_close_is_obeyed() -> None:
    async def closing(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK.replace(b"ETag", b"Connection: close\r\nETag"))

    async with serving(closing) as server, transport_to(server) as transport:
        for _ in range(2):
            await transport.handle_async_request(request(server.url))
        assert transport.connects == 2


@pytest.mark.parametrize("once", [False, True])
async def test_a_connection_closed_while_idle_is_replaced(once: bool) -> None:
    async with serving(answering_once) as server, transport_to(server) as transport:
        await transport.handle_async_request(request(server.url))
        await server.closed[0].wait()
        response = await transport.handle_async_request(request(server.url, once=once))
        assert response.status_code == 200
        assert transport.connects == 2


@pytest.mark.parametrize(
    "script", [closing_after_request, resetting_after_request], ids=["closed", "reset"]
)
@pytest.mark.parametrize("size", [1, LARGE])
async def test_no_answer_to_a_write_is_a_lost_answer(script: object, size: int) -> None:
    async with serving(script) as server, transport_to(server) as transport:  # type: ignore[arg-type]
        with pytest.raises(e.AnswerLost):
            await transport.handle_async_request(request(server.url, body=bytes(size)))
        assert transport.connects == 1


async def test_a_lost_answer_over_a_kept_connection() -> None:
    async def answering_the_first(peer: Peer) -> None:
        await answering_once(peer)
        await peer.request()

    async with serving(answering_the_first, answering) as server, transport_to(server) as transport:
        await transport.handle_async_request(request(server.url))
        with pytest.raises(e.AnswerLost):
            await transport.handle_async_request(request(server.url, body=b"x"))
        assert transport.connects == 1


async def test_a_safe_request_over_a_kept_connection_is_sent_again() -> None:
    async def answering_the_first(peer: Peer) -> None:
        await answering_once(peer)
        await peer.request()

    async with serving(answering_the_first, answering) as server, transport_to(server) as transport:
        await transport.handle_async_request(request(server.url))
        response = await transport.handle_async_request(request(server.url, "GET"))
        assert response.status_code == 200
        assert transport.connects == 2


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsho",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
    ids=["body", "chunk", "head", "not HTTP"],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_truncated_answer_is_lost(said: bytes, method: str) -> None:
    async def truncating(peer: Peer) -> None:
        await peer.request()
        await peer.say(said)

    async with serving(truncating) as server, transport_to(server) as transport:
        with pytest.raises(e.AnswerLost):
            await transport.handle_async_request(request(server.url, method))


async def test_an_early_refusal_ends_the_sending() -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"

    async def refusing(peer: Peer) -> None:
        await peer.head()
        await peer.say(refusal)
        await trio.sleep_forever()

    async with serving(refusing, answering) as server, transport_to(server) as transport:
        asked = request(server.url, body=bytes(LARGE))
        assert (await transport.handle_async_request(asked)).status_code == 403
        asked = request(server.url, body=bytes(LARGE))
        assert (await transport.handle_async_request(asked)).status_code == 200
        assert transport.connects == 2


async def test_an_early_refusal_before_a_hang_up_is_heard() -> None:
    async def refusing(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno")

    async with serving(refusing) as server, transport_to(server) as transport:
        asked = request(server.url, body=bytes(LARGE))
        assert (await transport.handle_async_request(asked)).status_code == 400


async def test_a_large_body_arrives_whole() -> None:
    body = bytes(range(256)) * (LARGE // 256)
    received = bytearray()

    async def noting(peer: Peer) -> None:
        head = await peer.head()
        assert b"content-length: %d" % LARGE in head.lower()
        received.extend(peer.rest)
        while len(received) < LARGE:
            received.extend(await peer.stream.receive_some(1 << 20))
        await peer.say(OK)

    async with serving(noting) as server, transport_to(server) as transport:
        views = [memoryview(body)[:1000], memoryview(body)[1000:]]
        asked = request(server.url)
        asked.headers["content-length"] = str(LARGE)
        asked.stream = BufferStream(views)
        assert (await transport.handle_async_request(asked)).status_code == 200
    assert received == body


async def test_interim_answers_are_passed_over() -> None:
    async def patient(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + OK)

    async with serving(patient) as server, transport_to(server) as transport:
        response = await transport.handle_async_request(request(server.url))
        assert response.status_code == 200


@pytest.mark.parametrize("size", [1, LARGE])
async def test_cancellation_drops_the_connection(size: int) -> None:
    arrived = trio.Event()

    async def silent(peer: Peer) -> None:
        await peer.head()
        arrived.set()
        await trio.sleep_forever()

    async with serving(silent, answering) as server, transport_to(server) as transport:
        async with trio.open_nursery() as nursery:
            asked = request(server.url, body=bytes(size))
            nursery.start_soon(transport.handle_async_request, asked)
            await arrived.wait()
            nursery.cancel_scope.cancel()
        await transport.handle_async_request(request(server.url))
        assert transport.connects == 2


async def test_a_closed_port_is_not_sent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = httpx.URL(f"http://127.0.0.1:{free.getsockname()[1]}")
        transport = OriginTransport(url)
        with pytest.raises(e.NotSent, match="refused"):
            await transport.handle_async_request(request(str(url)))


async def test_an_unknown_name_does_not_resolve() -> None:
    transport = OriginTransport(httpx.URL("http://no-such-host.invalid"))
    with pytest.raises(e.NameResolutionError, match=r"no-such-host\.invalid"):
        await transport.handle_async_request(request("http://no-such-host.invalid"))


async def test_an_endpoint_without_tls_is_a_tls_error() -> None:
    async def plain(peer: Peer) -> None:
        await peer.stream.receive_some(1)
        await peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(plain) as server:
        url = server.url.replace("http:", "https:")
        transport = OriginTransport(httpx.URL(url), trust=ssl.create_default_context())
        with pytest.raises(e.TLSError):
            await transport.handle_async_request(request(url))


@pytest.mark.parametrize("script", [[], [b""], [b"\x15\x03"]], ids=["at once", "heard", "cut"])
async def test_a_hang_up_during_the_handshake_is_not_sent(script: list[bytes]) -> None:
    """As a balancer does that restarts: the next attempt may succeed."""

    async def hanging_up(peer: Peer) -> None:
        for said in script:
            await peer.stream.receive_some(65536)
            await peer.stream.send_all(said)

    async with serving(hanging_up) as server:
        url = server.url.replace("http:", "https:")
        transport = OriginTransport(httpx.URL(url), trust=ssl.create_default_context())
        with pytest.raises(e.NotSent) as caught:
            await transport.handle_async_request(request(url))
        assert not isinstance(caught.value, e.TLSError)


async def test_a_name_that_no_host_can_have_does_not_resolve() -> None:
    url = f"http://{'a' * 64}.test"
    with pytest.raises(e.NameResolutionError, match="not a host name"):
        await OriginTransport(httpx.URL(url)).handle_async_request(request(url))


async def test_a_head_that_http_cannot_carry_is_refused_and_not_shown() -> None:
    async with serving(answering) as server, transport_to(server) as transport:
        spoilt = request(server.url, bad="s3cret\r\nb: c")
        with pytest.raises(e.InvalidRequest) as caught:
            await transport.handle_async_request(spoilt)
        assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("size", [1, LARGE])
async def test_an_answer_without_end_is_one_error(size: int) -> None:
    """And not a group of them."""
    async with serving(answering) as server, transport_to(server) as transport:
        asked = request(server.url, body=bytes(size))
        asked.extensions["longest_answer"] = 1
        with pytest.raises(e.UnexpectedAnswer, match="more than 1 bytes"):
            await transport.handle_async_request(asked)


async def test_old_connections_make_room_for_new_ones(autojump_clock: MockClock) -> None:
    """What must not be repeated takes none that is old, and the bound holds all the same."""
    async with serving(answering) as server, transport_to(server, connections=1) as transport:
        for number in range(5):
            await transport.handle_async_request(request(server.url, once=True))
            assert transport.connects == number + 1
            autojump_clock.jump(KEEP_IDLE_ONCE_SECONDS + 1)
            for closed in server.closed[:-1]:
                with trio.fail_after(5):
                    await closed.wait()


async def test_idle_connections_grow_old(autojump_clock: MockClock) -> None:
    async with serving(answering) as server, transport_to(server) as transport:
        await transport.handle_async_request(request(server.url))
        autojump_clock.jump(KEEP_IDLE_ONCE_SECONDS + 1)
        await transport.handle_async_request(request(server.url))
        assert transport.connects == 1
        autojump_clock.jump(KEEP_IDLE_ONCE_SECONDS + 1)
        await transport.handle_async_request(request(server.url, once=True))
        assert transport.connects == 2
        autojump_clock.jump(KEEP_IDLE_SECONDS + 1)
        await transport.handle_async_request(request(server.url))
        assert transport.connects == 3


@pytest.mark.parametrize("late", [False, True], ids=["in the same segment", "while idle"])
async def test_what_is_left_over_is_nobodys_answer(late: bool) -> None:
    false = OK.replace(b'"e"', b'"false"')

    async def talkative(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK if late else OK + false)
        if late:
            await peer.say(false)
        await trio.sleep_forever()

    async with serving(talkative, answering) as server, transport_to(server) as transport:
        response = await transport.handle_async_request(request(server.url))
        assert response.headers["etag"] == '"e"'
        await wait_all_tasks_blocked(0.05)
        response = await transport.handle_async_request(request(server.url))
        assert response.headers["etag"] == '"e"'
        assert transport.connects == 2


async def test_what_is_left_over_within_tls_is_nobodys_answer(tmp_path: Path) -> None:
    """TLS has taken it from the socket, which shows nothing any more."""
    cert, key = certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    said = [[OK, OK.replace(b'"e"', b'"false"')], [OK]]
    records = iter(said)

    async def encrypted(peer: Peer) -> None:
        tls = trio.SSLStream(peer.stream, context, server_side=True, https_compatible=True)
        mine = next(records)
        while await tls.receive_some(65536):
            # Records of their own, which arrive together: the false one stays within TLS.
            with peer.stream.socket.dup() as socket_:
                socket_.setsockopt(socket.IPPROTO_TCP, 3, 1)  # TCP_CORK
                for record in mine:
                    await tls.send_all(record)
                socket_.setsockopt(socket.IPPROTO_TCP, 3, 0)

    async with serving(encrypted) as server:
        url = httpx.URL(server.url.replace("http:", "https:").replace("127.0.0.1", "localhost"))
        trust = ssl.create_default_context(cafile=str(cert))
        transport = OriginTransport(url, trust=trust)
        for _ in range(2):
            response = await transport.handle_async_request(request(str(url)))
            assert response.headers["etag"] == '"e"'
        assert transport.connects == 2
        await transport.aclose()


async def test_a_quiet_tls_connection_is_kept(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    async def encrypted(peer: Peer) -> None:
        tls = trio.SSLStream(peer.stream, context, server_side=True, https_compatible=True)
        while await tls.receive_some(65536):
            await tls.send_all(OK)

    async with serving(encrypted) as server:
        url = httpx.URL(server.url.replace("http:", "https:").replace("127.0.0.1", "localhost"))
        transport = OriginTransport(url, trust=ssl.create_default_context(cafile=str(cert)))
        for _ in range(4):
            await transport.handle_async_request(request(str(url), body=b"x"))
        assert transport.connects == 1
        await transport.aclose()


async def test_nothing_is_unpacked() -> None:
    packed = gzip.compress(b"x" * 1000)

    async def packing(peer: Peer) -> None:
        await peer.request()
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
        await peer.say(head % len(packed) + packed)

    async with serving(packing) as server, transport_to(server) as transport:
        response = await transport.handle_async_request(request(server.url, "GET"))
        assert await response.aread() == packed
        assert response.extensions["content_encoding"] == "gzip"


async def test_a_secret_goes_to_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name says localhost, the address decides; no byte of the request goes out."""
    addresses = [
        address[4][0]
        for address in socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
    ]
    outer = next((str(a) for a in addresses if not ipaddress.ip_address(a).is_loopback), None)
    heard = bytearray()

    async def hear(stream: trio.SocketStream) -> None:
        async for data in stream:
            heard.extend(data)

    listeners = await trio.open_tcp_listeners(0, host=outer or "127.0.0.2")
    port = listeners[0].socket.getsockname()[1]
    if outer is None:
        # No other address here: one that only looks like another machine's.
        monkeypatch.setattr(ipaddress.IPv4Address, "is_loopback", property(lambda self: False))

    class Resolver(trio.abc.HostnameResolver):
        async def getaddrinfo(self, *_: object, **__: object) -> list[Any]:
            place = (outer or "127.0.0.2", port)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place)]

        async def getnameinfo(self, *_: object) -> tuple[str, str]:
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Resolver())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, hear, listeners)
        url = f"http://bucket.localhost:{port}"
        transport = OriginTransport(httpx.URL(url), local_only=True)
        with pytest.raises(e.NotPrivate):
            await transport.handle_async_request(request(url, authorization="A:s3cret"))
        nursery.cancel_scope.cancel()
    assert not heard


async def test_an_answer_before_the_request_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = trio.open_tcp_stream

    async def connect_and_wait(host: str, port: int) -> trio.SocketStream:
        stream = await connect(host, port)
        await trio.lowlevel.wait_readable(stream.socket)
        return stream

    async def hasty(peer: Peer) -> None:
        await peer.say(OK)
        await trio.sleep_forever()

    monkeypatch.setattr(trio, "open_tcp_stream", connect_and_wait)
    async with serving(hasty) as server, transport_to(server) as transport:
        with pytest.raises(e.NotSent, match="before it was asked"):
            await transport.handle_async_request(request(server.url))
