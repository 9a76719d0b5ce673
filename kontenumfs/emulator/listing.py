# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""ListObjects, both versions, and the verbs on buckets."""

import base64
import re
from collections.abc import Callable, Iterable
from typing import AnyStr

from kontenumfs.emulator.answers import Answer, iso_time, text, url_text
from kontenumfs.emulator.errors import S3Error
from kontenumfs.emulator.exchange import Request
from kontenumfs.emulator.storage import Storage, StoredObject

MAX_KEYS = 1000
OWNER = "<Owner><ID>kontenum</ID><DisplayName>kontenum</DisplayName></Owner>"
SKIP = b"\xff"
"""A byte that UTF-8 never has: behind a common prefix, it sorts behind all of its keys."""


class Buckets:
    """The verbs on buckets of one storage."""

    def __init__(self, storage: Storage, region: str) -> None:
        self._storage = storage
        self._region = region

    def list_buckets(self) -> Answer:
        """ListBuckets."""
        items = "".join(
            f"<Bucket><Name>{name}</Name><CreationDate>{iso_time(created)}</CreationDate></Bucket>"
            for name, created in self._storage.buckets()
        )
        return Answer.xml("ListAllMyBucketsResult", f"{OWNER}<Buckets>{items}</Buckets>")

    def create(self, request: Request) -> Answer:
        """CreateBucket."""
        if not is_bucket_name(request.bucket):
            raise S3Error("InvalidBucketName", BucketName=request.bucket)
        if not self._storage.create_bucket(request.bucket):
            raise S3Error("BucketAlreadyOwnedByYou", BucketName=request.bucket)
        return Answer(headers={"location": f"/{request.bucket}"})

    def delete(self, request: Request) -> Answer:
        """DeleteBucket; with force_delete=true all that is in it goes too."""
        force = request.parameter("force_delete") == "true"
        if not force and next(self._storage.scan(request.bucket, b"", b""), None) is not None:
            raise S3Error("BucketNotEmpty", BucketName=request.bucket)
        self._storage.delete_bucket(request.bucket)
        return Answer(204)

    def head(self) -> Answer:
        """HeadBucket."""
        return Answer(headers={"x-amz-bucket-region": self._region})

    def location(self) -> Answer:
        """GetBucketLocation: us-east-1 is the empty one, as at AWS."""
        shown = "" if self._region == "us-east-1" else self._region
        return Answer.xml("LocationConstraint", shown)

    def versioning(self) -> Answer:
        """GetBucketVersioning: never on."""
        return Answer.xml("VersioningConfiguration", "")

    def list_objects(self, request: Request) -> Answer:
        """ListObjects (v1) and ListObjectsV2."""
        v2 = request.parameter("list-type") == "2"
        encode = encoder(request)
        limit = min(MAX_KEYS, request.number("max-keys", MAX_KEYS))
        prefix, delimiter = request.parameter("prefix"), request.parameter("delimiter")
        objects, prefixes, last = self._collect(
            request.bucket, prefix.encode(), delimiter.encode(), self._after(request, v2), limit
        )
        head = {
            "Name": request.bucket,
            "Prefix": encode(prefix),
            "MaxKeys": str(limit),
            "IsTruncated": str(last is not None).lower(),
            "Delimiter": encode(delimiter),
            "EncodingType": request.parameter("encoding-type"),
        }
        if v2:
            head["KeyCount"] = str(len(objects) + len(prefixes))
            head["StartAfter"] = encode(request.parameter("start-after"))
            head["ContinuationToken"] = text(request.parameter("continuation-token"))
            if last is not None:
                head["NextContinuationToken"] = base64.urlsafe_b64encode(last).decode()
        elif last is not None and delimiter:
            head["NextMarker"] = encode(last.rstrip(SKIP).decode())
        needed = ("Name", "Prefix") if v2 else ("Name", "Prefix", "Marker")
        if not v2:
            head["Marker"] = encode(request.parameter("marker"))
        with_owner = not v2 or request.parameter("fetch-owner") == "true"
        return Answer.xml(
            "ListBucketResult",
            elements(head, needed)
            + "".join(_item(stored, encode, OWNER if with_owner else "") for stored in objects)
            + common_prefixes(prefixes, encode),
        )

    def _after(self, request: Request, v2: bool) -> bytes:
        if not v2:
            return request.parameter("marker").encode()
        token = request.parameter("continuation-token")
        if token:
            try:
                return base64.b64decode(token, altchars=b"-_", validate=True)
            except ValueError:
                raise S3Error(
                    "InvalidArgument", "The continuation token provided is incorrect"
                ) from None
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
                common = common_prefix(key, prefix, delimiter)
                if common is not None and after.startswith(common):
                    at = common + SKIP
                    break
                if len(objects) + len(prefixes) >= limit:
                    return objects, prefixes, (at if limit else None)
                if common is not None:
                    prefixes.append(common.decode())
                    at = common + SKIP
                    break
                objects.append(stored)
                at = key
            else:
                return objects, prefixes, None


def is_bucket_name(name: str) -> bool:
    """AWS's rule for names of buckets; they are case-insensitive host names, but no addresses."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name) or ".." in name:
        return False
    return re.fullmatch(r"\d+\.\d+\.\d+\.\d+", name) is None


def common_prefix(key: AnyStr, prefix: AnyStr, delimiter: AnyStr) -> AnyStr | None:
    """What a listing shows instead of a key with the delimiter behind the prefix, or None."""
    if not delimiter:
        return None
    end = key.find(delimiter, len(prefix))
    return key[: end + len(delimiter)] if end >= 0 else None


def encoder(request: Request) -> Callable[[str], str]:
    """How keys are written in this listing; raises S3Error."""
    kind = request.parameter("encoding-type")
    if kind not in ("", "url"):
        raise S3Error("InvalidArgument", "Invalid Encoding Method specified in Request")
    return url_text if kind else text


def elements(fields: dict[str, str], needed: tuple[str, ...] = ()) -> str:
    """XML elements; the empty ones only where they are `needed`."""
    return "".join(
        f"<{name}>{value}</{name}>" for name, value in fields.items() if value or name in needed
    )


def common_prefixes(prefixes: Iterable[str], encode: Callable[[str], str]) -> str:
    """The end of every listing with a delimiter."""
    return "".join(
        f"<CommonPrefixes><Prefix>{encode(prefix)}</Prefix></CommonPrefixes>" for prefix in prefixes
    )


def _item(stored: StoredObject, encode: Callable[[str], str], owner: str) -> str:
    return (
        f"<Contents><Key>{encode(stored.key)}</Key>"
        f"<LastModified>{iso_time(stored.modified)}</LastModified>"
        f"<ETag>&quot;{stored.etag}&quot;</ETag><Size>{stored.size}</Size>{owner}"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )
