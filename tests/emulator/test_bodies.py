# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Large bodies: whole, refused and cut short, and the connection behind them."""

import hashlib
import random
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.emulator.signers import UNSIGNED, in_chunks
from tests.emulator.test_chunked import CHUNKED
from tests.emulator.wire import Wire
from tests.harness.emulator import Emulator, running_emulator
from tests.harness.tls import certificate

KIB, MIB = 1 << 10, 1 << 20
BIG = random.Random(1).randbytes(3 * MIB + 12345)


@pytest.mark.parametrize("size", [64 * KIB, 64 * KIB + 1, MIB - 1, MIB, MIB + 1, len(BIG)])
def test_every_byte_arrives(emulator: Emulator, wire: Wire, size: int) -> None:
    """Signed and not, one after the other on one connection; the ETag is the MD5."""
    body = BIG[:size]
    for key, payload in (("signed", None), ("unsigned", UNSIGNED)):
        answer = wire.send("PUT", key, body, payload=payload)
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        assert (answer.status, answer.headers["etag"]) == (200, f'"{etag}"')
        assert emulator.fetch(key) == body


def test_every_byte_arrives_over_tls(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "localhost")
    trust = ssl.create_default_context(cafile=str(cert))
    options = (f"--tls-cert={cert}", f"--tls-key={key}")
    with running_emulator(tmp_path / "own", *options) as emulator:
        with Wire(emulator, tls=trust, host="localhost") as wire:
            for _ in range(2):
                assert wire.send("PUT", "big", BIG, payload=UNSIGNED).status == 200
        assert emulator.fetch("big") == BIG


def test_the_next_request_may_come_with_the_body(emulator: Emulator, wire: Wire) -> None:
    """Pipelined: not a byte of it is taken for the body, nor lost."""
    put, head = wire.prepare("PUT", "first", BIG), wire.prepare("HEAD", "first")
    with wire.plain_socket() as raw:
        raw.sendall(put.head(len(BIG)) + BIG + head.head(0))
        answers = b""
        while answers.count(b"\r\n\r\n") < 2:
            answers += raw.recv(65536)
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert f"content-length: {len(BIG)}\r\n".encode() in answers
    assert emulator.fetch("first") == BIG


def test_a_client_may_ask_before_it_sends(emulator: Emulator, wire: Wire) -> None:
    """Expect: 100-continue; what is refused is not asked for."""
    with wire.plain_socket() as raw:
        raw.sendall(wire.prepare("PUT", "asked", BIG, {"expect": "100-continue"}).head(len(BIG)))
        assert raw.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.sendall(BIG)
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert emulator.fetch("asked") == BIG
    with wire.plain_socket() as raw:
        refused = wire.prepare("PUT", "/no-such-bucket/k", BIG, {"expect": "100-continue"})
        raw.sendall(refused.head(len(BIG)))
        assert raw.recv(65536).startswith(b"HTTP/1.1 404 ")


def test_a_client_that_goes_in_the_middle(emulator: Emulator, wire: Wire) -> None:
    """The object stays the old one, and the emulator goes on."""
    wire.send("PUT", "gone", b"old")
    for cut in (10, MIB, len(BIG) - 1):
        with wire.plain_socket() as raw:
            raw.sendall(wire.prepare("PUT", "gone", BIG).head(len(BIG)) + BIG[:cut])
    assert wire.send("PUT", "other", BIG).status == 200
    assert emulator.fetch("gone") == b"old"


def test_clients_that_stall_hold_up_nobody(emulator: Emulator, wire: Wire) -> None:
    """More of them than there are threads; each body is right once its end has come."""
    with ExitStack() as stack:
        stalled = [stack.enter_context(wire.plain_socket()) for _ in range(24)]
        for number, raw in enumerate(stalled):
            request = wire.prepare("PUT", f"stalled-{number}", BIG, payload=UNSIGNED)
            raw.sendall(request.head(len(BIG)) + BIG[: 2 * MIB + number])
        assert wire.send("PUT", "prompt", BIG).status == 200
        for number, raw in enumerate(stalled):
            raw.sendall(BIG[2 * MIB + number :])
        for raw in stalled:
            assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert all(emulator.fetch(f"stalled-{number}") == BIG for number in range(24))


def zeros(count: int) -> Iterator[bytes]:
    """MiB after MiB."""
    block = bytes(MIB)
    return (block for _ in range(count))


def test_a_refused_body_is_read_and_forgotten(emulator: Emulator, wire: Wire) -> None:
    """The client hears why, however much it sends, and may go on with the same connection."""
    request = wire.prepare("PUT", "/no-such-bucket/k", payload=UNSIGNED)
    request.headers["content-length"] = str(80 * MIB)
    assert wire.exchange(request, zeros(80)).code == "NoSuchBucket"
    wire.send("PUT", "kept", b"old")
    signer = wire.signer()
    headers = {"x-amz-decoded-content-length": str(8 * MIB), "content-encoding": "aws-chunked"}
    request = wire.prepare("PUT", "kept", headers=headers, payload=CHUNKED, signer=signer)
    request.body = b"".join(in_chunks(signer, "0" * 64, (bytes(4 * MIB), bytes(4 * MIB))))
    assert wire.exchange(request).code == "SignatureDoesNotMatch"
    assert wire.send("PUT", "kept", BIG, payload="0" * 64).code == "XAmzContentSHA256Mismatch"
    assert emulator.fetch("kept") == b"old"
    assert wire.send("HEAD", "kept").headers["content-length"] == "3"


def test_a_refusal_waits_for_the_end_of_the_body(wire: Wire) -> None:
    """Clients that do not listen while they send would take it for a broken connection."""
    with wire.plain_socket() as raw:
        request = wire.prepare("PUT", "/no-such-bucket/k", BIG)
        raw.sendall(request.head(len(BIG)) + BIG[:MIB])
        raw.settimeout(0.2)
        with pytest.raises(TimeoutError):
            raw.recv(65536)
        raw.settimeout(30)
        raw.sendall(BIG[MIB:])
        assert raw.recv(65536).startswith(b"HTTP/1.1 404 ")


def test_memory_does_not_grow_with_the_body(own_emulator: Emulator) -> None:
    with Wire(own_emulator) as wire:
        wire.send("PUT", "big", BIG)
        before = own_emulator.peak_memory()
        request = wire.prepare("PUT", "big", payload=UNSIGNED)
        request.headers["content-length"] = str(192 * MIB)
        assert wire.exchange(request, zeros(192)).status == 200
        assert wire.send("HEAD", "big").headers["content-length"] == str(192 * MIB)
    assert own_emulator.peak_memory() - before < 16 * MIB
