# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The verbs on objects: put, append, compose, copy, head, delete."""

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote
from xml.sax.saxutils import escape

from kontenumfs.emulator.auth import Proof
from kontenumfs.emulator.body import save
from kontenumfs.emulator.errors import S3Error
from kontenumfs.emulator.exchange import Answer, Request, http_date
from kontenumfs.emulator.storage import Extent, Storage, StoredObject
from kontenumfs.protocol.errors import UnexpectedAnswer
from kontenumfs.protocol.xml import parse, parse_components

KEPT_HEADERS = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-website-redirect-location",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the store takes; each is an option of the emulator."""

    appends: int
    components: int
    min_part: int
    max_object: int = 5 << 40
    max_put: int = 5 << 30


def kept_headers(request: Request) -> dict[str, str]:
    """What of a request is stored with the object."""
    kept = {n: v for n, v in request.headers.items() if n in KEPT_HEADERS}
    kept |= {n: v for n, v in request.headers.items() if n.startswith("x-amz-meta-")}
    if kept.get("content-encoding", "").lower().strip() == "aws-chunked":
        del kept["content-encoding"]  # of the transfer, not of the object
    kept.setdefault("content-type", "binary/octet-stream")
    return kept


def require(storage: Storage, request: Request, key: str = "") -> StoredObject:
    """The object that is named; raises NoSuchKey."""
    found = storage.get(request.bucket, key or request.key)
    if found is None:
        raise S3Error("NoSuchKey")
    return found


def check_conditions(request: Request, current: StoredObject | None) -> None:
    """If-Match and If-None-Match of a write."""
    match, none_match = request.headers.get("if-match"), request.headers.get("if-none-match")
    if match is not None:
        if current is None:
            raise S3Error("NoSuchKey")
        if match.strip('"') not in (current.etag, "*"):
            raise S3Error("PreconditionFailed")
    if current is not None and (none_match or "").strip('"') in ("*", current.etag):
        raise S3Error("PreconditionFailed")


def opaque_etag(*parts: object) -> str:
    """An ETag that is not the MD5 of anything."""
    text = repr(parts) + secrets.token_hex(8)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Objects:
    """The verbs on objects of one storage."""

    def __init__(self, storage: Storage, limits: Limits) -> None:
        self.storage = storage
        self.limits = limits

    async def receive(self, request: Request, proof: Proof) -> tuple[tuple[Extent, ...], int, str]:
        """Take the body into a segment; returns extents, bytes and MD5."""
        name, path = self.storage.new_segment()
        length = request.headers.get("x-amz-decoded-content-length") or request.headers.get(
            "content-length"
        )
        if length is None:
            raise S3Error("MissingContentLength")
        if int(length) > self.limits.max_put:
            raise S3Error("EntityTooLarge")
        received = await save(request.reader, request.headers, proof, path)
        if received.size == 0:
            path.unlink()
            return (), 0, received.md5
        return ((name, 0, received.size),), received.size, received.md5

    async def put(self, request: Request, proof: Proof) -> Answer:
        """PutObject."""
        check_conditions(request, self.storage.get(request.bucket, request.key))
        extents, size, md5 = await self.receive(request, proof)
        # Asked again: another writer may have come while the body arrived.
        check_conditions(request, self.storage.get(request.bucket, request.key))
        stored = StoredObject(request.key, size, md5, time.time(), kept_headers(request), extents)
        self.storage.put(request.bucket, stored)
        return Answer(headers={"etag": f'"{md5}"'})

    async def append(self, request: Request, proof: Proof) -> Answer:
        """AppendObject: the body becomes the end of the object, which is created if missing."""
        check_conditions(request, self.storage.get(request.bucket, request.key))
        if "content-md5" not in request.headers and len(proof.payload) != 64:
            raise S3Error("InvalidRequest", "an append needs Content-MD5 or a signed payload")
        extents, size, md5 = await self.receive(request, proof)
        old = self.storage.get(request.bucket, request.key)
        check_conditions(request, old)
        if old is None:
            stored = StoredObject(
                request.key, size, md5, time.time(), kept_headers(request), extents, 1
            )
        else:
            if old.appends >= self.limits.appends:
                raise S3Error("TooManyAppends")
            stored = StoredObject(
                request.key,
                old.size + size,
                opaque_etag(old.etag, md5),
                max(time.time(), old.modified),
                old.headers,
                (*old.extents, *extents),
                old.appends + 1,
            )
        self.storage.put(request.bucket, stored)
        return Answer(headers={"etag": f'"{stored.etag}"'})

    async def compose(self, request: Request) -> Answer:
        """ComposeObject: link the components' bytes, in order, under the target's key."""
        try:
            keys = parse_components(await request.reader.small())
        except (UnexpectedAnswer, IndexError):
            raise S3Error("MalformedXML") from None
        if not 1 <= len(keys) <= self.limits.components:
            raise S3Error("InvalidRequest", f"compose takes 1 to {self.limits.components} objects")
        sources = []
        for key in keys:
            found = self.storage.get(request.bucket, key)
            if found is None:
                raise S3Error("NoSuchKey", f"The specified key does not exist: {key}")
            sources.append(found)
        check_conditions(request, self.storage.get(request.bucket, request.key))
        extents = tuple(extent for source in sources for extent in source.extents)
        stored = StoredObject(
            request.key,
            sum(source.size for source in sources),
            opaque_etag(*(source.etag for source in sources)),
            time.time(),
            kept_headers(request),
            extents,
        )
        self.storage.put(request.bucket, stored)
        return Answer(headers={"etag": f'"{stored.etag}"'})

    def source(self, request: Request) -> StoredObject:
        """The object that x-amz-copy-source names, if its conditions hold."""
        named = unquote(request.headers["x-amz-copy-source"].partition("?")[0]).lstrip("/")
        bucket, _, key = named.partition("/")
        if not self.storage.has_bucket(bucket):
            raise S3Error("NoSuchBucket")
        found = self.storage.get(bucket, key)
        if found is None:
            raise S3Error("NoSuchKey")
        match = request.headers.get("x-amz-copy-source-if-match")
        none_match = request.headers.get("x-amz-copy-source-if-none-match")
        if match is not None and match.strip('"') != found.etag:
            raise S3Error("PreconditionFailed")
        if none_match is not None and none_match.strip('"') == found.etag:
            raise S3Error("PreconditionFailed")
        return found

    async def copy(self, request: Request) -> Answer:
        """CopyObject."""
        source = self.source(request)
        if source.size > self.limits.max_put:
            raise S3Error("InvalidRequest", "The specified copy source is larger than 5 GiB.")
        replaces = request.headers.get("x-amz-metadata-directive", "COPY").upper() == "REPLACE"
        named = unquote(request.headers["x-amz-copy-source"]).lstrip("/")
        if not replaces and named == f"{request.bucket}/{request.key}":
            raise S3Error("InvalidRequest", "This copy request is illegal: nothing would change.")
        stored = StoredObject(
            request.key,
            source.size,
            source.etag,
            time.time(),
            kept_headers(request) if replaces else source.headers,
            source.extents,
        )
        self.storage.put(request.bucket, stored)
        return Answer.xml("CopyObjectResult", copy_result(stored.etag, stored.modified))

    def head(self, request: Request) -> Answer:
        """HeadObject."""
        found = require(self.storage, request)
        return Answer(headers=object_headers(found) | {"content-length": str(found.size)})

    def delete(self, request: Request) -> Answer:
        """DeleteObject."""
        self.storage.delete(request.bucket, request.key)
        return Answer(204)

    async def delete_many(self, request: Request) -> Answer:
        """DeleteObjects."""
        try:
            document = parse(await request.reader.small())
        except (UnexpectedAnswer, IndexError):
            raise S3Error("MalformedXML") from None
        keys = [item.get("Key") for item in document.all("Object")]
        if document.tag != "Delete" or not 1 <= len(keys) <= 1000:
            raise S3Error("MalformedXML")
        for key in keys:
            self.storage.delete(request.bucket, key)
        quiet = document.get("Quiet").lower() == "true"
        told: Sequence[str] = () if quiet else keys
        deleted = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in told)
        return Answer.xml("DeleteResult", deleted)


def copy_result(etag: str, modified: float) -> str:
    """What CopyObject and UploadPartCopy answer."""
    return f"<ETag>&quot;{etag}&quot;</ETag><LastModified>{iso_time(modified)}</LastModified>"


def iso_time(when: float) -> str:
    """A time as listings say it, cut to whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(int(when)))


def object_headers(found: StoredObject) -> dict[str, str]:
    """What HEAD and the CDN show of an object."""
    return {
        **found.headers,
        "etag": f'"{found.etag}"',
        "last-modified": http_date(found.modified),
        "accept-ranges": "bytes",
    }
