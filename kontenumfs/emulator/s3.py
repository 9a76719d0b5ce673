# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The S3 side: whether a request may do what it asks for, what it answers, and what goes wrong."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from kontenumfs.emulator.access_log import AccessLog
from kontenumfs.emulator.answers import Answer, http_date
from kontenumfs.emulator.auth import Authenticator, Proof
from kontenumfs.emulator.body import read_message
from kontenumfs.emulator.connection import EXTENSION
from kontenumfs.emulator.errors import S3Error
from kontenumfs.emulator.exchange import Hosts, Request
from kontenumfs.emulator.faults import Fault, Faults
from kontenumfs.emulator.listing import Buckets
from kontenumfs.emulator.multipart import Multipart
from kontenumfs.emulator.objects import Objects
from kontenumfs.emulator.operations import ABSENT, UNKNOWN, WITH_BODY, operation_of
from kontenumfs.emulator.reader import Receive
from kontenumfs.protocol.dialect import MAX_KEY_BYTES

Send = Callable[[dict[str, Any]], Awaitable[None]]

_log = logging.getLogger("kontenumfs.emulator")


class ConnectionDropped(Exception):
    """A fault ends the connection without a whole answer."""


class S3App:
    """The ASGI application of the S3 side.

    Args:
        latency: seconds that every answer is held back.
        hosts: host names before which a bucket may stand.
    """

    def __init__(
        self,
        objects: Objects,
        authenticator: Authenticator,
        faults: Faults,
        *,
        region: str,
        latency: float,
        access_log: AccessLog,
        hosts: Hosts,
    ) -> None:
        self._storage = objects.storage
        self._objects = objects
        self._multipart = Multipart(objects)
        self._buckets = Buckets(objects.storage, region)
        self._authenticator = authenticator
        self._faults = faults
        self._latency = latency
        self._log = access_log
        self._hosts = hosts

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.time()
        request = Request.of(scope, receive, self._hosts)
        operation = operation_of(request)
        fault = self._faults.match(operation, request.key)
        status = sent = 0
        is_held = False
        try:
            if fault is not None and fault.late:
                is_held = await _is_held(request)
                await asyncio.sleep(fault.delay)
                raise ConnectionDropped
            answer = await self._answer(request, operation, fault)
            status = answer.status
            if fault is not None and fault.reset == "after":
                raise ConnectionDropped
            if fault is not None and fault.reset == "answer-truncated":
                sent = _send_half(scope, answer)
                await _gone(receive)
            else:
                await _send(answer, fault, send)
                sent = len(answer.body)
        except (ConnectionDropped, asyncio.CancelledError):
            # Cancelled: the emulator ends. Without the start of an answer uvicorn would make one
            # up, so the transport is cut: that is what a lost connection looks like.
            scope["extensions"][EXTENSION].transport.abort()
            await _gone(receive)
        finally:
            self._log.write(began, operation, request, status, sent)
        if fault is not None and is_held:
            with suppress(asyncio.CancelledError):  # the emulator ends before it has arrived
                await self._land(request, operation, fault)

    async def _land(self, request: Request, operation: str, fault: Fault) -> None:
        """Do what a request asked for that nobody waits for any more."""
        await asyncio.sleep(fault.late)
        answer = await self._outcome(request, operation, "")
        fault.landed.append(answer.status)

    async def _answer(self, request: Request, operation: str, fault: Fault | None) -> Answer:
        request_id = secrets.token_hex(8).upper()
        if self._latency:
            await asyncio.sleep(self._latency)
        if fault is not None:
            await _before(fault)
        if fault is None or not fault.status or fault.after:
            answer = await self._outcome(request, operation, request_id)
        if fault is not None and fault.status:
            answer = await self._forged(request, fault, request_id)
        if fault is not None and fault.etag and "etag" in answer.headers:
            answer.headers["etag"] = f'"{fault.etag}"'
        answer.headers |= {"x-amz-request-id": request_id, "date": http_date(time.time())}
        answer.headers["server"] = "Kontenum-emulator"
        if fault is not None:
            fault.set_headers(answer.headers)
        if request.method != "HEAD" and answer.status not in (204, 304):
            answer.headers["content-length"] = str(len(answer.body))
        return answer

    async def _outcome(self, request: Request, operation: str, request_id: str) -> Answer:
        try:
            return await self._perform(request, operation)
        except Exception as error:
            return await self._refusal(request, error, request_id)

    async def _forged(self, request: Request, fault: Fault, request_id: str) -> Answer:
        """An answer that the store has not thought of: a gateway's, or a broken server's."""
        answer = await self._refusal(request, S3Error(fault.code, status=fault.status), request_id)
        body = fault.answer_body()
        if body is not None:
            answer.headers.pop("content-type", None)
            has_body = request.method != "HEAD" and fault.status not in (204, 304)
            answer.body = body if has_body else b""
        return answer

    async def _refusal(self, request: Request, error: Exception, request_id: str) -> Answer:
        if not isinstance(error, S3Error):
            _log.error("internal error", exc_info=error)
            error = S3Error("InternalError")
        headers = {"content-type": "application/xml"}
        if "expect" in request.headers and request.reader.count == 0:
            headers["connection"] = "close"  # the body was not asked for, and must not come
        else:
            await request.reader.drain()
        body = b"" if request.method == "HEAD" else error.body(request.path, request_id)
        return Answer(error.status, body, headers)

    async def _perform(self, request: Request, operation: str) -> Answer:
        if request.repeated:
            raise S3Error("InvalidRequest", f"{request.repeated} may be given once")
        if operation == "PostObject":
            raise S3Error("MethodNotAllowed", "Browser form uploads are not supported.")
        proof = self._authenticator.verify(request.signable())
        if operation not in WITH_BODY:
            request.message = await read_message(request.reader, request.headers, proof)
        if operation == UNKNOWN:
            raise S3Error("NotImplemented")
        self._check_names(request, operation)
        if operation == "GetObject":
            raise S3Error("AccessDenied")
        if operation in ABSENT:
            raise S3Error(ABSENT[operation], BucketName=request.bucket)
        return await self._dispatch(request, operation, proof)

    def _check_names(self, request: Request, operation: str) -> None:
        if operation in ("ListBuckets", "CreateBucket"):
            return
        try:
            request.bucket.encode()
            length = len(request.key.encode())
        except UnicodeEncodeError:
            raise S3Error("InvalidURI") from None
        if not self._storage.has_bucket(request.bucket):
            raise S3Error("NoSuchBucket", BucketName=request.bucket)
        if length > MAX_KEY_BYTES:
            raise S3Error("KeyTooLongError", Size=str(length), MaxSizeAllowed=str(MAX_KEY_BYTES))

    async def _dispatch(self, request: Request, operation: str, proof: Proof) -> Answer:
        with_body: dict[str, Callable[[Request, Proof], Awaitable[Answer]]] = {
            "PutObject": self._objects.put,
            "AppendObject": self._objects.append,
            "UploadPart": self._multipart.upload_part,
        }
        waiting: dict[str, Callable[[Request], Awaitable[Answer]]] = {
            "ComposeObject": self._objects.compose,
            "CopyObject": self._objects.copy,
            "UploadPartCopy": self._multipart.upload_part_copy,
        }
        direct: dict[str, Callable[[Request], Answer]] = {
            "ListBuckets": lambda _: self._buckets.list_buckets(),
            "CreateBucket": self._buckets.create,
            "HeadBucket": lambda _: self._buckets.head(),
            "DeleteBucket": self._buckets.delete,
            "GetBucketLocation": lambda _: self._buckets.location(),
            "GetBucketVersioning": lambda _: self._buckets.versioning(),
            "ListObjects": self._buckets.list_objects,
            "ListObjectsV2": self._buckets.list_objects,
            "HeadObject": self._objects.head,
            "DeleteObject": self._objects.delete,
            "DeleteObjects": self._objects.delete_many,
            "CreateMultipartUpload": self._multipart.create,
            "CompleteMultipartUpload": self._multipart.complete,
            "AbortMultipartUpload": self._multipart.abort,
            "ListParts": self._multipart.list_parts,
            "ListMultipartUploads": self._multipart.list_uploads,
        }
        if operation in with_body:
            return await with_body[operation](request, proof)
        if operation in waiting:
            return await waiting[operation](request)
        return direct[operation](request)


async def _before(fault: Fault) -> None:
    if fault.delay:
        await asyncio.sleep(fault.delay)
    if fault.reset == "before":
        raise ConnectionDropped


async def _is_held(request: Request) -> bool:
    """Take a request in whole; False where it does not arrive."""
    try:
        await request.reader.hold()
    except S3Error:
        return False
    return True


async def _send(answer: Answer, fault: Fault | None, send: Send) -> None:
    headers = [(n.encode(), v.encode("latin-1")) for n, v in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = answer.body
    if fault is not None and fault.delay_body:
        half = len(body) // 2
        await send({"type": "http.response.body", "body": body[:half], "more_body": True})
        await asyncio.sleep(fault.delay_body)
        body = body[half:]
    await send({"type": "http.response.body", "body": body})


async def _gone(receive: Receive) -> None:
    """Wait until uvicorn has seen that nobody waits for an answer any more."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _send_half(scope: dict[str, Any], answer: Answer) -> int:
    """Write half of an answer past uvicorn and close: half of the head, where there is no body."""
    lines = [f"HTTP/1.1 {answer.status} Truncated"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    half = len(answer.body) // 2
    transport = scope["extensions"][EXTENSION].transport
    transport.write(head + answer.body[:half] if half else head[: len(head) // 2])
    transport.close()
    return half
