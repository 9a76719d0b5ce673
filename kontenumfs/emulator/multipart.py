# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The multipart family."""

import base64
import hashlib
import re
import time
from dataclasses import dataclass
from urllib.parse import quote

from kontenumfs.emulator.answers import Answer, copy_result, iso_time, text
from kontenumfs.emulator.auth import Proof
from kontenumfs.emulator.checksums import new_checksum
from kontenumfs.emulator.errors import S3Error
from kontenumfs.emulator.exchange import Request
from kontenumfs.emulator.listing import common_prefix, common_prefixes, elements, encoder
from kontenumfs.emulator.objects import MAX_OBJECT, Objects, checksum_headers, kept_headers
from kontenumfs.emulator.segments import Extent, cut
from kontenumfs.emulator.storage import StoredObject
from kontenumfs.emulator.uploads import StoredPart, Upload, Uploads
from kontenumfs.protocol.dialect import MAX_COPY, MAX_PARTS
from kontenumfs.protocol.errors import UnexpectedAnswer
from kontenumfs.protocol.xml import Element, parse

MAX_LISTED = 1000
_ELEMENTS = {
    name.lower(): f"Checksum{name}" for name in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
}
"""The XML elements of the checksums."""

Marker = tuple[str, str]
"""Where a page of uploads begins: behind this key, or behind this upload of it."""


@dataclass(frozen=True, slots=True)
class WantedPart:
    """One part as CompleteMultipartUpload names it."""

    number: int
    etag: str
    checksums: dict[str, str]


class Multipart:
    """The multipart verbs on one storage."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._storage = objects.storage
        self._uploads = Uploads(objects.storage)

    def _upload(self, request: Request) -> Upload:
        found = self._uploads.get(request.parameter("uploadId"))
        if found is None or (found.bucket, found.key) != (request.bucket, request.key):
            raise S3Error("NoSuchUpload", UploadId=request.parameter("uploadId"))
        return found

    def create(self, request: Request) -> Answer:
        """CreateMultipartUpload."""
        algorithm = request.headers.get("x-amz-checksum-algorithm", "")
        if algorithm and new_checksum(algorithm.lower()) is None:
            raise S3Error("InvalidRequest", "The algorithm type of the checksum is invalid.")
        kind = request.headers.get("x-amz-checksum-type", "COMPOSITE")
        if kind != "COMPOSITE":
            raise S3Error("NotImplemented", "Multipart checksums are composite here.")
        identity = self._uploads.create(request.bucket, request.key, kept_headers(request))
        answer = Answer.xml(
            "InitiateMultipartUploadResult",
            f"<Bucket>{request.bucket}</Bucket><Key>{text(request.key)}</Key>"
            f"<UploadId>{identity}</UploadId>",
        )
        if algorithm:
            answer.headers |= {
                "x-amz-checksum-algorithm": algorithm.upper(),
                "x-amz-checksum-type": "COMPOSITE",
            }
        return answer

    def _number(self, request: Request) -> int:
        number = request.parameter("partNumber")
        if not re.fullmatch(r"[0-9]{1,5}", number) or not 1 <= int(number) <= MAX_PARTS:
            raise S3Error(
                "InvalidArgument", f"Part number must be an integer between 1 and {MAX_PARTS}"
            )
        return int(number)

    async def upload_part(self, request: Request, proof: Proof) -> Answer:
        """UploadPart."""
        self._upload(request)
        number = self._number(request)
        async with self._objects.body(request, proof) as body:
            upload = self._upload(request)  # it may have ended while the body arrived
            received = body.received
            etag = self._objects.etags.received(body.extents, received.md5)
            part = StoredPart(number, received.size, etag, time.time(), received.checksums)
            self._uploads.put_part(upload.id, part, body.extents)
        return Answer(headers={"etag": f'"{part.etag}"', **checksum_headers(part.checksums)})

    async def upload_part_copy(self, request: Request) -> Answer:
        """UploadPartCopy: the part shares the source's bytes."""
        number = self._number(request)
        upload, extents = self._copied(request)
        while True:
            etag = await self._objects.etags.of_range(extents)
            # Asked again: upload and source may have changed while the bytes were read.
            upload, now = self._copied(request)
            if now == extents:
                break
            extents = now
        part = StoredPart(number, sum(length for _, _, length in extents), etag, time.time())
        self._uploads.put_part(upload.id, part, extents)
        return Answer.xml("CopyPartResult", copy_result(part.etag, part.modified))

    def _copied(self, request: Request) -> tuple[Upload, tuple[Extent, ...]]:
        """The upload, and what it is to share of the source as that is now; raises S3Error."""
        upload = self._upload(request)
        _, source = self._objects.source("part-copy", request)
        first, size = 0, source.size
        wanted = request.headers.get("x-amz-copy-source-range")
        if wanted is not None:
            first, size = self._range(wanted, source)
        if size > MAX_COPY:
            raise S3Error("InvalidRequest", "The specified copy source is larger than 5 GiB.")
        return upload, cut(self._storage.extents(source.owner), first, size)

    def _range(self, wanted: str, source: StoredObject) -> tuple[int, int]:
        """First byte and length of x-amz-copy-source-range."""
        match = re.fullmatch(r"bytes=([0-9]{1,15})-([0-9]{1,15})", wanted)
        if match is None or int(match[1]) > int(match[2]):
            raise S3Error("InvalidArgument", "The x-amz-copy-source-range value is not valid")
        first, last = int(match[1]), int(match[2])
        if last >= source.size:
            raise S3Error(
                "InvalidArgument",
                f"Range specified is not valid for source object of size: {source.size}",
            )
        least = self._objects.limits.min_range_source
        if source.size < least:
            raise S3Error(
                "InvalidRequest",
                f"The specified copy source is smaller than {least} bytes: it has no ranges.",
            )
        return first, last - first + 1

    def complete(self, request: Request) -> Answer:
        """CompleteMultipartUpload."""
        upload = self._upload(request)
        try:
            document = parse(request.message)
            wanted = [_wanted(item) for item in document.all("Part")]
        except (UnexpectedAnswer, ValueError):
            raise S3Error("MalformedXML") from None
        if not wanted or document.tag != "CompleteMultipartUpload":
            raise S3Error("MalformedXML")
        parts = self._chosen(upload, wanted)
        current = self._storage.get(request.bucket, request.key)
        self._objects.conditions.check_target("complete", request.headers, current)
        joined = hashlib.md5(b"".join(bytes.fromhex(p.etag) for p in parts), usedforsecurity=False)
        checksums = _composite(parts)
        stored = StoredObject(
            request.key,
            sum(part.size for part in parts),
            f"{joined.hexdigest()}-{len(parts)}",
            time.time(),
            upload.headers | checksum_headers(checksums),
        )
        if stored.size > MAX_OBJECT:
            raise S3Error("EntityTooLarge")
        self._uploads.complete(upload, stored, parts)
        shown = "".join(f"<{_ELEMENTS[n]}>{v}</{_ELEMENTS[n]}>" for n, v in checksums.items())
        location = f"http://{request.headers.get('host', '')}{quote(request.path, safe='/%')}"
        return Answer.xml(
            "CompleteMultipartUploadResult",
            f"<Location>{text(location)}</Location><Bucket>{request.bucket}</Bucket>"
            f"<Key>{text(request.key)}</Key><ETag>&quot;{stored.etag}&quot;</ETag>{shown}",
        )

    def _chosen(self, upload: Upload, wanted: list[WantedPart]) -> list[StoredPart]:
        have = {part.number: part for part in self._uploads.parts(upload.id)}
        numbers = [part.number for part in wanted]
        if numbers != sorted(set(numbers)):
            raise S3Error("InvalidPartOrder", UploadId=upload.id)
        chosen = []
        for named in wanted:
            part = have.get(named.number)
            if part is None or part.etag != named.etag:
                raise S3Error("InvalidPart", UploadId=upload.id, PartNumber=str(named.number))
            if any(part.checksums.get(n) != value for n, value in named.checksums.items()):
                raise S3Error("InvalidPart", UploadId=upload.id, PartNumber=str(named.number))
            chosen.append(part)
        for part in chosen[:-1]:
            if part.size < self._objects.limits.min_part:
                raise S3Error(
                    "EntityTooSmall",
                    ProposedSize=str(part.size),
                    MinSizeAllowed=str(self._objects.limits.min_part),
                    PartNumber=str(part.number),
                )
        return chosen

    def abort(self, request: Request) -> Answer:
        """AbortMultipartUpload."""
        self._uploads.drop(self._upload(request).id)
        return Answer(204)

    def list_parts(self, request: Request) -> Answer:
        """ListParts."""
        upload = self._upload(request)
        encode = encoder(request)
        after = request.number("part-number-marker", 0)
        limit = min(MAX_LISTED, request.number("max-parts", MAX_LISTED))
        parts = [part for part in self._uploads.parts(upload.id) if part.number > after]
        page = parts[:limit]
        head = {
            "Bucket": request.bucket,
            "Key": encode(request.key),
            "UploadId": upload.id,
            "PartNumberMarker": str(after),
            "NextPartNumberMarker": str(page[-1].number) if page else "",
            "MaxParts": str(limit),
            "IsTruncated": str(len(parts) > limit).lower(),
            "EncodingType": request.parameter("encoding-type"),
        }
        items = (
            f"<Part><PartNumber>{part.number}</PartNumber><Size>{part.size}</Size>"
            f"{copy_result(part.etag, part.modified)}"
            + elements({_ELEMENTS[name]: value for name, value in part.checksums.items()})
            + "</Part>"
            for part in page
        )
        return Answer.xml("ListPartsResult", elements(head) + "".join(items))

    def list_uploads(self, request: Request) -> Answer:
        """ListMultipartUploads."""
        encode = encoder(request)
        prefix, delimiter = request.parameter("prefix"), request.parameter("delimiter")
        marker = (request.parameter("key-marker"), request.parameter("upload-id-marker"))
        limit = min(MAX_LISTED, request.number("max-uploads", MAX_LISTED))
        found, prefixes, last = self._collect(request.bucket, prefix, delimiter, marker, limit)
        head = {
            "Bucket": request.bucket,
            "KeyMarker": encode(marker[0]),
            "UploadIdMarker": text(marker[1]),
            "NextKeyMarker": encode(last[0]) if last else "",
            "NextUploadIdMarker": last[1] if last else "",
            "Prefix": encode(prefix),
            "Delimiter": encode(delimiter),
            "EncodingType": request.parameter("encoding-type"),
            "MaxUploads": str(limit),
            "IsTruncated": str(last is not None).lower(),
        }
        items = (
            f"<Upload><Key>{encode(upload.key)}</Key><UploadId>{upload.id}</UploadId>"
            f"<Initiated>{iso_time(upload.created)}</Initiated></Upload>"
            for upload in found
        )
        return Answer.xml(
            "ListMultipartUploadsResult",
            elements(head) + "".join(items) + common_prefixes(prefixes, encode),
        )

    def _collect(
        self, bucket: str, prefix: str, delimiter: str, marker: Marker, limit: int
    ) -> tuple[list[Upload], list[str], Marker | None]:
        """One page of uploads and common prefixes, and the marker of the next, if there is one."""
        found: list[Upload] = []
        prefixes: list[str] = []
        last = marker
        for upload in self._uploads.under_way(bucket):
            if not upload.key.startswith(prefix) or _is_behind(marker, upload):
                continue
            common = common_prefix(upload.key, prefix, delimiter)
            if common and (common in prefixes or marker[0].startswith(common)):
                continue
            if len(found) + len(prefixes) >= limit:
                return found, prefixes, last
            if common:
                prefixes.append(common)
                last = (common, "")
            else:
                found.append(upload)
                last = (upload.key, upload.id)
        return found, prefixes, None


def _wanted(item: Element) -> WantedPart:
    checksums = {name: item.get(tag) for name, tag in _ELEMENTS.items() if item.get(tag)}
    return WantedPart(int(item.get("PartNumber")), item.get("ETag").strip('"'), checksums)


def _composite(parts: list[StoredPart]) -> dict[str, str]:
    """AWS's checksum of checksums, where every part has the same one."""
    found: dict[str, str] = {}
    for name in parts[0].checksums:
        total = new_checksum(name)
        if total is not None and all(name in part.checksums for part in parts):
            for part in parts:
                total.update(base64.b64decode(part.checksums[name]))
            found[name] = f"{base64.b64encode(total.digest()).decode()}-{len(parts)}"
    return found


def _is_behind(marker: Marker, upload: Upload) -> bool:
    """Whether an upload was on an earlier page; without an id, the marker's key was too."""
    key, identity = marker
    if not key:
        return False
    mine, theirs = upload.key.encode(), key.encode()
    return mine < theirs or (mine == theirs and (not identity or upload.id <= identity))
