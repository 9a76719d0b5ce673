# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The verbs on objects: put, append, compose, copy, head, delete.

Each looks at the old object and writes the new one without waiting in between, so requests that
come at the same time act one after the other.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from urllib.parse import unquote

from kontenumfs.emulator.answers import (
    CHECKSUM,
    Answer,
    copy_result,
    object_headers,
    read_status,
    text,
)
from kontenumfs.emulator.auth import Proof
from kontenumfs.emulator.body import Received, save
from kontenumfs.emulator.checksums import announced
from kontenumfs.emulator.conditions import Conditions
from kontenumfs.emulator.errors import S3Error
from kontenumfs.emulator.etags import ETags, opaque_etag
from kontenumfs.emulator.exchange import Request
from kontenumfs.emulator.segments import Extent
from kontenumfs.emulator.storage import Storage, StoredObject
from kontenumfs.protocol.dialect import MAX_COPY, MAX_DELETE_MANY, MAX_PUT
from kontenumfs.protocol.errors import UnexpectedAnswer
from kontenumfs.protocol.xml import parse, parse_components

KEPT_HEADERS = (
    "cache-control",
    "content-disposition",
    "content-language",
    "content-type",
    "expires",
    "x-amz-website-redirect-location",
)
MAX_METADATA = 2048
"""Bytes of an object's user metadata (AWS: 2 KB)."""
MAX_OBJECT = 5 << 40
MANY_EXTENTS = 512
SMALL_EXTENT = 1 << 16
"""More extents than that, of fewer bytes on average, are copied into one segment at a rewrite."""

Linked = tuple[StoredObject, Sequence[Extent]]
"""An object that is to be stored, and where its bytes are now."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the store takes; each is an option of the emulator."""

    appends: int
    components: int
    min_part: int
    min_range_source: int = 0


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body in a segment that no object has yet."""

    extents: tuple[Extent, ...]
    received: Received


def kept_headers(request: Request) -> dict[str, str]:
    """What of a request is stored with the object; raises S3Error for too much of it."""
    kept = {n: v for n, v in request.headers.items() if n in KEPT_HEADERS}
    metadata = {n: v for n, v in request.headers.items() if n.startswith("x-amz-meta-")}
    if sum(len(n) - len("x-amz-meta-") + len(v) for n, v in metadata.items()) > MAX_METADATA:
        raise S3Error("MetadataTooLarge", MaxSizeAllowed=str(MAX_METADATA))
    codings = [word.strip() for word in request.headers.get("content-encoding", "").split(",")]
    # aws-chunked is the transfer's, not the object's.
    codings = [word for word in codings if word and word.lower() != "aws-chunked"]
    if codings:
        kept["content-encoding"] = ",".join(codings)
    kept.setdefault("content-type", "binary/octet-stream")
    return kept | metadata


def checksum_headers(checksums: dict[str, str]) -> dict[str, str]:
    """The headers that show checksums."""
    return {CHECKSUM + name: value for name, value in checksums.items()}


class Objects:
    """The verbs on objects of one storage.

    Args:
        conditions: which verbs honour theirs.
        md5_etags: whether ETags are the MD5 of the bytes where AWS's are.
    """

    def __init__(
        self,
        storage: Storage,
        limits: Limits,
        conditions: Conditions | None = None,
        *,
        md5_etags: bool = True,
    ) -> None:
        self.storage = storage
        self.limits = limits
        self.conditions = conditions or Conditions()
        self.etags = ETags(storage.segments, are_md5=md5_etags)

    @asynccontextmanager
    async def body(self, request: Request, proof: Proof) -> AsyncIterator[Body]:
        """Take the body into a segment, which goes again when the block fails."""
        name, path = self.storage.segments.new()
        length = request.headers.get("content-length")
        if proof.is_chunked:
            length = request.headers.get("x-amz-decoded-content-length")
        if length is None:
            raise S3Error("MissingContentLength")
        if not re.fullmatch(r"[0-9]{1,19}", length):
            raise S3Error("InvalidArgument")
        if int(length) > MAX_PUT:
            raise S3Error("EntityTooLarge", MaxSizeAllowed=str(MAX_PUT))
        durable = self.storage.durable
        received = await save(request.reader, request.headers, proof, path, durable=durable)
        try:
            if received.size == 0:
                path.unlink()
                yield Body((), received)
            else:
                yield Body(((name, 0, received.size),), received)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    async def put(self, request: Request, proof: Proof) -> Answer:
        """PutObject."""
        headers = kept_headers(request)
        self._check_target("put", request)
        async with self.body(request, proof) as body:
            # Asked again: another writer may have come while the body arrived.
            self._check_target("put", request)
            received = body.received
            shown = checksum_headers(received.checksums)
            etag = self.etags.received(body.extents, received.md5)
            stored = StoredObject(request.key, received.size, etag, time.time(), headers | shown)
            self.storage.put(request.bucket, stored, body.extents)
        return Answer(headers={"etag": f'"{stored.etag}"', **shown})

    def _check_target(self, verb: str, request: Request) -> StoredObject | None:
        """Bucket and conditions, as they are now; returns the old object."""
        if not self.storage.has_bucket(request.bucket):
            raise S3Error("NoSuchBucket", BucketName=request.bucket)
        old = self.storage.get(request.bucket, request.key)
        self.conditions.check_target(verb, request.headers, old)
        return old

    async def append(self, request: Request, proof: Proof) -> Answer:
        """AppendObject: the body becomes the end of the object, which is created if missing.

        Only then are the request's headers and metadata the object's.
        """
        self._check_append(self._check_target("append", request))
        if not (
            proof.covers_body or "content-md5" in request.headers or announced(request.headers)
        ):
            raise S3Error("InvalidRequest", "an append needs a signed payload or Content-MD5")
        async with self.body(request, proof) as body:
            old = self._check_target("append", request)
            self._check_append(old)
            size, md5, now = body.received.size, body.received.md5, time.time()
            if old is None:
                headers = kept_headers(request)
                stored = StoredObject(request.key, size, opaque_etag(md5), now, headers, 1)
                self.storage.put(request.bucket, stored, body.extents)
            else:
                if old.size + size > MAX_OBJECT:
                    raise S3Error("EntityTooLarge")
                kept = {n: v for n, v in old.headers.items() if not n.startswith(CHECKSUM)}
                stored = replace(
                    old,
                    size=old.size + size,
                    etag=opaque_etag(old.etag, md5),
                    modified=max(now, old.modified),
                    headers=kept,
                    appends=old.appends + 1,
                )
                self.storage.append(request.bucket, stored, body.extents)
        return Answer(headers={"etag": f'"{stored.etag}"'})

    def _check_append(self, old: StoredObject | None) -> None:
        if old is not None and old.appends >= self.limits.appends:
            raise S3Error("TooManyAppends")

    async def compose(self, request: Request) -> Answer:
        """ComposeObject: link the components' bytes, in order, under the target's key."""
        stored = await self._rewrite("compose", request, self._composed)
        return Answer(headers={"etag": f'"{stored.etag}"'})

    def _composed(self, request: Request) -> Linked:
        try:
            keys = parse_components(request.message)
        except UnexpectedAnswer:
            raise S3Error("MalformedXML") from None
        if not 1 <= len(keys) <= self.limits.components:
            raise S3Error("InvalidRequest", f"compose takes 1 to {self.limits.components} objects")
        sources = []
        for key in keys:
            found = self.storage.get(request.bucket, key)
            if found is None:
                raise S3Error("NoSuchKey", f"The specified key does not exist: {key}", Key=key)
            sources.append(found)
        stored = StoredObject(
            request.key,
            sum(source.size for source in sources),
            opaque_etag(*(source.etag for source in sources)),
            time.time(),
            kept_headers(request),
        )
        if stored.size > MAX_OBJECT:
            raise S3Error("EntityTooLarge")
        return stored, [part for source in sources for part in self.storage.extents(source.owner)]

    async def _rewrite(
        self, verb: str, request: Request, linked: Callable[[Request], Linked]
    ) -> StoredObject:
        """Store an object that links what others have; a crowd of crumbs is joined.

        Where the sources change while they are joined, the crumbs are linked as they are now:
        the target may be one of them, and an append to it would be lost.
        """
        self._check_target(verb, request)
        stored, extents = linked(request)
        if len(extents) < MANY_EXTENTS or stored.size > len(extents) * SMALL_EXTENT:
            self.storage.put(request.bucket, stored, extents)
            return stored
        segments = self.storage.segments
        name, path = segments.new()
        is_used = False
        try:
            with segments.pinned(extents):
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(None, segments.join, extents, path)
            self._check_target(verb, request)
            stored, now = linked(request)
            if is_used := now == extents and stored.size > 0:
                now = ((name, 0, stored.size),)
            self.storage.put(request.bucket, stored, now)
        finally:
            if not is_used:
                path.unlink(missing_ok=True)
        return stored

    def source(self, verb: str, request: Request) -> tuple[str, StoredObject]:
        """Bucket and object that x-amz-copy-source names, as it is now; raises S3Error."""
        named = request.headers["x-amz-copy-source"].partition("?")[0]
        bucket, slash, key = unquote(named).removeprefix("/").partition("/")
        if not (bucket and slash and key):
            raise S3Error("InvalidArgument", "Invalid copy source object key")
        if not self.storage.has_bucket(bucket):
            raise S3Error("NoSuchBucket", BucketName=bucket)
        found = self.storage.get(bucket, key)
        if found is None:
            raise S3Error("NoSuchKey", Key=key)
        self.conditions.check_source(verb, request.headers, found)
        return bucket, found

    async def copy(self, request: Request) -> Answer:
        """CopyObject."""
        stored = await self._rewrite("copy", request, self._copied)
        return Answer.xml("CopyObjectResult", copy_result(stored.etag, stored.modified))

    def _copied(self, request: Request) -> Linked:
        bucket, source = self.source("copy", request)
        if source.size > MAX_COPY:
            raise S3Error("InvalidRequest", "The specified copy source is larger than 5 GiB.")
        directive = request.headers.get("x-amz-metadata-directive", "COPY").upper()
        if directive not in ("COPY", "REPLACE"):
            raise S3Error("InvalidArgument", "Unknown metadata directive.")
        onto_itself = (bucket, source.key) == (request.bucket, request.key)
        if onto_itself and directive == "COPY" and "x-amz-storage-class" not in request.headers:
            raise S3Error("InvalidRequest", "This copy request is illegal: nothing would change.")
        headers = source.headers
        if directive == "REPLACE":
            checksums = {n: v for n, v in headers.items() if n.startswith(CHECKSUM)}
            headers = kept_headers(request) | checksums
        etag = self.etags.of_copy(source.etag)
        stored = StoredObject(request.key, source.size, etag, time.time(), headers)
        return stored, self.storage.extents(source.owner)

    def head(self, request: Request) -> Answer:
        """HeadObject."""
        found = self.storage.get(request.bucket, request.key)
        if found is None:
            raise S3Error("NoSuchKey", Key=request.key)
        status = read_status(request.headers, found)
        if status == 412:
            raise S3Error("PreconditionFailed")
        wants = request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"
        headers = object_headers(found, with_checksums=wants)
        if status == 200:
            headers["content-length"] = str(found.size)
        return Answer(status, headers=headers)

    def delete(self, request: Request) -> Answer:
        """DeleteObject."""
        self._check_target("delete", request)
        self.storage.delete(request.bucket, [request.key])
        return Answer(204)

    def delete_many(self, request: Request) -> Answer:
        """DeleteObjects."""
        if not ("content-md5" in request.headers or announced(request.headers)):
            raise S3Error("InvalidRequest", "Missing required header for this request: Content-MD5")
        try:
            document = parse(request.message)
        except UnexpectedAnswer:
            raise S3Error("MalformedXML") from None
        named = [(item.get("Key"), item.get("ETag")) for item in document.all("Object")]
        if document.tag != "Delete" or not 1 <= len(named) <= MAX_DELETE_MANY:
            raise S3Error("MalformedXML")
        if not all(key for key, _ in named):
            raise S3Error("MalformedXML")
        gone: dict[str, None] = {}
        told = ""
        quiet = document.get("Quiet").lower() == "true"
        for key, etag in named:
            current = None if key in gone else self.storage.get(request.bucket, key)
            try:
                self.conditions.check_listed(etag, current)
            except S3Error as error:
                told += _refused(key, error)
                continue
            gone[key] = None
            told += "" if quiet else f"<Deleted><Key>{text(key)}</Key></Deleted>"
        self.storage.delete(request.bucket, list(gone))
        return Answer.xml("DeleteResult", told)


def _refused(key: str, error: S3Error) -> str:
    """What DeleteObjects says of a key that it left alone."""
    return (
        f"<Error><Key>{text(key)}</Key><Code>{error.code}</Code>"
        f"<Message>{text(error.message)}</Message></Error>"
    )
