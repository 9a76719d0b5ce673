# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""aws-chunked bodies: right ones, and ones spoilt in one place each."""

from collections.abc import Callable

import pytest

from tests.emulator.signers import V4, checksum, in_chunks
from tests.emulator.wire import Prepared, Wire
from tests.harness.emulator import Emulator

CHUNKED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
TRAILED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CHUNKS = (b"a" * 100, b"b" * 100)
BODY = b"".join(CHUNKS)
CHECKSUM = f"x-amz-checksum-crc32c:{checksum('crc32c', BODY)}"


def prepared(wire: Wire, key: str, payload: str, signer: V4, length: int = len(BODY)) -> Prepared:
    """The headers of a chunked request."""
    headers = {
        "x-amz-decoded-content-length": str(length),
        "content-encoding": "aws-chunked,own",
    }
    if payload != CHUNKED:
        headers["x-amz-trailer"] = "x-amz-checksum-crc32c"
    return wire.prepare("PUT", key, headers=headers, payload=payload, signer=signer)


def flipped(pieces: list[bytes], number: int) -> None:
    """Change the last digit of the signature that a piece ends with."""
    piece = pieces[number]
    pieces[number] = piece[:-3] + (b"0" if piece[-3:-2] != b"0" else b"1") + piece[-2:]


def check(wire: Wire, emulator: Emulator, request: Prepared, code: str) -> None:
    """The answer, and what the object is after it: the old one or the new one."""
    key = request.target.rpartition("/")[2]
    wire.send("PUT", key, b"old")
    assert wire.exchange(request).code == code
    body, headers = emulator.fetch_with_headers(key)
    assert body == (b"old" if code else BODY)
    assert headers.get("content-encoding") == (None if code else "own")


@pytest.mark.parametrize("payload", [CHUNKED, TRAILED])
@pytest.mark.parametrize("spoilt", [None, 0, 1, 2, 3, 4])
def test_signed_chunks(wire: Wire, emulator: Emulator, payload: str, spoilt: int | None) -> None:
    """A false signature of any chunk, the empty last one too, or false data refuses the body."""
    signer = wire.signer()
    request = prepared(wire, "chunked", payload, signer)
    trailer = CHECKSUM if payload == TRAILED else None
    pieces = list(in_chunks(signer, request.headers["authorization"][-64:], CHUNKS, trailer))
    if spoilt in (0, 2, 4):
        flipped(pieces, spoilt)
    elif spoilt is not None:
        pieces[spoilt] = b"c" + pieces[spoilt][1:]
    request.body = b"".join(pieces)
    check(wire, emulator, request, "" if spoilt is None else "SignatureDoesNotMatch")


def test_chunks_of_another_request_are_refused(wire: Wire, emulator: Emulator) -> None:
    """Chunks are bound to the signature of their headers, and to their order."""
    signer = wire.signer()
    request = prepared(wire, "chunked", CHUNKED, signer)
    request.body = b"".join(in_chunks(signer, "0" * 64, CHUNKS))
    check(wire, emulator, request, "SignatureDoesNotMatch")
    first, one, second, two, *rest = in_chunks(
        signer, request.headers["authorization"][-64:], CHUNKS
    )
    request.body = b"".join((second, two, first, one, *rest))
    check(wire, emulator, request, "SignatureDoesNotMatch")


WRONG = f"x-amz-checksum-crc32c:{checksum('crc32c', b'another')}"
OTHER = f"x-amz-checksum-crc32:{checksum('crc32', BODY)}"


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (CHECKSUM, ""),
        (CHECKSUM.replace("x-amz-checksum", "X-Amz-Checksum"), ""),
        (WRONG, "BadDigest"),
        (OTHER, "MalformedTrailerError"),
        (None, "MalformedTrailerError"),
        ("no colon", "MalformedTrailerError"),
    ],
)
def test_an_unsigned_trailer(wire: Wire, emulator: Emulator, told: str | None, code: str) -> None:
    """The checksum behind the body decides."""
    request = prepared(wire, "trailed", UNSIGNED_TRAILED, wire.signer())
    trailer = f"{told}\r\n" if told else ""
    request.body = b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(BODY), BODY, trailer.encode())
    check(wire, emulator, request, code)


def _without_signature(pieces: list[bytes]) -> list[bytes]:
    return [*pieces[:-2], pieces[-1]]


def _with_false_signature(pieces: list[bytes]) -> list[bytes]:
    flipped(pieces, len(pieces) - 2)
    return pieces


def _with_changed_value(pieces: list[bytes]) -> list[bytes]:
    return [*pieces[:-3], WRONG.encode() + b"\r\n", *pieces[-2:]]


@pytest.mark.parametrize(
    ("told", "spoil", "code"),
    [
        (CHECKSUM, list, ""),
        (CHECKSUM, _without_signature, "SignatureDoesNotMatch"),
        (CHECKSUM, _with_false_signature, "SignatureDoesNotMatch"),
        (CHECKSUM, _with_changed_value, "SignatureDoesNotMatch"),
        (WRONG, list, "BadDigest"),
        (OTHER, list, "MalformedTrailerError"),
    ],
)
def test_a_signed_trailer(
    wire: Wire,
    emulator: Emulator,
    told: str,
    spoil: Callable[[list[bytes]], list[bytes]],
    code: str,
) -> None:
    """It is proven first, and then it decides."""
    signer = wire.signer()
    request = prepared(wire, "trailed", TRAILED, signer)
    pieces = list(in_chunks(signer, request.headers["authorization"][-64:], CHUNKS, told))
    request.body = b"".join(spoil(pieces))
    check(wire, emulator, request, code)


END = f"0\r\n{CHECKSUM}\r\n\r\n".encode()
DATA = b"c8\r\n" + BODY + b"\r\n"


@pytest.mark.parametrize(
    ("body", "length", "code"),
    [
        (DATA + END, 200, ""),
        (b"0c8\r\n" + BODY + b"\r\n" + END, 200, ""),
        (DATA + END, 199, "IncompleteBody"),
        (DATA + END, 201, "IncompleteBody"),
        (DATA + END + b"more", 200, "IncompleteBody"),
        (DATA + END[:-2], 200, "IncompleteBody"),
        (DATA, 200, "IncompleteBody"),
        (DATA[:150], 200, "IncompleteBody"),
        (b"", 200, "IncompleteBody"),
        (b"xyz\r\n" + BODY + b"\r\n" + END, 200, "InvalidRequest"),
        (b"-c8\r\n" + BODY + b"\r\n" + END, 200, "InvalidRequest"),
        (b"c7\r\n" + BODY + b"\r\n" + END, 200, "InvalidRequest"),
        (b"c8;chunk-signature=" + b"0" * 64 + DATA[2:] + END, 200, "InvalidRequest"),
        (b"c" * 9000 + BODY, 200, "InvalidRequest"),
    ],
)
def test_malformed_chunks(
    wire: Wire, emulator: Emulator, body: bytes, length: int, code: str
) -> None:
    """Sizes that are none or do not fit, ends that are missing, and more behind the end."""
    request = prepared(wire, "chunked", UNSIGNED_TRAILED, wire.signer(), length)
    request.body = body
    check(wire, emulator, request, code)
