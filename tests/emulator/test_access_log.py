# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The access log, by which everything else is counted: its keys, names and numbers."""

import base64
import hashlib
import time

import pytest

from tests.emulator.wire import Prepared, Wire
from tests.harness.emulator import BUCKET, Emulator

KEYS = {
    "time",
    "op",
    "bucket",
    "key",
    "query",
    "request_bytes",
    "response_bytes",
    "status",
    "user_agent",
}
COPY = {"x-amz-copy-source": f"/{BUCKET}/f"}
COMPOSE = b"<ComposeRequest><Component><Name>f</Name></Component></ComposeRequest>"
DELETE = b"<Delete><Object><Key>gone</Key></Object></Delete>"

DIGEST = {
    "content-md5": base64.b64encode(hashlib.md5(DELETE, usedforsecurity=False).digest()).decode()
}


@pytest.fixture
def logged(emulator: Emulator, wire: Wire) -> Wire:
    """A connection whose requests are counted, to a bucket with an object `f`."""
    wire.send("PUT", "f", b"content")
    emulator.mark()
    return wire


@pytest.mark.parametrize(
    ("operation", "method", "target", "headers", "body"),
    [
        ("ListBuckets", "GET", "/", {}, b""),
        ("CreateBucket", "PUT", "/another", {}, b""),
        ("HeadBucket", "HEAD", "/another", {}, b""),
        ("DeleteBucket", "DELETE", "/another?force_delete=true", {}, b""),
        ("GetBucketLocation", "GET", f"/{BUCKET}?location", {}, b""),
        ("ListObjects", "GET", f"/{BUCKET}?prefix=f", {}, b""),
        ("ListObjectsV2", "GET", f"/{BUCKET}?list-type=2&prefix=f", {}, b""),
        ("ListMultipartUploads", "GET", f"/{BUCKET}?uploads", {}, b""),
        ("DeleteObjects", "POST", f"/{BUCKET}?delete", DIGEST, DELETE),
        ("PutObject", "PUT", "f", {}, b"content"),
        ("AppendObject", "PUT", "f?append", {}, b"more"),
        ("ComposeObject", "PUT", "g?compose", {}, COMPOSE),
        ("CopyObject", "PUT", "h", COPY, b""),
        ("HeadObject", "HEAD", "f", {}, b""),
        ("DeleteObject", "DELETE", "h", {}, b""),
        ("CreateMultipartUpload", "POST", "m?uploads", {}, b""),
        ("UploadPart", "PUT", "m?partNumber=1&uploadId=UPLOAD", {}, b"part"),
        ("UploadPartCopy", "PUT", "m?partNumber=2&uploadId=UPLOAD", COPY, b""),
        ("ListParts", "GET", "m?uploadId=UPLOAD", {}, b""),
        ("AbortMultipartUpload", "DELETE", "m?uploadId=UPLOAD", {}, b""),
    ],
)
def test_operations_have_their_names(
    emulator: Emulator,
    logged: Wire,
    operation: str,
    method: str,
    target: str,
    headers: dict[str, str],
    body: bytes,
) -> None:
    """Each line says what was asked for, and how many bytes went either way."""
    if "UPLOAD" in target:
        upload = logged.send("POST", "m?uploads").element("UploadId")
        target = target.replace("UPLOAD", upload)
        emulator.mark()
    before = time.time()
    answer = logged.send(method, target, body, headers | {"user-agent": "test/1"})
    assert answer.status < 300 or operation in ("HeadBucket", "DeleteBucket")
    (line,) = emulator.requests()
    assert set(line) == KEYS
    assert (line["op"], line["status"]) == (operation, answer.status)
    assert (line["request_bytes"], line["response_bytes"]) == (len(body), len(answer.body))
    assert line["user_agent"] == "test/1"
    assert before - 1 <= line["time"] <= time.time() + 1
    path = logged.target(target).partition("?")[0].strip("/")
    assert "/".join(filter(None, (line["bucket"], line["key"]))) == path


def test_what_failed_is_logged_too(emulator: Emulator, logged: Wire) -> None:
    """GetObject, which is disabled, and a request of nobody's; no line has a signature."""
    assert logged.send("GET", "f").status == 403
    url = logged.signer().in_query("PUT", logged.target("f"), {"host": logged.host}, 60)
    refused, signed = emulator.requests()[0], url.rpartition("=")[2]
    assert (refused["op"], refused["status"]) == ("GetObject", 403)
    assert refused["response_bytes"] > 0
    emulator.mark()
    logged.exchange(Prepared("PUT", url, {"host": logged.host}, b""))
    (line,) = emulator.requests()
    assert line["status"] == 200
    assert signed not in str(line)
