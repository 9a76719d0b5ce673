# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Faults through the control endpoint, as a client meets them."""

import json
import re
import threading
import urllib.error
import urllib.request
from http.client import HTTPException, IncompleteRead
from itertools import pairwise
from pathlib import Path

import pytest

from tests.emulator.signers import checksum
from tests.emulator.wire import Wire
from tests.harness.emulator import BUCKET, Emulator, running_emulator

COMPOSE = b"<ComposeRequest><Component><Name>source</Name></Component></ComposeRequest>"
DELETE = b"<Delete><Object><Key>lost</Key></Object></Delete>"
SHA_OF_DELETE = {"x-amz-checksum-sha256": checksum("sha256", DELETE)}


def test_the_next_n_and_every_pth(emulator: Emulator, wire: Wire) -> None:
    """Only requests of the operation and the key count."""
    emulator.fault(op="PutObject", key="f*", count=2, status=503, code="SlowDown")
    assert wire.send("PUT", "other").status == wire.send("PUT", "f?append").status == 200
    assert [wire.send("PUT", "f").code for _ in range(3)] == ["SlowDown", "SlowDown", ""]
    emulator.clear_faults()
    emulator.fault(op="PutObject", every=3, status=500, headers={"Retry-After": "7"})
    answers = [wire.send("PUT", "f") for _ in range(6)]
    assert [answer.status for answer in answers] == [200, 200, 500] * 2
    assert answers[2].headers["retry-after"] == "7"


@pytest.mark.parametrize("reset", ["before", "after"])
@pytest.mark.parametrize(
    ("op", "method", "target", "body", "headers", "new"),
    [
        ("PutObject", "PUT", "lost", b"new", {}, b"new"),
        ("AppendObject", "PUT", "lost?append", b" and new", {}, b"old and new"),
        ("ComposeObject", "PUT", "lost?compose", COMPOSE, {}, b"source"),
        ("CopyObject", "PUT", "lost", b"", {"x-amz-copy-source": f"{BUCKET}/source"}, b"source"),
        ("DeleteObject", "DELETE", "lost", b"", {}, None),
        ("DeleteObjects", "POST", f"/{BUCKET}?delete", DELETE, SHA_OF_DELETE, None),
    ],
    ids=lambda value: value if isinstance(value, str) and value[0].isupper() else "",
)
def test_a_lost_answer(
    emulator: Emulator,
    wire: Wire,
    reset: str,
    op: str,
    method: str,
    target: str,
    body: bytes,
    headers: dict[str, str],
    new: bytes | None,
) -> None:
    """The connection breaks before or after the effect, and that is what the object shows."""
    wire.send("PUT", "lost", b"old")
    wire.send("PUT", "source", b"source")
    emulator.fault(op=op, reset=reset)
    emulator.mark()
    with pytest.raises((OSError, HTTPException)):
        wire.send(method, target, body, headers)
    wire.close()
    expected = b"old" if reset == "before" else new
    assert (emulator.fetch("lost") if emulator.exists("lost") else None) == expected
    (logged,) = emulator.requests()
    assert (logged["op"], logged["response_bytes"]) == (op, 0)
    assert logged["status"] // 100 == (0 if reset == "before" else 2)
    assert wire.send("PUT", "lost", b"newer").status == 200


def test_a_lost_answer_of_an_upload(emulator: Emulator, wire: Wire) -> None:
    """The part is there, and so is the object of the upload that the client never heard of."""
    upload = wire.send("POST", "lost?uploads").element("UploadId")
    part = f"lost?partNumber=1&uploadId={upload}"
    for reset, kept in (("before", ""), ("after", "3")):
        emulator.fault(op="UploadPart", reset=reset)
        with pytest.raises((OSError, HTTPException)):
            wire.send("PUT", part, b"new")
        wire.close()
        assert wire.send("GET", f"lost?uploadId={upload}").element("Size") == kept
    etag = wire.send("PUT", part, b"new").headers["etag"]
    wanted = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{wanted}</CompleteMultipartUpload>".encode()
    wire.send("DELETE", "lost")
    for reset, there in (("before", False), ("after", True)):
        emulator.fault(op="CompleteMultipartUpload", reset=reset)
        with pytest.raises((OSError, HTTPException)):
            wire.send("POST", f"lost?uploadId={upload}", body)
        wire.close()
        assert emulator.exists("lost") is there


def test_a_truncated_answer(emulator: Emulator, wire: Wire) -> None:
    """Less arrives than Content-Length says."""
    wire.send("PUT", "f")
    emulator.fault(op="ListObjectsV2", reset="answer-truncated")
    with pytest.raises(IncompleteRead):
        wire.send("GET", f"/{BUCKET}?list-type=2")
    wire.close()
    assert wire.send("GET", f"/{BUCKET}?list-type=2").status == 200


def test_a_truncated_answer_without_a_body(emulator: Emulator, wire: Wire) -> None:
    """Half of the head arrives, and the effect has taken place."""
    emulator.fault(op="PutObject", reset="answer-truncated")
    request = wire.prepare("PUT", "f", b"new")
    with wire.plain_socket() as raw:
        raw.sendall(request.head(3) + b"new")
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\n\r\n" not in answer
    assert emulator.fetch("f") == b"new"


def test_a_wrong_etag(emulator: Emulator, wire: Wire) -> None:
    true = wire.send("PUT", "f", b"x").headers["etag"]
    emulator.fault(op="PutObject", etag="wrong")
    assert wire.send("PUT", "f", b"x").headers["etag"] == '"wrong"'
    assert wire.send("HEAD", "f").headers["etag"] == true


@pytest.mark.parametrize("fault", ["delay", "delay_body"])
def test_a_delay_holds_up_one_request_alone(emulator: Emulator, wire: Wire, fault: str) -> None:
    """Others are answered meanwhile; the delayed one is right, only late."""
    wire.send("PUT", "slow/f")
    emulator.fault(op="ListObjectsV2", key="", count=1, **{fault: 3})
    ended: list[str] = []

    def list_slowly() -> None:
        with Wire(emulator) as other:
            answer = other.send("GET", f"/{BUCKET}?list-type=2&prefix=slow/")
            ended.append(answer.element("Key"))

    slow = threading.Thread(target=list_slowly)
    slow.start()
    while emulator.faults()[0]["count"]:
        assert slow.is_alive()
    assert wire.send("GET", f"/{BUCKET}?list-type=2&prefix=slow/").element("Key") == "slow/f"
    ended.append("the other")
    slow.join()
    assert ended == ["the other", "slow/f"]


def test_a_delay_in_the_middle_of_the_answer(own_emulator: Emulator) -> None:
    """Half of the body comes, and the rest only after it."""
    with Wire(own_emulator) as wire:
        wire.send("PUT", "f")
        own_emulator.fault(op="ListObjectsV2", delay_body=600.0)
        with wire.plain_socket() as raw:
            raw.sendall(wire.prepare("GET", f"/{BUCKET}?list-type=2").head(0))
            answer = b""
            while b"\r\n\r\n<" not in answer:
                answer += raw.recv(4096)
            raw.settimeout(0.2)
            with pytest.raises(TimeoutError):
                answer += raw.recv(4096)
        head, _, half = answer.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: ([0-9]+)", head)
        assert length is not None
        assert len(half) == int(length[1]) // 2
        own_emulator.kill()


def test_latency_is_that_of_each_request(tmp_path: Path) -> None:
    with running_emulator(tmp_path, "--latency", "50ms") as emulator, Wire(emulator) as wire:
        for _ in range(4):
            wire.send("PUT", "f")
        times = [request["time"] for request in emulator.requests() if request["op"] == "PutObject"]
    # The time is that of the arrival, and each was sent after the last one's answer.
    assert all(later - earlier >= 0.05 for earlier, later in pairwise(times))
    assert len(times) == 4


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "Expecting"),
        (b"[]", "a JSON object was expected"),
        (b'{"unknown": 1}', "unknown"),
        (b'{"reset": "sometimes"}', "reset is one of"),
        (b'{"every": 0}', "every is 1 or more"),
        (b'{"status": 200}', "status is that of an error"),
    ],
)
def test_what_is_no_fault_is_refused(emulator: Emulator, body: bytes, told: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{emulator.control_url}/faults", data=body, timeout=10)
    with refused.value as answer:
        assert answer.code == 400
        assert told in json.loads(answer.read())["error"]
    assert emulator.faults() == []
