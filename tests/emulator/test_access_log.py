# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The access log, by which everything else is counted: its keys, names and numbers."""

import base64
import hashlib
import time
from urllib.parse import quote, unquote

import pytest

from tests.emulator.signers import V2, V4
from tests.emulator.wire import Prepared, Wire
from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator

KEYS = (
    "time",
    "op",
    "bucket",
    "key",
    "query",
    "request_bytes",
    "response_bytes",
    "status",
    "user_agent",
)
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
    assert tuple(line) == KEYS
    assert (line["op"], line["status"]) == (operation, answer.status)
    assert (line["request_bytes"], line["response_bytes"]) == (len(body), len(answer.body))
    assert line["user_agent"] == "test/1"
    assert before - 1 <= line["time"] <= time.time() + 1
    path = logged.target(target).partition("?")[0].strip("/")
    assert "/".join(filter(None, (line["bucket"], line["key"]))) == path


@pytest.mark.parametrize(
    ("operation", "method", "target"),
    [
        ("GetObject", "GET", "f"),
        ("PostObject", "POST", f"/{BUCKET}"),
        ("CompleteMultipartUpload", "POST", "m?uploadId=none"),
        ("UploadPart", "PUT", "m?partNumber=1&uploadId=none"),
        ("GetBucketPolicy", "GET", f"/{BUCKET}?policy"),
        ("Unknown", "GET", f"/{BUCKET}?acl"),
        ("Unknown", "PUT", "f?tagging"),
        ("Unknown", "PATCH", "f"),
    ],
)
def test_what_is_refused_is_logged_too(
    emulator: Emulator,
    logged: Wire,
    operation: str,
    method: str,
    target: str,
) -> None:
    """GetObject among it, which is disabled: by its line a test sees that no mount reads."""
    answer = logged.send(method, target)
    (line,) = emulator.requests()
    assert (line["op"], line["status"]) == (operation, answer.status)
    assert answer.status >= 400
    assert line["response_bytes"] == len(answer.body) > 0


@pytest.mark.parametrize("method", ["PUT", "HEAD", "DELETE"])
@pytest.mark.parametrize("path", ["/%FF/key", f"/{BUCKET}/%FF", "/%FF"])
def test_names_that_are_no_text_are_refused(wire: Wire, method: str, path: str) -> None:
    """And not an error of the server's."""
    assert wire.send(method, path).status == 400


def test_names_are_decoded(emulator: Emulator, logged: Wire) -> None:
    """Keys and queries stand in the log as the program meant them."""
    logged.send("PUT", f"{quote('a ü+%')}?append&x-id=App%20end", b"x")
    (line,) = emulator.requests()
    assert (line["bucket"], line["key"]) == (BUCKET, "a ü+%")
    assert line["query"] == {"append": "", "x-id": "App end"}


@pytest.mark.parametrize("payload", [None, "0" * 64])
def test_large_bodies_are_counted_whole(
    emulator: Emulator, logged: Wire, payload: str | None
) -> None:
    """The refused one too."""
    body = bytes(3_000_000)
    logged.send("PUT", "f", body, payload=payload)
    (line,) = emulator.requests()
    assert line["request_bytes"] == len(body)


def test_no_line_has_a_secret(emulator: Emulator, logged: Wire) -> None:
    """Neither a key's secret nor a signature with which a reader could repeat a request."""
    host, target = {"host": logged.host}, logged.target("f")
    until = int(time.time()) + 60
    for request, signature in (
        (Prepared("PUT", V4(ACCESS, SECRET).in_query("PUT", target, host, 60), host), "X-Amz-"),
        (Prepared("PUT", V2(ACCESS, SECRET).in_query("PUT", target, host, until), host), ""),
    ):
        assert logged.exchange(request).status == 200
        query = emulator.requests()[-1]["query"]
        assert query[f"{signature}Signature"] == "-"
        assert unquote(request.target.rpartition("=")[2]) not in str(query)
    plain = Prepared("PUT", target, host | {"authorization": f"{ACCESS}:{SECRET}"})
    assert logged.exchange(plain).status == 200
    assert SECRET not in str(emulator.requests())
