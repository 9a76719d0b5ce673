# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The CDN side: GET and HEAD with Range, and nothing else."""

import hashlib
from http.client import HTTPConnection

import pytest

from tests.emulator.wire import Answer, Wire
from tests.harness.emulator import BUCKET, Emulator

BODY = bytes(range(200))


def ask(emulator: Emulator, method: str, key: str, wanted: str = "") -> Answer:
    """One request without keys."""
    connection = HTTPConnection(emulator.cdn_url.removeprefix("http://"), timeout=30)
    headers = {"range": wanted} if wanted else {}
    try:
        connection.request(method, f"/{BUCKET}/{key}", headers=headers)
        answer = connection.getresponse()
        shown = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, shown, answer.read())
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("wanted", "status", "part", "told"),
    [
        ("", 200, BODY, None),
        ("bytes=0-9", 206, BODY[:10], "bytes 0-9/200"),
        ("bytes=190-", 206, BODY[190:], "bytes 190-199/200"),
        ("bytes=190-500", 206, BODY[190:], "bytes 190-199/200"),
        ("bytes=-5", 206, BODY[-5:], "bytes 195-199/200"),
        ("bytes=-500", 206, BODY, "bytes 0-199/200"),
        ("bytes=200-", 416, b"", "bytes */200"),
        ("bytes=-0", 416, b"", "bytes */200"),
        ("bytes=9-0", 200, BODY, None),
        ("lines=0-9", 200, BODY, None),
    ],
)
def test_ranges(
    emulator: Emulator, wire: Wire, wanted: str, status: int, part: bytes, told: str | None
) -> None:
    """HEAD says what GET does, without the body."""
    wire.send("PUT", "ranged", BODY, {"content-type": "image/x-own"})
    for method in ("GET", "HEAD"):
        answer = ask(emulator, method, "ranged", wanted)
        assert (answer.status, answer.headers.get("content-range")) == (status, told)
        assert answer.body == (part if method == "GET" else b"")
        assert answer.headers["content-length"] == str(len(part))
        if status != 416:
            assert answer.headers["content-type"] == "image/x-own"
            etag = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
            assert answer.headers["etag"] == f'"{etag}"'


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_but_get_and_head(emulator: Emulator, wire: Wire, method: str) -> None:
    wire.send("PUT", "kept", BODY)
    answer = ask(emulator, method, "kept")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert emulator.fetch("kept") == BODY
    assert ask(emulator, "GET", "missing").status == 404
