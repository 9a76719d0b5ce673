# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The S3 side: which operation a request is, whether it may, and what it answers."""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, TextIO

from kontenumfs.emulator.auth import Authenticator, Proof
from kontenumfs.emulator.body import Receive
from kontenumfs.emulator.errors import S3Error
from kontenumfs.emulator.exchange import Answer, Request, http_date
from kontenumfs.emulator.faults import Fault, Faults
from kontenumfs.emulator.listing import Buckets
from kontenumfs.emulator.multipart import Multipart
from kontenumfs.emulator.objects import Objects
from kontenumfs.protocol.dialect import MAX_KEY_BYTES
from kontenumfs.protocol.signing import UNSIGNED_PAYLOAD

Send = Callable[[dict[str, Any]], Awaitable[None]]

_WITH_BODY = frozenset({"PutObject", "AppendObject", "UploadPart"})


class ConnectionDropped(Exception):
    """A fault closes the connection without a whole answer."""


def operation_of(request: Request) -> str:
    """The S3 name of what a request asks for."""
    method, headers = request.method, request.headers
    if not request.bucket:
        return "ListBuckets" if method == "GET" else "Unknown"
    if not request.key:
        return _bucket_operation(request)
    if request.has("uploadId") or request.has("uploads"):
        return _multipart_operation(request)
    if method == "PUT":
        if request.has("append"):
            return "AppendObject"
        if request.has("compose"):
            return "ComposeObject"
        if request.has("acl") or request.has("tagging"):
            return "Unknown"
        return "CopyObject" if "x-amz-copy-source" in headers else "PutObject"
    return {"GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}.get(
        method, "Unknown"
    )


def _bucket_operation(request: Request) -> str:
    method = request.method
    if method == "GET":
        for name, operation in (
            ("uploads", "ListMultipartUploads"),
            ("location", "GetBucketLocation"),
            ("versioning", "GetBucketVersioning"),
        ):
            if request.has(name):
                return operation
        if any(request.has(name) for name in ("acl", "policy", "lifecycle", "cors", "tagging")):
            return "Unknown"
        return "ListObjectsV2" if request.parameter("list-type") == "2" else "ListObjects"
    if method == "POST":
        return "DeleteObjects" if request.has("delete") else "PostObject"
    names = {"PUT": "CreateBucket", "HEAD": "HeadBucket", "DELETE": "DeleteBucket"}
    return names.get(method, "Unknown")


def _multipart_operation(request: Request) -> str:
    if request.method == "PUT" and request.has("partNumber"):
        copies = "x-amz-copy-source" in request.headers
        return "UploadPartCopy" if copies else "UploadPart"
    if request.method == "POST":
        return "CreateMultipartUpload" if request.has("uploads") else "CompleteMultipartUpload"
    names = {"DELETE": "AbortMultipartUpload", "GET": "ListParts"}
    return names.get(request.method, "Unknown")


class S3App:
    """The ASGI application of the S3 side.

    Args:
        latency: seconds that every answer is held back.
        access_log: gets one JSON object a line, or None.
        domains: host names before which a bucket may stand.
    """

    def __init__(
        self,
        objects: Objects,
        authenticator: Authenticator,
        faults: Faults,
        *,
        latency: float,
        access_log: TextIO | None,
        domains: tuple[str, ...],
    ) -> None:
        self._storage = objects.storage
        self._objects = objects
        self._multipart = Multipart(objects)
        self._buckets = Buckets(objects.storage)
        self._authenticator = authenticator
        self._faults = faults
        self._latency = latency
        self._log = access_log
        self._domains = domains

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.time()
        request = Request.of(scope, receive, self._domains)
        operation = operation_of(request)
        fault = self._faults.match(operation, request.key)
        answer = Answer(0)
        try:
            answer = await self._answer(request, operation, fault)
            await self._send(request, answer, fault, send)
        except ConnectionDropped:
            scope["extensions"]["kontenum.transport"].abort()
            while (await receive())["type"] != "http.disconnect":
                pass  # the server must see that nobody waits for an answer any more
        finally:
            self._write_log(began, operation, request, answer)

    async def _answer(self, request: Request, operation: str, fault: Fault | None) -> Answer:
        request_id = secrets.token_hex(8).upper()
        try:
            if self._latency:
                await asyncio.sleep(self._latency)
            if fault is not None:
                await self._before(fault)
            answer = await self._perform(request, operation)
            if fault is not None and fault.etag and "etag" in answer.headers:
                answer.headers["etag"] = f'"{fault.etag}"'
        except S3Error as error:
            await request.reader.drain()
            body = b"" if request.method == "HEAD" else error.body(request.path, request_id)
            answer = Answer(error.status, body, {"content-type": "application/xml"})
        answer.headers |= {"x-amz-request-id": request_id, "date": http_date(time.time())}
        answer.headers["server"] = "Kontenum-emulator"
        if request.method != "HEAD":
            answer.headers["content-length"] = str(len(answer.body))
        return answer

    async def _before(self, fault: Fault) -> None:
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.reset == "before":
            raise ConnectionDropped
        if fault.status:
            raise S3Error(fault.code, status=fault.status)

    async def _send(
        self, request: Request, answer: Answer, fault: Fault | None, send: Send
    ) -> None:
        if fault is not None and fault.reset == "after":
            raise ConnectionDropped
        headers = [(n.encode(), v.encode("latin-1")) for n, v in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if fault is not None and (fault.delay_body or fault.reset == "answer-truncated"):
            half = len(answer.body) // 2
            await send(
                {"type": "http.response.body", "body": answer.body[:half], "more_body": True}
            )
            await asyncio.sleep(fault.delay_body)
            if fault.reset:
                raise ConnectionDropped
            await send({"type": "http.response.body", "body": answer.body[half:]})
            return
        await send({"type": "http.response.body", "body": answer.body})

    async def _perform(self, request: Request, operation: str) -> Answer:
        if operation == "PostObject":
            raise S3Error("MethodNotAllowed", "Browser form uploads are not supported.")
        if operation == "Unknown":
            raise S3Error("NotImplemented")
        proof = self._authenticator.verify(request.signable())
        if operation not in _WITH_BODY:
            await self._check_payload(request, proof)
        self._check_names(request, operation)
        if operation == "GetObject":
            raise S3Error("AccessDenied")
        return await self._dispatch(request, operation, proof)

    async def _check_payload(self, request: Request, proof: Proof) -> None:
        """A signed digest of a small body is checked before the body is believed."""
        if proof.payload == UNSIGNED_PAYLOAD or proof.payload.startswith("STREAMING-"):
            return
        body = await request.reader.small()
        if hashlib.sha256(body).hexdigest() != proof.payload:
            raise S3Error("XAmzContentSHA256Mismatch")
        request.reader.give_back(body)

    def _check_names(self, request: Request, operation: str) -> None:
        if operation in ("ListBuckets", "CreateBucket"):
            return
        if not self._storage.has_bucket(request.bucket):
            raise S3Error("NoSuchBucket")
        try:
            length = len(request.key.encode())
        except UnicodeEncodeError:
            raise S3Error("InvalidArgument", "A key must be UTF-8") from None
        if length > MAX_KEY_BYTES:
            raise S3Error("KeyTooLongError")

    async def _dispatch(self, request: Request, operation: str, proof: Proof) -> Answer:
        with_body: dict[str, Callable[[Request, Proof], Awaitable[Answer]]] = {
            "PutObject": self._objects.put,
            "AppendObject": self._objects.append,
            "UploadPart": self._multipart.upload_part,
        }
        waiting: dict[str, Callable[[Request], Awaitable[Answer]]] = {
            "ComposeObject": self._objects.compose,
            "CopyObject": self._objects.copy,
            "DeleteObjects": self._objects.delete_many,
            "UploadPartCopy": self._multipart.upload_part_copy,
            "CompleteMultipartUpload": self._multipart.complete,
        }
        direct: dict[str, Callable[[Request], Answer]] = {
            "ListBuckets": lambda _: self._buckets.list_buckets(),
            "CreateBucket": self._buckets.create,
            "HeadBucket": lambda _: Answer(headers={"x-amz-bucket-region": "us-east-1"}),
            "DeleteBucket": self._buckets.delete,
            "GetBucketLocation": lambda _: self._buckets.location(),
            "GetBucketVersioning": lambda _: self._buckets.versioning(),
            "ListObjects": self._buckets.list_objects,
            "ListObjectsV2": self._buckets.list_objects,
            "HeadObject": self._objects.head,
            "DeleteObject": self._objects.delete,
            "CreateMultipartUpload": self._multipart.create,
            "AbortMultipartUpload": self._multipart.abort,
            "ListParts": self._multipart.list_parts,
            "ListMultipartUploads": self._multipart.list_uploads,
        }
        if operation in with_body:
            return await with_body[operation](request, proof)
        if operation in waiting:
            return await waiting[operation](request)
        return direct[operation](request)

    def _write_log(self, began: float, operation: str, request: Request, answer: Answer) -> None:
        if self._log is None:
            return
        line = {
            "time": began,
            "op": operation,
            "bucket": request.bucket,
            "key": request.key.encode(errors="surrogateescape").decode(errors="replace"),
            "query": dict(request.query),
            "request_bytes": request.reader.count,
            "response_bytes": len(answer.body),
            "status": answer.status,
            "user_agent": request.headers.get("user-agent", ""),
        }
        self._log.write(json.dumps(line) + "\n")
        self._log.flush()
