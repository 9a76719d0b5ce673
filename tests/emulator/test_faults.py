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
from tests.harness.mounts import wait_until

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


@pytest.mark.parametrize("op", ["PutObject", "AppendObject", "DeleteObject"])
def test_a_request_that_arrives_late(emulator: Emulator, wire: Wire, op: str) -> None:
    """Its client sees the connection break; the effect comes later, after those of others."""
    method, target, new = {
        "PutObject": ("PUT", "late", b"one"),
        "AppendObject": ("PUT", "late?append", b"twoone"),
        "DeleteObject": ("DELETE", "late", None),
    }[op]
    wire.send("PUT", "late", b"old")
    emulator.fault(op=op, key="late", late=1.0)
    emulator.mark()
    with pytest.raises((OSError, HTTPException)):
        wire.send(method, target, b"one" if new else b"")
    wire.close()
    assert [logged["status"] for logged in emulator.requests()] == [0]
    with Wire(emulator) as other:
        assert other.send("PUT", "late", b"two").status == 200
    wait_until(lambda: emulator.faults()[0]["landed"] != [])
    assert emulator.faults()[0]["landed"] == [204 if new is None else 200]
    assert (emulator.fetch("late") if emulator.exists("late") else None) == new


def test_a_late_request_of_any_size_whose_condition_does_not_hold_any_more(
    emulator: Emulator, wire: Wire
) -> None:
    """Bodies are held whole, over a connection that has gone; a message is one too."""
    etag = wire.send("PUT", "late", b"old").headers["etag"]
    for size in (0, 1, 3 << 20):
        emulator.fault(op="PutObject", key=f"late-{size}", late=0.01)
        with pytest.raises((OSError, HTTPException)):
            wire.send("PUT", f"late-{size}", b"x" * size)
        wire.close()
        wait_until(lambda: emulator.faults()[-1]["landed"] == [200])
        assert emulator.fetch(f"late-{size}") == b"x" * size
    emulator.fault(op="PutObject", key="late", late=0.01)
    with pytest.raises((OSError, HTTPException)):
        wire.send("PUT", "late", b"new", {"if-match": etag.replace('"', '"0')})
    wire.close()
    wait_until(lambda: emulator.faults()[-1]["landed"] == [412])
    assert emulator.fetch("late") == b"old"
    wire.send("PUT", "source", b"source")
    emulator.fault(op="ComposeObject", late=0.01)
    with pytest.raises((OSError, HTTPException)):
        wire.send("PUT", "late?compose", COMPOSE)
    wire.close()
    wait_until(lambda: emulator.faults()[-1]["landed"] == [200])
    assert emulator.fetch("late") == b"source"


def test_an_emulator_ends_before_what_is_late_arrives(own_emulator: Emulator) -> None:
    own_emulator.fault(op="PutObject", late=600.0)
    with Wire(own_emulator) as wire, pytest.raises((OSError, HTTPException)):
        wire.send("PUT", "late", b"x")
    own_emulator.stop()
    own_emulator.start()
    assert not own_emulator.exists("late")


PAGE = "<html>It works!</html>"


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        ({"status": 200}, 200, b""),
        ({"status": 204}, 204, b""),
        ({"status": 200, "body": PAGE, "headers": {"Content-Type": "text/html"}}, 200, PAGE),
        ({"status": 502, "body": PAGE, "headers": {"Content-Type": "text/html"}}, 502, PAGE),
        ({"status": 400, "body": "\udcff\0"}, 400, b"\xff\x00"),
        ({"status": 503, "body": ""}, 503, b""),
    ],
)
@pytest.mark.parametrize("op", ["PutObject", "HeadObject", "CompleteMultipartUpload"])
def test_an_answer_that_no_store_has_given(
    emulator: Emulator,
    wire: Wire,
    fault: dict[str, object],
    status: int,
    body: bytes | str,
    op: str,
) -> None:
    """Whatever it says, nothing was done; the connection goes on."""
    wire.send("PUT", "f", b"old")
    emulator.fault(op=op, **fault)
    target = "f?uploadId=none" if op == "CompleteMultipartUpload" else "f"
    method = {"PutObject": "PUT", "HeadObject": "HEAD"}.get(op, "POST")
    answer = wire.send(method, target, b"new" if op == "PutObject" else b"")
    expected = b"" if op == "HeadObject" else body.encode() if isinstance(body, str) else body
    assert (answer.status, answer.body) == (status, expected)
    assert answer.headers.get("content-type", "") == ("text/html" if body == PAGE else "")
    assert "etag" not in answer.headers
    assert emulator.fetch("f") == b"old"
    assert wire.send("PUT", "f", b"new").status == 200


def test_an_answer_with_headers_of_another_time(emulator: Emulator, wire: Wire) -> None:
    """A usual header can be another one, or left out."""
    told = {"Date": "Fri, 31 Dec 9999 23:59:59 GMT", "X-Amz-Request-Id": None, "ETag": None}
    emulator.fault(op="PutObject", headers=told)
    answer = wire.send("PUT", "f", b"x")
    assert (answer.status, answer.headers["date"]) == (200, told["Date"])
    assert not {"x-amz-request-id", "etag"} & answer.headers.keys()


def test_an_effect_that_is_told_as_an_error(emulator: Emulator, wire: Wire) -> None:
    """Behind an unclean gateway: done, and yet 503 with a code of S3's."""
    wire.send("PUT", "f", b"1")
    emulator.fault(op="AppendObject", status=503, code="SlowDown", after=True)
    answer = wire.send("PUT", "f?append", b"2")
    assert (answer.status, answer.code) == (503, "SlowDown")
    assert emulator.fetch("f") == b"12"
    assert wire.send("PUT", "f?append", b"3").status == 200


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "Expecting"),
        (b"[]", "a JSON object was expected"),
        (b'{"unknown": 1}', "unknown"),
        (b'{"reset": "sometimes"}', "reset is one of"),
        (b'{"every": 0}', "every is 1 or more"),
        (b'{"status": 100}', "status is that of an answer"),
        (b'{"after": true}', "go with a status"),
        (b'{"body": "x"}', "go with a status"),
        (b'{"status": 200, "body": "\\ud800"}', "surrogates"),
        (b'{"headers": {"a": "\\u2026"}}', "latin-1"),
    ],
)
def test_what_is_no_fault_is_refused(emulator: Emulator, body: bytes, told: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{emulator.control_url}/faults", data=body, timeout=10)
    with refused.value as answer:
        assert answer.code == 400
        assert told in json.loads(answer.read())["error"]
    assert emulator.faults() == []
