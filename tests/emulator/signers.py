# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""S3's signatures a second time, from AWS's text alone: nothing of kontenumfs signs here.

test_signers.py holds them against the examples that AWS publishes.
"""

import base64
import hashlib
import hmac
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote, unquote

UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY = hashlib.sha256(b"").hexdigest()
V2_SUBRESOURCES = ("append", "compose", "force_delete", "partNumber", "uploadId", "uploads")
"""Those that the tests use."""


def now() -> datetime:
    """The time, for a signature."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class V4:
    """SigV4 of one key pair at one time."""

    access: str
    secret: str
    region: str = "us-east-1"
    when: datetime = field(default_factory=now)

    @property
    def timestamp(self) -> str:
        """As x-amz-date says it."""
        return self.when.strftime("%Y%m%dT%H%M%SZ")

    @property
    def scope(self) -> str:
        """What the signature is good for."""
        return f"{self.timestamp[:8]}/{self.region}/s3/aws4_request"

    def sign(self, *lines: str) -> str:
        """The HMAC of these lines with the key of the scope."""
        key = f"AWS4{self.secret}".encode()
        for part in self.scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, "\n".join(lines).encode(), "sha256").hex()

    def _signature(self, method: str, target: str, headers: dict[str, str], payload: str) -> str:
        path, _, query = target.partition("?")
        pairs = sorted(_recoded(pair) for pair in query.split("&") if pair)
        canonical = "\n".join(
            (
                method,
                path,
                "&".join(pairs),
                *(f"{name}:{' '.join(headers[name].split())}" for name in sorted(headers)),
                "",
                ";".join(sorted(headers)),
                payload,
            )
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        return self.sign("AWS4-HMAC-SHA256", self.timestamp, self.scope, digest)

    def in_header(
        self, method: str, target: str, headers: dict[str, str], payload: str
    ) -> dict[str, str]:
        """All headers, which are signed every one, and Authorization; names in lower case."""
        signed = headers | {"x-amz-date": self.timestamp, "x-amz-content-sha256": payload}
        signature = self._signature(method, target, signed, payload)
        return signed | {
            "authorization": f"AWS4-HMAC-SHA256 Credential={self.access}/{self.scope},"
            f"SignedHeaders={';'.join(sorted(signed))},Signature={signature}"
        }

    def in_query(self, method: str, target: str, headers: dict[str, str], expires: object) -> str:
        """The target with a signature that lives for `expires` seconds."""
        fields = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self.access}/{self.scope}",
            "X-Amz-Date": self.timestamp,
            "X-Amz-Expires": str(expires),
            "X-Amz-SignedHeaders": ";".join(sorted(headers)),
        }
        added = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
        target = f"{target}{'&' if '?' in target else '?'}{added}"
        signature = self._signature(method, target, headers, UNSIGNED)
        return f"{target}&X-Amz-Signature={signature}"

    def chunk(self, previous: str, data: bytes) -> str:
        """The signature of a chunk behind another."""
        digest = hashlib.sha256(data).hexdigest()
        kind = "AWS4-HMAC-SHA256-PAYLOAD"
        return self.sign(kind, self.timestamp, self.scope, previous, EMPTY, digest)

    def trailer(self, previous: str, lines: str) -> str:
        """The signature of the trailers, each of which ends with a line feed."""
        digest = hashlib.sha256(lines.encode()).hexdigest()
        kind = "AWS4-HMAC-SHA256-TRAILER"
        return self.sign(kind, self.timestamp, self.scope, previous, digest)


def _recoded(pair: str) -> str:
    name, _, value = pair.partition("=")
    return f"{quote(unquote(name), safe='')}={quote(unquote(value), safe='')}"


@dataclass(frozen=True)
class V2:
    """SigV2 of one key pair at one time."""

    access: str
    secret: str
    when: datetime = field(default_factory=now)
    bucket_in_host: str = ""

    def _signature(self, method: str, target: str, headers: dict[str, str], dated: str) -> str:
        path, _, query = target.partition("?")
        kept = sorted(pair for pair in query.split("&") if pair.split("=")[0] in V2_SUBRESOURCES)
        lines = [method, headers.get("content-md5", ""), headers.get("content-type", ""), dated]
        lines += [f"{n}:{v}" for n, v in sorted(headers.items()) if n.startswith("x-amz-")]
        resource = f"/{self.bucket_in_host}" if self.bucket_in_host else ""
        lines.append(resource + path + ("?" + "&".join(kept) if kept else ""))
        digest = hmac.digest(self.secret.encode(), "\n".join(lines).encode(), "sha1")
        return base64.b64encode(digest).decode()

    def in_header(self, method: str, target: str, headers: dict[str, str]) -> dict[str, str]:
        """All headers, with Date and Authorization."""
        date = headers.get("date") or format_datetime(self.when, usegmt=True)
        signature = self._signature(method, target, headers, date)
        return headers | {"date": date, "authorization": f"AWS {self.access}:{signature}"}

    def in_query(self, method: str, target: str, headers: dict[str, str], expires: object) -> str:
        """The target with a signature that lives until `expires`, in seconds of the epoch."""
        signature = quote(self._signature(method, target, headers, str(expires)), safe="")
        mark = "&" if "?" in target else "?"
        named = f"AWSAccessKeyId={self.access}&Expires={expires}"
        return f"{target}{mark}{named}&Signature={signature}"


def in_chunks(
    signer: V4, seed: str, chunks: Sequence[bytes], trailer: str | None = None
) -> Iterator[bytes]:
    """The pieces of a signed aws-chunked body, its last chunk and its trailer among them.

    Args:
        seed: the signature of the headers.
        trailer: such as ``x-amz-checksum-crc32:AAAAAA==``, or None.
    """
    previous = seed
    for chunk in (*chunks, b""):
        previous = signer.chunk(previous, chunk)
        yield f"{len(chunk):x};chunk-signature={previous}\r\n".encode()
        yield chunk + b"\r\n" if chunk else b""
    if trailer is not None:
        yield f"{trailer}\r\n".encode()
        signature = signer.trailer(previous, f"{trailer}\n")
        yield f"x-amz-trailer-signature:{signature}\r\n".encode()
    yield b"\r\n"


def _crc(data: bytes, polynomial: int, size: int) -> bytes:
    value = ones = (1 << 8 * size) - 1
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
    return (value ^ ones).to_bytes(size, "big")


def checksum(name: str, data: bytes) -> str:
    """What x-amz-checksum-NAME says of `data`."""
    match name:
        case "crc32":
            digest = zlib.crc32(data).to_bytes(4, "big")
        case "crc32c":
            digest = _crc(data, 0x82F63B78, 4)
        case "crc64nvme":
            digest = _crc(data, 0x9A6C9329AC4BC9B5, 8)
        case _:
            digest = hashlib.new(name, data).digest()
    return base64.b64encode(digest).decode()
