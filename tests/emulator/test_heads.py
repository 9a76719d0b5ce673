# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Heads of requests that say a thing twice, or too much: refused, whichever half is true."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.emulator.signers import UNSIGNED, V2, V4
from tests.emulator.wire import Prepared, Wire
from tests.harness.emulator import ACCESS, SECRET, Emulator
from tests.harness.processes import peak_memory

KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture
def untouched(emulator: Emulator, wire: Wire) -> Iterator[str]:
    """A key whose object must be the old one after the test."""
    assert wire.send("PUT", "untouched", b"old").status == 200
    yield "untouched"
    assert emulator.fetch("untouched") == b"old"


def answered(raw: socket.socket, sent: bytes) -> tuple[int, str]:
    """Status and code of the answer to these bytes; the emulator closes, or has said all."""
    raw.settimeout(30)
    with suppress(ConnectionResetError, BrokenPipeError):
        raw.sendall(sent)
    answer = b""
    while b"</Error>" not in answer and (piece := raw.recv(65536)):
        answer += piece
    code = re.search(rb"<Code>(\w+)</Code>", answer)
    return int(answer.split()[1]), code[1].decode() if code else ""


def in_head(request: Prepared, line: str) -> bytes:
    """The request with one more line in its head, before the others."""
    first, rest = (request.head(len(request.body)) + request.body).split(b"\r\n", 1)
    return b"\r\n".join((first, line.encode(), rest))


@pytest.mark.parametrize(
    "name",
    ["Authorization", "Host", "Content-Length", "X-Amz-Date", "x-amz-content-sha256"],
)
@pytest.mark.parametrize("same", [True, False])
def test_a_header_that_is_there_twice(wire: Wire, untouched: str, name: str, same: bool) -> None:
    """Also where both say the same."""
    request = wire.prepare("PUT", untouched, b"new")
    values = {n.lower(): v for n, v in request.headers.items()} | {"content-length": "3"}
    value = values[name.lower()] if same else {"Content-Length": "2"}.get(name, "other")
    with wire.plain_socket() as raw:
        status, code = answered(raw, in_head(request, f"{name}: {value}"))
    assert (status, code) == (400, "InvalidRequest")


def test_a_length_and_chunks_at_once(wire: Wire, untouched: str) -> None:
    request = wire.prepare("PUT", untouched, b"3\r\nnew\r\n0\r\n\r\n", payload=UNSIGNED)
    with wire.plain_socket() as raw:
        assert answered(raw, in_head(request, "Transfer-Encoding: chunked"))[0] == 400


@pytest.mark.parametrize("signer", [V4(ACCESS, SECRET), V2(ACCESS, SECRET)], ids=["v4", "v2"])
def test_two_signatures_in_the_query(wire: Wire, untouched: str, signer: V4 | V2) -> None:
    """A second one, right or wrong, before or behind the first."""
    host = {"host": wire.host}
    target = wire.target(untouched)
    expires = 600 if isinstance(signer, V4) else int(time.time()) + 600
    signed = signer.in_query("PUT", target, host, expires)
    path, _, query = signed.partition("?")
    named = next(part for part in query.split("&") if re.match("(X-Amz-)?Signature=", part))
    for second in (named, f"{named.partition('=')[0]}=0"):
        for both in (f"{second}&{query}", f"{query}&{second}"):
            answer = wire.exchange(Prepared("PUT", f"{path}?{both}", dict(host), b"new"))
            assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_a_signature_in_the_header_and_parts_of_one_in_the_query(
    wire: Wire, untouched: str
) -> None:
    for more in ("X-Amz-Signature=0", "X-Amz-Algorithm=x", "Signature=0", "AWSAccessKeyId=a"):
        answer = wire.send("PUT", f"{untouched}?{more}", b"new")
        assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_a_field_of_the_signature_twice(wire: Wire, untouched: str) -> None:
    request = wire.prepare("PUT", untouched, b"new")
    name = next(name for name in request.headers if name.lower() == "authorization")
    request.headers[name] += ", Signature=" + "0" * 64
    assert wire.exchange(request).code == "AuthorizationHeaderMalformed"


def test_a_head_of_64_kib_is_taken_and_a_larger_one_is_not(wire: Wire, untouched: str) -> None:
    """One header or many, in one piece or in several."""
    request = wire.prepare("HEAD", untouched)
    room = 64 * KIB - len(request.head(0)) - 100
    with wire.plain_socket() as raw:
        raw.sendall(in_head(request, "x-long: " + "x" * room))
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
    long = [f"x-long: {'x' * size}" for size in (65 * KIB, MIB, 8 * MIB)]
    many = ["\r\n".join(f"x-{n}: {n}" for n in range(count)) for count in (9000, 100_000)]
    for line in (*long, *many):
        with wire.plain_socket() as raw:
            status, code = answered(raw, in_head(request, line))
        assert (status, code) == (400, "RequestHeaderSectionTooLarge")
    target = f"/{'x' * 70 * KIB}"
    with wire.plain_socket() as raw:
        found = answered(raw, f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    assert found == (400, "RequestHeaderSectionTooLarge")
    assert wire.send("HEAD", untouched).status == 200


def test_a_head_without_end_takes_no_memory(own_emulator: Emulator) -> None:
    before = peak_memory(own_emulator.pid)
    with Wire(own_emulator) as wire, wire.plain_socket() as raw:
        with suppress(OSError):
            raw.sendall(b"GET / HTTP/1.1\r\nx: " + b"x" * (64 * MIB))
        assert wire.send("GET", "/").status == 200
    assert peak_memory(own_emulator.pid) - before < 16 * MIB


def test_a_trailer_is_no_header(emulator: Emulator, wire: Wire) -> None:
    """Not even where it comes in one piece with the head."""
    wire.send("PUT", "source", b"source")
    request = wire.prepare("PUT", "trailed?compose", payload=UNSIGNED)
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    lines += ["transfer-encoding: chunked"]
    head = "\r\n".join((f"PUT {request.target} HTTP/1.1", *lines, "", "")).encode()
    body = b"<ComposeRequest><Component><Name>source</Name></Component></ComposeRequest>"
    chunks = b"%x\r\n%b\r\n0\r\ncontent-type: text/x\r\nif-match: none\r\n\r\n" % (len(body), body)
    with wire.plain_socket() as raw:
        raw.sendall(head + chunks)
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert emulator.fetch("trailed") == b"source"
    assert wire.send("HEAD", "trailed").headers["content-type"] == "binary/octet-stream"
