# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Kontenum's extensions of S3 on the wire, and the limits, in one place.

The vendor documents that `append`, `compose` and `force_delete=true` exist and are signed; the
formats were chosen (docs/protocol.md says from what), so that a difference found against the real
service is a change here and nowhere else.
"""

from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40

APPEND = (("append", ""),)
"""The query of ``PUT /bucket/key?append``: add the body to the object's end."""
COMPOSE = (("compose", ""),)
"""The query of ``PUT /bucket/key?compose``: make the object of other objects."""
FORCE_DELETE = (("force_delete", "true"),)
"""The query of ``DELETE /bucket?force_delete=true``: the bucket with all that is in it."""

MAX_APPENDS = 1023
MAX_COMPONENTS = 32
MIN_PART = 5 * MIB
MAX_PART = 5 * GIB
MAX_PARTS = 10_000
MAX_COPY = 5 * GIB
MAX_PUT = 5 * GIB
MAX_OBJECT = 5 * TIB
MAX_KEY_BYTES = 1024
MAX_DELETE_MANY = 1000

SMALL_ANSWER = 64 * 1024
LARGE_ANSWER = 8 * MIB
"""A page of a thousand of the longest keys, every byte escaped, has half of it."""
LARGE_ANSWERS = frozenset({"ListObjectsV2", "ListMultipartUploads", "ListBuckets", "DeleteObjects"})


def longest_answer(operation: str) -> int:
    """Bytes that the body of a good answer can have."""
    return LARGE_ANSWER if operation in LARGE_ANSWERS else SMALL_ANSWER


SYSTEM_HEADERS = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    }
)
"""The headers that S3 keeps with an object (AWS, PutObject)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the store refuses to go beyond; sizes in bytes. Tests make them small."""

    max_appends: int = MAX_APPENDS
    max_components: int = MAX_COMPONENTS
    min_part: int = MIN_PART
    max_part: int = MAX_PART
    max_parts: int = MAX_PARTS
    max_copy: int = MAX_COPY
    max_put: int = MAX_PUT
    max_object: int = MAX_OBJECT


SUBRESOURCES_V2 = frozenset(
    [
        "accelerate",
        "acl",
        "analytics",
        "cors",
        "delete",
        "encryption",
        "inventory",
        "lifecycle",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "partNumber",
        "policy",
        "replication",
        "requestPayment",
        "restore",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
        "append",
        "compose",
        "force_delete",
    ]
)
"""Query names that SigV2 signs: AWS's list (RESTAuthentication.html), and Kontenum's three."""
