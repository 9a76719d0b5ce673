# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One request to the store before it is sent: where it goes, its body, digests and headers."""

import base64
import hashlib
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Literal

import httpx
import trio

from kontenumfs.protocol.dialect import longest_answer
from kontenumfs.protocol.signing import EMPTY_SHA256, UNSIGNED_PAYLOAD, Query, wire_query
from kontenumfs.store.api import Attributes, Body
from kontenumfs.store.connection import BufferStream

HASH_IN_THREAD = 1 << 20
"""Bodies of more bytes are hashed in a worker thread: the event loop must not stand still."""
USER_AGENT = "kontenumfs"
META = "x-amz-meta-"
CHARSETS = frozenset({None, "us-ascii", "utf-8", "utf8", "iso-8859-1"})
"""What S3 and its clients write RFC 2047 in; Python's table has stranger ones."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the store is and how it is spoken to.

    Args:
        url: scheme, host and port.
        addressing: whether the bucket stands in the path or in the host name.
        signature: how requests are signed.
        ca_file: certificates to trust instead of the system's.
    """

    url: str
    addressing: Literal["path", "virtual"] = "path"
    signature: Literal["v4", "v2", "plain"] = "v4"
    region: str = "us-east-1"
    ca_file: str | None = None

    @property
    def is_tls(self) -> bool:
        """Whether requests are encrypted."""
        return self.url.lower().startswith("https://")

    def origin(self, bucket: str) -> httpx.URL:
        """Scheme, host and port that requests to `bucket` (or to the service: empty) go to."""
        url = httpx.URL(self.url.rstrip("/"))
        if bucket and self.addressing == "virtual":
            return url.copy_with(host=f"{bucket}.{url.host}")
        return url

    def path(self, bucket: str, quoted_key: str) -> str:
        """The path of a quoted key (or nothing) in `bucket` (or of the service)."""
        if bucket and self.addressing == "path":
            return f"/{bucket}/{quoted_key}" if quoted_key else f"/{bucket}"
        return f"/{quoted_key}"


@dataclass(frozen=True, slots=True)
class Call:
    """One request before it is signed.

    Args:
        operation: the S3 name, for errors and logs.
        key: what the request is about, for errors and logs.
        path: the quoted key, or empty for the bucket.
        digest: whether Content-MD5 goes along even where the payload is signed.
        once: whether the request must not be repeated once it may have reached the store.
        late_error: whether a 200 may still hold an error, for the store answers before it is done.
    """

    operation: str
    method: str
    key: str = ""
    path: str = ""
    query: Query = ()
    headers: dict[str, str] = field(default_factory=dict)
    body: Body = ()
    digest: bool = False
    once: bool = False
    late_error: bool = False


async def hashed(algorithm: Literal["md5", "sha256"], body: Body) -> bytes:
    """The digest of a body, computed beside the event loop when it is long."""

    def compute() -> bytes:
        digest = hashlib.new(algorithm, usedforsecurity=False)
        for piece in body:
            digest.update(piece)
        return digest.digest()

    if sum(len(piece) for piece in body) > HASH_IN_THREAD:
        return await trio.to_thread.run_sync(compute)
    return compute()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call with its digests and its length, from which each attempt makes its own request."""

    url: httpx.URL
    method: str
    headers: dict[str, str]
    body: Body
    length: int
    extensions: dict[str, object]

    def request(self) -> httpx.Request:
        """A request ready to be signed; its body can be sent more than once."""
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        return httpx.Request(
            self.method,
            self.url,
            headers=headers,
            stream=BufferStream(self.body),
            extensions=dict(self.extensions),
        )


async def prepare(endpoint: Endpoint, origin: httpx.URL, bucket: str, call: Call) -> Prepared:
    """Fix everything about a call that its repetitions have in common.

    Over TLS the payload is not signed, for the channel protects it; then, and with SigV2,
    Content-MD5 vouches for what must not arrive altered: one digest, not two.
    """
    length = sum(len(piece) for piece in call.body)
    headers = {
        "host": origin.netloc.decode("ascii"),
        "user-agent": USER_AGENT,
        "accept-encoding": "identity",
        **call.headers,
    }
    if length or call.method in ("PUT", "POST"):
        headers["content-length"] = str(length)
    payload_hash = UNSIGNED_PAYLOAD
    is_signed = endpoint.signature == "v4" and not endpoint.is_tls
    if is_signed:
        payload_hash = (await hashed("sha256", call.body)).hex() if length else EMPTY_SHA256
    if length and (call.digest or not is_signed):
        headers["content-md5"] = base64.b64encode(await hashed("md5", call.body)).decode()
    path, query = endpoint.path(bucket, call.path), wire_query(call.query)
    extensions: dict[str, object] = {
        "path": path,
        "query": call.query,
        "payload_hash": payload_hash,
        "target": (f"{path}?{query}" if query else path).encode("ascii"),
        "once": call.once,
        "longest_answer": longest_answer(call.operation),
    }
    return Prepared(origin, call.method, headers, call.body, length, extensions)


def attribute_headers(attributes: Attributes) -> dict[str, str]:
    """The request headers that store `attributes`."""
    metadata = {META + name: encode_text(value) for name, value in attributes.metadata.items()}
    return {**attributes.headers, **metadata}


def encode_text(text: str) -> str:
    """A metadata value as a header takes it: RFC 2047, as S3 itself shows other than ASCII."""
    plain = text.isascii() and text.isprintable() and text == " ".join(text.split())
    if plain and not text.startswith("=?"):
        return text
    return f"=?UTF-8?B?{base64.b64encode(text.encode()).decode()}?="


def decode_text(value: str) -> str:
    """The reverse; what is not RFC 2047 after all is taken as it stands."""
    if not value.startswith("=?"):
        return value
    try:
        pieces = decode_header(value)
        if any(charset not in CHARSETS for _, charset in pieces):
            return value
        return str(make_header(pieces))
    except (HeaderParseError, LookupError, ValueError):
        return value
