# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One request to the store and its answer: bodies, digests, errors of httpx in our own terms."""

import base64
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Literal

import httpx
import trio

from kontenumfs.protocol.answers import error_from_answer
from kontenumfs.protocol.errors import (
    AnswerLost,
    NameResolutionError,
    NotSent,
    TLSError,
    TransportError,
    UnexpectedAnswer,
)
from kontenumfs.protocol.signing import EMPTY_SHA256, UNSIGNED_PAYLOAD, Query, wire_query
from kontenumfs.protocol.xml import parse
from kontenumfs.store.api import Attributes, Body, ObjectInfo

HASH_IN_THREAD = 1 << 20
"""Bodies of more bytes are hashed in a worker thread: the event loop must not stand still."""
SLICE = 256 * 1024
"""Bytes handed to the socket at once."""
META = "x-amz-meta-"
SYSTEM_HEADERS = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    }
)


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
        return self.url.startswith("https://")

    def address(self, bucket: str, path: str, query: Query) -> str:
        """The URL of a quoted key (or nothing) in `bucket` (or of the service)."""
        if bucket and self.addressing == "virtual":
            scheme, _, host = self.url.partition("://")
            base = f"{scheme}://{bucket}.{host}/"
        else:
            base = f"{self.url}/{bucket}" + ("/" if bucket and path else "")
        return base + path + (f"?{wire_query(query)}" if query else "")


@dataclass(frozen=True, slots=True)
class Call:
    """One request before it is signed.

    Args:
        operation: the S3 name, for errors and logs.
        path: the quoted key, or empty for the bucket.
        digest: whether the body's digest goes along even where the payload is not signed.
    """

    operation: str
    method: str
    key: str = ""
    path: str = ""
    query: Query = ()
    headers: dict[str, str] = field(default_factory=dict)
    body: Body = ()
    digest: bool = False


class BufferStream(httpx.AsyncByteStream):
    """A body that is sent in slices, without copies, and again when the request is repeated."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def let_go(self) -> None:
        """Forget the body: the request is over."""
        self._body = ()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._body:
            view = memoryview(piece)
            for start in range(0, len(view), SLICE):
                yield view[start : start + SLICE]  # type: ignore[misc]  # h11 takes any buffer


async def hashed(algorithm: str, body: Body) -> bytes:
    """The digest of a body, computed beside the event loop when it is long."""

    def compute() -> bytes:
        digest = hashlib.new(algorithm, usedforsecurity=False)
        for piece in body:
            digest.update(piece)
        return digest.digest()

    if sum(len(piece) for piece in body) > HASH_IN_THREAD:
        return await trio.to_thread.run_sync(compute)
    return compute()


async def build(
    client: httpx.AsyncClient, endpoint: Endpoint, bucket: str, call: Call
) -> httpx.Request:
    """The request of a call, ready to be signed.

    Over TLS the payload is not signed, for the channel protects it; then, and with SigV2,
    Content-MD5 vouches for what must not arrive altered: one digest, not two.
    """
    length = sum(len(piece) for piece in call.body)
    headers = dict(call.headers)
    payload_hash = UNSIGNED_PAYLOAD
    if length or call.method in ("PUT", "POST"):
        headers["content-length"] = str(length)
    if endpoint.signature == "v4" and not endpoint.is_tls:
        payload_hash = (await hashed("sha256", call.body)).hex() if length else EMPTY_SHA256
    elif length:
        headers["content-md5"] = base64.b64encode(await hashed("md5", call.body)).decode()
    extensions = {"query": call.query, "payload_hash": payload_hash}
    url = endpoint.address(bucket, call.path, call.query)
    request = client.build_request(call.method, url, headers=headers, extensions=extensions)
    if length:
        request.stream = BufferStream(call.body)
    return request


async def exchange(client: httpx.AsyncClient, request: httpx.Request, call: Call) -> httpx.Response:
    """Send a request and read its whole answer; raises StoreError or TransportError."""
    try:
        response = await client.send(request)
    except httpx.HTTPError as error:
        raise transport_error(error, call) from error
    finally:
        # httpx's requests live on in reference cycles until the garbage collector comes: the
        # body must not wait for it (measured: fifteen chunks were kept alive).
        if isinstance(request.stream, BufferStream):
            request.stream.let_go()
    if response.is_success:
        return response
    raise answer_error(response, call)


def answer_error(response: httpx.Response, call: Call) -> Exception:
    """The exception of an error answer."""
    code = message = ""
    if response.content:
        try:
            document = parse(response.content)
            code, message = document.get("Code"), document.get("Message")
        except UnexpectedAnswer:
            message = "the answer is not S3's: is this an S3 endpoint?"
    status = response.status_code
    if not code and status == 404 and call.operation == "HeadObject":
        code = "NoSuchKey"
    wait = response.headers.get("retry-after", "")
    return error_from_answer(
        status,
        code,
        message,
        request_id=response.headers.get("x-amz-request-id", ""),
        operation=call.operation,
        resource=call.key,
        retry_after=float(wait) if wait.isdigit() else None,
    )


def transport_error(error: httpx.HTTPError, call: Call) -> TransportError:
    """What httpx failed with, by what is known of the request's fate."""
    text = f"{call.operation} {call.key!r}: {error or type(error).__name__}"
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, socket.gaierror):
                return NameResolutionError(text)
            if isinstance(cause, ssl.SSLError):
                return TLSError(text)
            cause = cause.__cause__ or cause.__context__
        return NotSent(text)
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return NotSent(text)
    return AnswerLost(text)


def attribute_headers(attributes: Attributes) -> dict[str, str]:
    """The request headers that store `attributes`."""
    metadata = {META + name: value for name, value in attributes.metadata.items()}
    return {**attributes.headers, **metadata}


def described(key: str, response: httpx.Response) -> ObjectInfo:
    """What a HEAD's answer says of an object; raises UnexpectedAnswer."""
    headers = response.headers
    try:
        size = int(headers["content-length"])
        modified = parsedate_to_datetime(headers["last-modified"]).timestamp()
    except (KeyError, ValueError) as error:
        raise UnexpectedAnswer(
            f"HEAD without a usable {error}", operation="HeadObject", resource=key
        ) from None
    return ObjectInfo(
        key,
        size,
        headers.get("etag", "").strip('"'),
        modified,
        Attributes(
            metadata={n[len(META) :]: v for n, v in headers.items() if n.startswith(META)},
            headers={n: v for n, v in headers.items() if n in SYSTEM_HEADERS},
        ),
    )
