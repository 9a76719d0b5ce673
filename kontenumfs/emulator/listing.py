# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""ListObjects, both versions, and the verbs on buckets."""

import base64
import re
from collections.abc import Callable
from urllib.parse import quote
from xml.sax.saxutils import escape

from kontenumfs.emulator.errors import S3Error
from kontenumfs.emulator.exchange import Answer, Request
from kontenumfs.emulator.objects import iso_time
from kontenumfs.emulator.storage import Storage, StoredObject

MAX_KEYS = 1000
SKIP = b"\xff"
"""A byte that UTF-8 never has: behind a common prefix, it sorts behind all of its keys."""


class Buckets:
    """The verbs on buckets of one storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def list_buckets(self) -> Answer:
        """ListBuckets."""
        items = "".join(
            f"<Bucket><Name>{name}</Name><CreationDate>{iso_time(created)}</CreationDate></Bucket>"
            for name, created in self._storage.buckets()
        )
        owner = "<Owner><ID>kontenum</ID><DisplayName>kontenum</DisplayName></Owner>"
        return Answer.xml("ListAllMyBucketsResult", f"{owner}<Buckets>{items}</Buckets>")

    def create(self, request: Request) -> Answer:
        """CreateBucket."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", request.bucket):
            raise S3Error("InvalidBucketName")
        if not self._storage.create_bucket(request.bucket):
            raise S3Error("BucketAlreadyOwnedByYou")
        return Answer(headers={"location": f"/{request.bucket}"})

    def delete(self, request: Request) -> Answer:
        """DeleteBucket; with force_delete=true all that is in it goes too."""
        force = request.parameter("force_delete") == "true"
        if not force and next(self._storage.scan(request.bucket, b"", b""), None) is not None:
            raise S3Error("BucketNotEmpty")
        self._storage.delete_bucket(request.bucket)
        return Answer(204)

    def location(self) -> Answer:
        """GetBucketLocation."""
        return Answer.xml("LocationConstraint", "us-east-1")

    def versioning(self) -> Answer:
        """GetBucketVersioning: never on."""
        return Answer.xml("VersioningConfiguration", "")

    def list_objects(self, request: Request) -> Answer:
        """ListObjects (v1) and ListObjectsV2."""
        v2 = request.parameter("list-type") == "2"
        encode = self._encoder(request.parameter("encoding-type"))
        limit = self._limit(request.parameter("max-keys", str(MAX_KEYS)))
        prefix, delimiter = request.parameter("prefix"), request.parameter("delimiter")
        after = self._after(request, v2)
        objects, prefixes, last = self._collect(
            request.bucket, prefix.encode(), delimiter.encode(), after, limit
        )
        items = "".join(_item(stored, encode) for stored in objects)
        items += "".join(
            f"<CommonPrefixes><Prefix>{encode(common)}</Prefix></CommonPrefixes>"
            for common in prefixes
        )
        head = (
            f"<Name>{request.bucket}</Name><Prefix>{encode(prefix)}</Prefix>"
            f"<MaxKeys>{limit}</MaxKeys><IsTruncated>{str(last is not None).lower()}</IsTruncated>"
        )
        if delimiter:
            head += f"<Delimiter>{encode(delimiter)}</Delimiter>"
        if request.parameter("encoding-type"):
            head += "<EncodingType>url</EncodingType>"
        if v2:
            head += f"<KeyCount>{len(objects) + len(prefixes)}</KeyCount>"
            if last is not None:
                token = base64.urlsafe_b64encode(last).decode()
                head += f"<NextContinuationToken>{token}</NextContinuationToken>"
        else:
            head += f"<Marker>{encode(request.parameter('marker'))}</Marker>"
            if last is not None:
                head += f"<NextMarker>{encode(last.rstrip(SKIP).decode())}</NextMarker>"
        return Answer.xml("ListBucketResult", head + items)

    def _encoder(self, kind: str) -> Callable[[str], str]:
        if kind not in ("", "url"):
            raise S3Error("InvalidArgument", "Invalid Encoding Method specified in Request")
        return (lambda text: quote(text, safe="/-_.~*")) if kind else escape

    def _limit(self, text: str) -> int:
        if not text.isdigit():
            raise S3Error("InvalidArgument", "max-keys is not a number")
        return min(MAX_KEYS, int(text))

    def _after(self, request: Request, v2: bool) -> bytes:
        if not v2:
            return request.parameter("marker").encode()
        token = request.parameter("continuation-token")
        if token:
            try:
                return base64.urlsafe_b64decode(token)
            except ValueError:
                raise S3Error("InvalidArgument", "The token is not valid") from None
        return request.parameter("start-after").encode()

    def _collect(
        self, bucket: str, prefix: bytes, delimiter: bytes, after: bytes, limit: int
    ) -> tuple[list[StoredObject], list[str], bytes | None]:
        """One page, and where the next one begins; a common prefix is skipped in one step."""
        objects: list[StoredObject] = []
        prefixes: list[str] = []
        at = after
        while True:
            for stored in self._storage.scan(bucket, prefix, at):
                key = stored.key.encode()
                common = _common(key, prefix, delimiter)
                if common is not None and after.startswith(common):
                    at = common + SKIP * 8
                    break
                if len(objects) + len(prefixes) >= limit:
                    return objects, prefixes, (at if limit else None)
                if common is not None:
                    prefixes.append(common.decode())
                    at = common + SKIP * 8
                    break
                objects.append(stored)
                at = key
            else:
                return objects, prefixes, None


def _common(key: bytes, prefix: bytes, delimiter: bytes) -> bytes | None:
    if not delimiter:
        return None
    end = key.find(delimiter, len(prefix))
    return key[: end + len(delimiter)] if end >= 0 else None


def _item(stored: StoredObject, encode: Callable[[str], str]) -> str:
    return (
        f"<Contents><Key>{encode(stored.key)}</Key>"
        f"<LastModified>{iso_time(stored.modified)}</LastModified>"
        f"<ETag>&quot;{stored.etag}&quot;</ETag><Size>{stored.size}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )
