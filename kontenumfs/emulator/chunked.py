# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""aws-chunked bodies: every chunk's signature is proven before a byte of it is kept.

Source: AWS, "Signature calculations: transferring payload in multiple chunks", with and without
trailing headers.
"""

import hashlib
import hmac
import re

from kontenumfs.emulator.auth import SIGNED_CHUNKS, Proof
from kontenumfs.emulator.errors import S3Error
from kontenumfs.protocol.signing import EMPTY_SHA256, signature_v4

_MAX_LINE = 8192
_MAX_SIGNED_CHUNK = 16 << 20
"""Bytes: a signed chunk is held until its signature has been seen to fit."""
_HEADER = re.compile(r"([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?")


class ChunkDecoder:
    """Decodes ``size;chunk-signature=...``, data, and the trailers at the end.

    Args:
        proof: of the request; its signature is the first that the chunks' are chained to.
    """

    def __init__(self, proof: Proof) -> None:
        self._proof = proof
        self._previous = proof.signature
        self._signed = proof.payload in SIGNED_CHUNKS
        self._with_trailer = proof.payload.endswith("-TRAILER")
        self._buffer = bytearray()
        self._left: int | None = None  # of the chunk, None between chunks
        self._chunk = bytearray()
        self._signature = ""
        self._in_trailers = False
        self._ended = False
        self._trailer_signature = ""
        self.trailers: dict[str, str] = {}

    def feed(self, data: bytes | memoryview) -> bytes:
        """Decode what has arrived; raises S3Error for a false signature or a malformed body."""
        self._buffer += data
        out = bytearray()
        while self._step(out):
            pass
        return bytes(out)

    def finish(self) -> None:
        """The request has ended: raises S3Error where the body had not."""
        if not self._ended or self._buffer:
            raise S3Error("IncompleteBody")

    def _step(self, out: bytearray) -> bool:
        """Make one step; whether there may be another."""
        if self._ended:
            return False
        if self._in_trailers:
            return self._read_trailer()
        if self._left is None:
            return self._read_header()
        if self._left:
            piece = self._buffer[: self._left]
            del self._buffer[: len(piece)]
            self._left -= len(piece)
            if self._signed:
                self._chunk += piece
            else:
                out += piece
            return bool(piece)
        if len(self._buffer) < 2:
            return False
        if self._buffer[:2] != b"\r\n":
            raise S3Error("InvalidRequest", "malformed aws-chunked body")
        del self._buffer[:2]
        self._prove_chunk()
        out += self._chunk
        self._chunk.clear()
        self._left = None
        return True

    def _read_header(self) -> bool:
        line = self._line()
        if line is None:
            return False
        match = _HEADER.fullmatch(line)
        if match is None or bool(match[2]) != self._signed:
            raise S3Error("InvalidRequest", "malformed aws-chunked body")
        self._left, self._signature = int(match[1], 16), match[2] or ""
        if self._signed and self._left > _MAX_SIGNED_CHUNK:
            raise S3Error("InvalidRequest", "a signed chunk may have 16 MiB")
        if self._left == 0:
            self._prove_chunk()
            self._in_trailers = True
        return True

    def _line(self) -> str | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_LINE:
                raise S3Error("InvalidRequest", "malformed aws-chunked body")
            return None
        line = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 2]
        return line

    def _prove_chunk(self) -> None:
        if self._signed:
            digest = hashlib.sha256(self._chunk).hexdigest()
            self._prove("AWS4-HMAC-SHA256-PAYLOAD", (EMPTY_SHA256, digest), self._signature)

    def _prove(self, kind: str, digests: tuple[str, ...], signature: str) -> None:
        proof = self._proof
        text = "\n".join((kind, proof.timestamp, proof.scope, self._previous, *digests))
        if not hmac.compare_digest(signature_v4(proof.key, text).encode(), signature.encode()):
            raise S3Error("SignatureDoesNotMatch")
        self._previous = signature

    def _read_trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if line:
            name, colon, value = line.partition(":")
            name = name.strip().lower()
            if not colon or not self._with_trailer:
                raise S3Error("MalformedTrailerError")
            if name == "x-amz-trailer-signature":
                self._trailer_signature = value.strip()
            else:
                self.trailers[name] = value.strip()
            return True
        self._ended = True
        if self._signed and self._with_trailer:
            lines = "".join(f"{name}:{value}\n" for name, value in sorted(self.trailers.items()))
            digest = hashlib.sha256(lines.encode("latin-1")).hexdigest()
            self._prove("AWS4-HMAC-SHA256-TRAILER", (digest,), self._trailer_signature)
        return False
