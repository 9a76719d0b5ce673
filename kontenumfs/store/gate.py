# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The gate: every answer of the store is judged against its question here, or in `pages`.

What does not fit is an UnexpectedAnswer with operation, key and reason, and nothing is concluded
from it. What is too long, misframed or left over on a connection `connection` has refused before.
"""

from collections.abc import Callable, Collection
from typing import NoReturn, TypeVar
from urllib.parse import unquote, unquote_plus

import httpx
import trio

from kontenumfs.protocol import fields
from kontenumfs.protocol.answers import error_from_answer
from kontenumfs.protocol.dialect import SYSTEM_HEADERS
from kontenumfs.protocol.errors import (
    NAME_LENGTH,
    AnswerLost,
    NoSuchKey,
    NoSuchUpload,
    StoreError,
    TransportError,
    UnexpectedAnswer,
    cleaned,
)
from kontenumfs.protocol.xml import Element, is_text, parse
from kontenumfs.store.api import Attributes, ObjectInfo, Written
from kontenumfs.store.connection import BufferStream
from kontenumfs.store.wire import META, Call, decode_text

T = TypeVar("T")
NOT_S3 = "the answer is not S3's: is this an S3 endpoint?"
PARSE_IN_THREAD = 64 * 1024
"""Longer bodies are read beside the event loop."""
AMAZON = "x-amz"
"""How the headers begin by which S3 is known, and its imitations."""
ROOTS: dict[str, tuple[str, ...]] = {
    "CompleteMultipartUpload": ("completemultipartupload",),
    "CopyObject": ("copyobject",),
    "CreateMultipartUpload": ("initiatemultipartupload",),
    "DeleteObjects": ("delete",),
    "ListBuckets": ("listallmybuckets",),
    "ListObjectsV2": ("listbucket",),
    "UploadPartCopy": ("copypart", "copyobject"),
}
"""How the name of the body's root begins, in lower case; rclone leaves out ``Result``."""


async def exchange(client: httpx.AsyncClient, request: httpx.Request, call: Call) -> httpx.Response:
    """Send a request and return its answer, if it is a success that fits the question.

    Raises StoreError or TransportError.
    """
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
    if call.late_error and await read(_is_error, response.content):
        raise answer_error(response, call)
    if not _succeeded(response, call):
        refuse(call, f"HTTP {response.status_code} is no answer to a {call.method}")
    if response.content and (encoding := content_encoding(response)):
        refuse(call, f"the answer is encoded ({encoding}), which was not asked for")
    return response


async def read(reader: Callable[[bytes], T], document: bytes) -> T:
    """What `reader` makes of a body; beside the event loop where that takes its time."""
    if len(document) <= PARSE_IN_THREAD:
        return reader(document)
    return await trio.to_thread.run_sync(reader, document)


def refuse(call: Call, reason: str) -> NoReturn:
    """Raise what stands for an answer that does not fit."""
    raise UnexpectedAnswer(reason, operation=call.operation, resource=call.key)


def request_id(response: httpx.Response) -> str:
    """How the store has named the request, fit for logs; empty where it has not."""
    return cleaned(response.headers.get("x-amz-request-id", ""), NAME_LENGTH)


def content_encoding(response: httpx.Response) -> str:
    """How the answer's body is encoded, but for identity: it is never decoded."""
    said: str = response.extensions.get("content_encoding", "")
    return "" if said.strip().lower() in ("", "identity") else said


def _succeeded(response: httpx.Response, call: Call) -> bool:
    """Whether the status is the one that S3 gives: 204 to a deletion, 200 to all else.

    Some servers delete with 200: that is believed of one that is known for S3 by its headers, and
    not of any page.
    """
    if call.method != "DELETE":
        return response.status_code == 200
    if response.status_code == 200:
        return _is_named(response) and not response.content
    return response.status_code == 204


def _is_named(response: httpx.Response) -> bool:
    """Whether the answer is known by its headers to be S3's."""
    return any(name.startswith(AMAZON) for name in response.headers)


def _is_page(response: httpx.Response) -> bool:
    """Whether an answer without a body is one to read in a browser, and so a proxy's."""
    said: str = response.headers.get("content-type", "")
    return said.strip().lower().startswith("text/html") and not _is_named(response)


def _is_error(document: bytes) -> bool:
    """Whether the answer is an error, and not one that lists errors or has no XML at all."""
    try:
        return bool(document) and parse(document).tag == "Error"
    except UnexpectedAnswer:
        return False


def answer_error(response: httpx.Response, call: Call) -> StoreError:
    """The exception of an error answer."""
    code = message = ""
    status = response.status_code
    if response.content:
        try:
            document = parse(b"" if content_encoding(response) else response.content)
            code, message = document.get("Code"), document.get("Message")
            message = message or ("" if code else NOT_S3)
        except UnexpectedAnswer:
            message = NOT_S3
    if 300 <= status < 400:
        elsewhere = response.headers.get("location", "")
        to = f" to {cleaned(elsewhere, 100)}" if elsewhere else ""
        message = f"redirected{to}, which is never followed: check endpoint= and region= {message}"
    if not code and status == 404 and call.operation == "HeadObject" and not _is_page(response):
        code = "NoSuchKey"
    wait = response.headers.get("retry-after", "")
    error = error_from_answer(
        status,
        code,
        message,
        request_id=request_id(response),
        operation=call.operation,
        resource=call.key,
        retry_after=float(wait) if wait.isascii() and wait.isdigit() and len(wait) < 10 else None,
    )
    if status == 404 and not code and (response.content or not _is_named(response)):
        # A proxy's: S3 would have said what is missing.
        error.message = error.message or NOT_S3
        return _as(UnexpectedAnswer, error)
    if call.method == "GET" and isinstance(error, NoSuchKey | NoSuchUpload):
        # Listings alone are GET, and ask for none: a directory is not gone because of that.
        error.message = error.message or NOT_S3
        return _as(UnexpectedAnswer, error)
    return error


def _as(kind: type[StoreError], error: StoreError) -> StoreError:
    error.__class__ = kind
    return error


async def receipt(response: httpx.Response, call: Call) -> Written:
    """What an answer's headers say of the object that was written.

    Raises UnexpectedAnswer for one without an ETag, and for a page, which a web server gives an
    ETag as well: that is a proxy's, and nothing is stored. An ETag that is empty within its quotes
    is a careless server's.
    """
    said = response.headers.get("etag", "").strip()
    if not said:
        refuse(call, NOT_S3 if response.content else f"no ETag: {NOT_S3}")
    if response.content.strip():
        await root_of(response, call)  # S3 itself sends no body here
    return Written(_etag(said, call), request_id(response))


async def receipt_in_body(response: httpx.Response, call: Call) -> tuple[Element, Written]:
    """The same for CopyObject and its kin, which say it in the body.

    Raises UnexpectedAnswer where that is about another key.
    """
    root = await root_of(response, call)
    said = root.get("Key")
    if said and is_text(call.key) and not _is_named_in(said, call.key):
        refuse(call, f"the answer is for {said[:100]!r}")
    return root, Written(_etag(root.get("ETag"), call), request_id(response))


async def root_of(response: httpx.Response, call: Call) -> Element:
    """The body's root element, if it is what answers such a question."""
    try:
        root = await read(parse, response.content)
    except UnexpectedAnswer as error:
        refuse(call, str(error.message) if response.content else NOT_S3)
    if not root.tag.lower().startswith(ROOTS.get(call.operation, (call.operation.lower(),))):
        refuse(call, f"<{root.tag[:40]}> is no answer to {call.operation}: {NOT_S3}")
    return root


def part_etag(written: Written, call: Call) -> str:
    """The ETag of a part, without which the upload cannot be completed."""
    if not written.etag:
        refuse(call, "no ETag")
    return written.etag


def upload_id(root: Element, call: Call) -> str:
    """The id of an upload that has begun."""
    try:
        return fields.token(root.get("UploadId"))
    except ValueError:
        refuse(call, "no UploadId that can be used")


def failed_keys(root: Element, asked: Collection[str], call: Call) -> dict[str, str]:
    """The codes of the keys that DeleteObjects did not delete."""
    own = {_folded(key): key for key in asked}
    failed: dict[str, str] = {}
    for item in root.children:
        if item.tag not in ("Deleted", "Error"):
            continue
        said = item.get("Key")
        key = said if said in asked else own.get(_folded(said))
        if key is None:
            refuse(call, f"{said[:100]!r} was not to be deleted")
        if item.tag == "Error":
            failed[key] = cleaned(item.get("Code"), NAME_LENGTH)
    return failed


def described(response: httpx.Response, call: Call) -> ObjectInfo:
    """What a HEAD's answer says of an object; raises UnexpectedAnswer."""
    headers = response.headers
    try:
        size = fields.size(headers["content-length"])
        modified = fields.http_time(headers["last-modified"]).timestamp()
    except (KeyError, ValueError) as error:
        refuse(call, f"HEAD without a usable {error}")
    kept = {name: value for name, value in headers.items() if name in SYSTEM_HEADERS}
    if encoding := response.extensions.get("content_encoding", ""):
        kept["content-encoding"] = encoding
    return ObjectInfo(
        call.key,
        size,
        _etag(headers.get("etag", ""), call),
        modified,
        Attributes(
            metadata={
                name[len(META) :]: decode_text(value)
                for name, value in headers.items()
                if name.startswith(META)
            },
            headers=kept,
        ),
    )


def _is_named_in(said: str, key: str) -> bool:
    """Whether an answer's key is the one asked for; some servers escape it, or add a slash."""
    own = _folded(key).removeprefix("/")
    ways = (said, unquote(said), unquote_plus(said))
    return any(_folded(way).removeprefix("/") == own for way in ways)


def _folded(key: str) -> str:
    """A key as it comes out of XML in which it was not escaped."""
    return key.replace("\r\n", "\n").replace("\r", "\n")


def _etag(said: str, call: Call) -> str:
    try:
        return fields.etag(said)
    except ValueError as error:
        refuse(call, str(error))
