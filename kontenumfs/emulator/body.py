# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Request bodies: streamed to a segment file in constant memory, digests checked on the way."""

import asyncio
import base64
import hashlib
import hmac
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kontenumfs.emulator.auth import Proof
from kontenumfs.emulator.errors import S3Error
from kontenumfs.protocol.signing import EMPTY_SHA256, UNSIGNED_PAYLOAD, signature_v4

BATCH = 1 << 20
"""Bytes gathered before they are hashed and written, off the event loop."""
CHECKSUMS: dict[str, str] = {"sha1": "sha1", "sha256": "sha256"}
SIGNED_CHUNKS = frozenset(
    {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"}
)
UNSIGNED_CHUNKS = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

Receive = Callable[[], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Received:
    """A body on disk: bytes, and its MD5 in hex."""

    size: int
    md5: str


class Reader:
    """Raw bytes of a request, as they arrive."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._given_back: bytes | None = None
        self._ended = False
        self.count = 0
        """Bytes that have arrived."""

    def give_back(self, body: bytes) -> None:
        """Let the next reader have a body that was read whole already."""
        self._given_back = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._given_back is not None:
            yield self._given_back
            return
        while not self._ended:
            message = await self._receive()
            if message["type"] != "http.request":
                self._ended = True
                raise S3Error("IncompleteBody")
            self._ended = not message.get("more_body", False)
            body = message.get("body", b"")
            self.count += len(body)
            if body:
                yield body

    async def drain(self, limit: int = 64 << 20) -> None:
        """Read on after an error, so that the client sees the answer and not a reset."""
        with suppress(S3Error):
            async for _ in self:
                if self.count > limit:
                    return

    async def small(self, limit: int = 4 << 20) -> bytes:
        """A body that must fit into memory: an XML message."""
        pieces = []
        async for piece in self:
            pieces.append(piece)
            if self.count > limit:
                raise S3Error("EntityTooLarge")
        return b"".join(pieces)


class ChunkDecoder:
    """aws-chunked bodies: ``size;chunk-signature=...``, data, and trailers at the end.

    Source: AWS, "Signature Calculations: Transferring Payload in Multiple Chunks".
    """

    def __init__(self, proof: Proof) -> None:
        self._proof = proof
        self._previous = proof.signature
        self._signed = proof.payload in SIGNED_CHUNKS
        self._buffer = bytearray()
        self._left: int | None = None
        self._signature = ""
        self._digest = hashlib.sha256()
        self.trailers: dict[str, str] = {}
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        """Decode what has arrived; raises S3Error for a false signature."""
        self._buffer += data
        out = bytearray()
        while self._step(out):
            pass
        return bytes(out)

    def _step(self, out: bytearray) -> bool:
        if self._ended:
            return self._trailer()
        if self._left is None:
            return self._header()
        if self._left:
            piece = bytes(self._buffer[: self._left])
            del self._buffer[: len(piece)]
            self._left -= len(piece)
            self._digest.update(piece)
            out += piece
            return bool(piece)
        if len(self._buffer) < 2:
            return False
        del self._buffer[:2]
        self._verify()
        self._left = None
        return True

    def _header(self) -> bool:
        line = self._line()
        if line is None:
            return False
        size, _, rest = line.partition(";")
        try:
            self._left = int(size, 16)
        except ValueError:
            raise S3Error("InvalidRequest", "malformed aws-chunked body") from None
        self._signature = rest.removeprefix("chunk-signature=")
        self._digest = hashlib.sha256()
        if self._left == 0:
            self._verify()
            self._ended = True
        return True

    def _line(self) -> str | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > 8192:
                raise S3Error("InvalidRequest", "malformed aws-chunked body")
            return None
        line = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 2]
        return line

    def _verify(self) -> None:
        if not self._signed:
            return
        proof = self._proof
        text = "\n".join(
            (
                "AWS4-HMAC-SHA256-PAYLOAD",
                proof.timestamp,
                proof.scope,
                self._previous,
                EMPTY_SHA256,
                self._digest.hexdigest(),
            )
        )
        if not hmac.compare_digest(signature_v4(proof.key, text), self._signature):
            raise S3Error("SignatureDoesNotMatch")
        self._previous = self._signature

    def _trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        name, colon, value = line.partition(":")
        if colon:
            self.trailers[name.strip().lower()] = value.strip()
        return bool(line)

    def finish(self) -> None:
        """The request has ended: raises S3Error when the body had not."""
        if not self._ended:
            raise S3Error("IncompleteBody")


class _Digests:
    """What is computed over the decoded body, batch by batch, in a worker thread."""

    def __init__(self, headers: dict[str, str], trailers: str, payload: str) -> None:
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.sha256 = hashlib.sha256() if len(payload) == 64 else None
        names = [n.removeprefix("x-amz-checksum-") for n in headers if "x-amz-checksum-" in n]
        names += [n.strip().removeprefix("x-amz-checksum-") for n in trailers.split(",") if n]
        self.checksums = {n: hashlib.new(CHECKSUMS[n]) for n in names if n in CHECKSUMS}
        self.crc32 = 0 if "crc32" in names else None

    def update(self, data: bytes) -> None:
        self.md5.update(data)
        if self.sha256 is not None:
            self.sha256.update(data)
        for checksum in self.checksums.values():
            checksum.update(data)
        if self.crc32 is not None:
            self.crc32 = zlib.crc32(data, self.crc32)

    def check(self, headers: dict[str, str], payload: str) -> None:
        if self.sha256 is not None and self.sha256.hexdigest() != payload:
            raise S3Error("XAmzContentSHA256Mismatch")
        announced = headers.get("content-md5")
        if announced is not None:
            try:
                digest = base64.b64decode(announced, validate=True)
            except ValueError:
                raise S3Error("InvalidDigest") from None
            if digest != self.md5.digest():
                raise S3Error("BadDigest")
        found = {name: digest.digest() for name, digest in self.checksums.items()}
        if self.crc32 is not None:
            found["crc32"] = self.crc32.to_bytes(4, "big")
        for name, value in found.items():
            told = headers.get(f"x-amz-checksum-{name}")
            if told is not None and told != base64.b64encode(value).decode():
                raise S3Error("BadDigest", f"The {name} you specified did not match.")


async def save(reader: Reader, headers: dict[str, str], proof: Proof, path: Path) -> Received:
    """Write a body to `path`, complete and proven; raises S3Error, and leaves no file then."""
    loop = asyncio.get_running_loop()
    decoder = ChunkDecoder(proof) if proof.payload.startswith("STREAMING-") else None
    if decoder is None and proof.payload != UNSIGNED_PAYLOAD and len(proof.payload) != 64:
        raise S3Error("InvalidArgument", "x-amz-content-sha256 is not valid")
    digests = _Digests(headers, headers.get("x-amz-trailer", ""), proof.payload)
    size = 0
    pending: asyncio.Future[None] | None = None
    with open(path, "wb", buffering=0) as file:

        def consume(batch: list[bytes]) -> None:
            data = b"".join(batch)
            digests.update(data)
            file.write(data)

        try:
            gathered: list[bytes] = []
            amount = 0
            async for piece in reader:
                data = decoder.feed(piece) if decoder else piece
                gathered.append(data)
                amount += len(data)
                size += len(data)
                if amount >= BATCH:
                    if pending is not None:
                        await pending
                    pending = loop.run_in_executor(None, consume, gathered)
                    gathered, amount = [], 0
            if pending is not None:
                await pending
                pending = None
            consume(gathered)
            told = dict(headers)
            if decoder is not None:
                decoder.finish()
                told |= decoder.trailers
                length = headers.get("x-amz-decoded-content-length", str(size))
            else:
                length = headers.get("content-length", str(size))
            if length != str(size):
                raise S3Error("IncompleteBody")
            digests.check(told, proof.payload)
        except BaseException:
            if pending is not None:
                await asyncio.wait([pending])
            path.unlink(missing_ok=True)
            raise
    return Received(size, digests.md5.hexdigest())
