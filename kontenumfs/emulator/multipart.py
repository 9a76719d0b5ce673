# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The multipart family."""

import hashlib
import re
import time
from xml.sax.saxutils import escape

from kontenumfs.emulator.auth import Proof
from kontenumfs.emulator.errors import S3Error
from kontenumfs.emulator.exchange import Answer, Request
from kontenumfs.emulator.objects import (
    Objects,
    check_conditions,
    copy_result,
    iso_time,
    kept_headers,
)
from kontenumfs.emulator.storage import StoredObject, StoredPart, Upload, cut
from kontenumfs.protocol.errors import UnexpectedAnswer
from kontenumfs.protocol.xml import parse


class Multipart:
    """Uploads of one storage."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._storage = objects.storage

    def _upload(self, request: Request) -> Upload:
        found = self._storage.upload(request.parameter("uploadId"))
        if found is None or (found.bucket, found.key) != (request.bucket, request.key):
            raise S3Error("NoSuchUpload")
        return found

    def create(self, request: Request) -> Answer:
        """CreateMultipartUpload."""
        identity = self._storage.create_upload(request.bucket, request.key, kept_headers(request))
        return Answer.xml(
            "InitiateMultipartUploadResult",
            f"<Bucket>{request.bucket}</Bucket><Key>{escape(request.key)}</Key>"
            f"<UploadId>{identity}</UploadId>",
        )

    def _number(self, request: Request) -> int:
        number = request.parameter("partNumber")
        if not number.isdigit() or not 1 <= int(number) <= 10_000:
            raise S3Error("InvalidArgument", "Part number must be from 1 to 10000")
        return int(number)

    async def upload_part(self, request: Request, proof: Proof) -> Answer:
        """UploadPart."""
        upload, number = self._upload(request), self._number(request)
        extents, size, md5 = await self._objects.receive(request, proof)
        self._storage.put_part(upload.id, StoredPart(number, size, md5, time.time(), extents))
        return Answer(headers={"etag": f'"{md5}"'})

    async def upload_part_copy(self, request: Request) -> Answer:
        """UploadPartCopy: the part shares the source's bytes."""
        upload, number = self._upload(request), self._number(request)
        source = self._objects.source(request)
        first, last = 0, source.size - 1
        wanted = request.headers.get("x-amz-copy-source-range")
        if wanted is not None:
            match = re.fullmatch(r"bytes=(\d+)-(\d+)", wanted)
            if match is None or int(match[1]) > int(match[2]) or int(match[2]) >= source.size:
                raise S3Error("InvalidArgument", "The range is not valid for the source")
            first, last = int(match[1]), int(match[2])
        extents = cut(source.extents, first, last - first + 1)
        digest = hashlib.md5(repr((source.etag, first, last)).encode(), usedforsecurity=False)
        part = StoredPart(number, last - first + 1, digest.hexdigest(), time.time(), extents)
        self._storage.put_part(upload.id, part)
        return Answer.xml("CopyPartResult", copy_result(part.etag, part.modified))

    async def complete(self, request: Request) -> Answer:
        """CompleteMultipartUpload."""
        upload = self._upload(request)
        try:
            document = parse(await request.reader.small())
            wanted = [
                (int(item.get("PartNumber")), item.get("ETag").strip('"'))
                for item in document.all("Part")
            ]
        except (UnexpectedAnswer, ValueError, IndexError):
            raise S3Error("MalformedXML") from None
        parts = self._chosen(upload, wanted)
        check_conditions(request, self._storage.get(request.bucket, request.key))
        joined = hashlib.md5(b"".join(bytes.fromhex(p.etag) for p in parts), usedforsecurity=False)
        stored = StoredObject(
            request.key,
            sum(part.size for part in parts),
            f"{joined.hexdigest()}-{len(parts)}",
            time.time(),
            upload.headers,
            tuple(extent for part in parts for extent in part.extents),
        )
        self._storage.put(request.bucket, stored)
        self._storage.drop_upload(upload.id)
        return Answer.xml(
            "CompleteMultipartUploadResult",
            f"<Bucket>{request.bucket}</Bucket><Key>{escape(request.key)}</Key>"
            f"<ETag>&quot;{stored.etag}&quot;</ETag>",
        )

    def _chosen(self, upload: Upload, wanted: list[tuple[int, str]]) -> list[StoredPart]:
        have = {part.number: part for part in self._storage.parts(upload.id)}
        if not wanted:
            raise S3Error("MalformedXML")
        if [n for n, _ in wanted] != sorted({n for n, _ in wanted}):
            raise S3Error("InvalidPartOrder")
        chosen = []
        for number, etag in wanted:
            part = have.get(number)
            if part is None or part.etag != etag:
                raise S3Error("InvalidPart")
            chosen.append(part)
        if any(part.size < self._objects.limits.min_part for part in chosen[:-1]):
            raise S3Error("EntityTooSmall")
        return chosen

    def abort(self, request: Request) -> Answer:
        """AbortMultipartUpload."""
        self._storage.drop_upload(self._upload(request).id)
        return Answer(204)

    def list_parts(self, request: Request) -> Answer:
        """ListParts."""
        upload = self._upload(request)
        after = int(request.parameter("part-number-marker", "0") or 0)
        limit = min(1000, int(request.parameter("max-parts", "1000") or 1000))
        parts = [part for part in self._storage.parts(upload.id) if part.number > after]
        page = parts[:limit]
        items = "".join(
            f"<Part><PartNumber>{part.number}</PartNumber><Size>{part.size}</Size>"
            f"{copy_result(part.etag, part.modified)}</Part>"
            for part in page
        )
        more = len(parts) > limit
        return Answer.xml(
            "ListPartsResult",
            f"<Bucket>{request.bucket}</Bucket><Key>{escape(request.key)}</Key>"
            f"<UploadId>{upload.id}</UploadId><MaxParts>{limit}</MaxParts>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>"
            + (f"<NextPartNumberMarker>{page[-1].number}</NextPartNumberMarker>" if more else "")
            + items,
        )

    def list_uploads(self, request: Request) -> Answer:
        """ListMultipartUploads."""
        prefix = request.parameter("prefix")
        items = "".join(
            f"<Upload><Key>{escape(upload.key)}</Key><UploadId>{upload.id}</UploadId>"
            f"<Initiated>{iso_time(upload.created)}</Initiated></Upload>"
            for upload in self._storage.uploads(request.bucket)
            if upload.key.startswith(prefix)
        )
        return Answer.xml(
            "ListMultipartUploadsResult",
            f"<Bucket>{request.bucket}</Bucket><IsTruncated>false</IsTruncated>{items}",
        )
