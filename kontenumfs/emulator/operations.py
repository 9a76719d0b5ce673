# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Which S3 operation a request asks for; what is not implemented is never taken for another."""

from kontenumfs.emulator.exchange import Request

UNKNOWN = "Unknown"
WITH_BODY = frozenset({"PutObject", "AppendObject", "UploadPart"})
"""Operations whose body is streamed to disk."""

_BUCKET_GET = {
    "uploads": "ListMultipartUploads",
    "location": "GetBucketLocation",
    "versioning": "GetBucketVersioning",
    "policy": "GetBucketPolicy",
    "lifecycle": "GetBucketLifecycleConfiguration",
    "cors": "GetBucketCors",
    "tagging": "GetBucketTagging",
}
ABSENT = {
    "GetBucketPolicy": "NoSuchBucketPolicy",
    "GetBucketLifecycleConfiguration": "NoSuchLifecycleConfiguration",
    "GetBucketCors": "NoSuchCORSConfiguration",
    "GetBucketTagging": "NoSuchTagSet",
}
"""What is asked for of a bucket that never has it, and the error that says so."""

_ELSEWHERE = frozenset(
    [
        "accelerate",
        "acl",
        "analytics",
        "attributes",
        "cors",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "legal-hold",
        "lifecycle",
        "logging",
        "metadataTable",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "replication",
        "requestPayment",
        "restore",
        "retention",
        "select",
        "tagging",
        "torrent",
        "versionId",
        "versions",
        "versioning",
        "website",
        "session",
        "renameObject",
    ]
)
"""Subresources of S3 that make another operation of a request. An unknown name does not: there a
PUT is a plain PUT, as it is at AWS."""


def operation_of(request: Request) -> str:
    """The S3 name of what a request asks for, or UNKNOWN."""
    if not request.bucket:
        return "ListBuckets" if request.method == "GET" else UNKNOWN
    if not request.key:
        return _bucket_operation(request)
    if request.has("uploadId") or request.has("uploads"):
        return _multipart_operation(request)
    if any(name in _ELSEWHERE for name, _ in request.query):
        return UNKNOWN
    if request.method == "PUT":
        if request.has("append"):
            return "AppendObject"
        if request.has("compose"):
            return "ComposeObject"
        return "CopyObject" if "x-amz-copy-source" in request.headers else "PutObject"
    names = {"GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}
    return names.get(request.method, UNKNOWN)


def _bucket_operation(request: Request) -> str:
    method = request.method
    if method == "GET":
        for name, operation in _BUCKET_GET.items():
            if request.has(name):
                return operation
    if method == "POST":
        return "DeleteObjects" if request.has("delete") else "PostObject"
    if any(name in _ELSEWHERE for name, _ in request.query):
        return UNKNOWN
    if method == "GET":
        return "ListObjectsV2" if request.parameter("list-type") == "2" else "ListObjects"
    names = {"PUT": "CreateBucket", "HEAD": "HeadBucket", "DELETE": "DeleteBucket"}
    return names.get(method, UNKNOWN)


def _multipart_operation(request: Request) -> str:
    if request.method == "PUT" and request.has("partNumber"):
        copies = "x-amz-copy-source" in request.headers
        return "UploadPartCopy" if copies else "UploadPart"
    if request.method == "POST":
        return "CreateMultipartUpload" if request.has("uploads") else "CompleteMultipartUpload"
    names = {"DELETE": "AbortMultipartUpload", "GET": "ListParts"}
    return names.get(request.method, UNKNOWN)
