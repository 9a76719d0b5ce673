# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One request to the store and its answer: bodies, digests, headers, errors."""

import base64
import hashlib
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import parsedate_to_datetime
from typing import Literal

import httpx
import trio

from kontenumfs.protocol.answers import error_from_answer
from kontenumfs.protocol.dialect import SYSTEM_HEADERS
from kontenumfs.protocol.errors import (
    AnswerLost,
    ServerError,
    StoreError,
    TransportError,
    UnexpectedAnswer,
)
from kontenumfs.protocol.signing import EMPTY_SHA256, UNSIGNED_PAYLOAD, Query, wire_query
from kontenumfs.protocol.xml import Element, parse
from kontenumfs.store.api import Attributes, Body, ObjectInfo, Written
from kontenumfs.store.connection import BufferStream

HASH_IN_THREAD = 1 << 20
"""Bodies of more bytes are hashed in a worker thread: the event loop must not stand still."""
USER_AGENT = "kontenumfs"
META = "x-amz-meta-"
NOT_S3 = "the answer is not S3's: is this an S3 endpoint?"


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
    }
    return Prepared(origin, call.method, headers, call.body, length, extensions)


async def exchange(client: httpx.AsyncClient, request: httpx.Request, call: Call) -> httpx.Response:
    """Send a request and read its whole answer; raises StoreError or TransportError."""
    try:
        response = await client.send(request)
    except TransportError as error:
        raise type(error)(f"{call.operation} {call.key!r}: {error}") from error
    except StoreError as error:
        error.operation, error.resource = call.operation, call.key
        raise
    except httpx.HTTPError as error:
        raise AnswerLost(f"{call.operation} {call.key!r}: {error}") from error
    finally:
        # httpx's request and response refer to each other: the body must not wait for them.
        if isinstance(request.stream, BufferStream):
            request.stream.let_go()
    if not response.is_success:
        raise answer_error(response, call)
    if call.late_error and _is_error(response.content):
        raise answer_error(response, call)
    return response


def _is_error(document: bytes) -> bool:
    """Whether the answer is an error, and not one that lists errors or has no XML at all."""
    try:
        return bool(document) and parse(document).tag == "Error"
    except UnexpectedAnswer:
        return False


def answer_error(response: httpx.Response, call: Call) -> StoreError:
    """The exception of an error answer."""
    code = message = ""
    if response.content:
        try:
            document = parse(response.content)
            code, message = document.get("Code"), document.get("Message")
        except UnexpectedAnswer:
            message = NOT_S3
    status = response.status_code
    if not code and status == 404 and call.operation == "HeadObject":
        code = "NoSuchKey"
    wait = response.headers.get("retry-after", "")
    error = error_from_answer(
        status,
        code,
        message,
        request_id=response.headers.get("x-amz-request-id", ""),
        operation=call.operation,
        resource=call.key,
        retry_after=float(wait) if wait.isdecimal() else None,
    )
    if call.once and status == 503 and not code:
        # A proxy's 503, not the store's SlowDown: what stood behind it may have done its work.
        error.__class__ = ServerError
    return error


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
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, ValueError):
        return value


def receipt(response: httpx.Response, call: Call) -> Written:
    """What an answer's headers say of the object that was written.

    Raises UnexpectedAnswer for a page without an ETag: that is a proxy's, and nothing is stored.
    """
    headers = response.headers
    etag = headers.get("etag", "").strip('"')
    if not etag and response.content:
        raise UnexpectedAnswer(NOT_S3, operation=call.operation, resource=call.key)
    return Written(etag, headers.get("x-amz-request-id", ""))


def receipt_in_body(response: httpx.Response, call: Call) -> tuple[Element, Written]:
    """The same for CopyObject and its kin, which say it in the body."""
    try:
        root = parse(response.content)
        if root.tag.lower() in ("error", "html"):
            raise UnexpectedAnswer(NOT_S3)
    except UnexpectedAnswer as error:
        error.operation, error.resource = call.operation, call.key
        raise
    request_id = response.headers.get("x-amz-request-id", "")
    return root, Written(root.get("ETag").strip('"'), request_id)


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
            metadata={
                name[len(META) :]: decode_text(value)
                for name, value in headers.items()
                if name.startswith(META)
            },
            headers={n: v for n, v in headers.items() if n in SYSTEM_HEADERS},
        ),
    )
