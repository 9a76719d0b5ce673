# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Faults through the control endpoint, as a client meets them."""

import threading
from collections.abc import Iterator
from http.client import HTTPException, IncompleteRead
from itertools import pairwise
from pathlib import Path

import pytest

from tests.emulator.wire import Wire
from tests.harness.emulator import BUCKET, Emulator, running_emulator


@pytest.fixture(autouse=True)
def no_faults_left(emulator: Emulator) -> Iterator[None]:
    """Faults end with their test."""
    yield
    emulator.clear_faults()


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


@pytest.mark.parametrize(("reset", "kept"), [("before", b"old"), ("after", b"new")])
def test_a_lost_answer(emulator: Emulator, wire: Wire, reset: str, kept: bytes) -> None:
    wire.send("PUT", "lost", b"old")
    emulator.fault(op="PutObject", key="lost", reset=reset)
    with pytest.raises((OSError, HTTPException)):
        wire.send("PUT", "lost", b"new")
    wire.close()
    assert emulator.fetch("lost") == kept
    assert wire.send("PUT", "lost", b"newer").status == 200


def test_a_truncated_answer(emulator: Emulator, wire: Wire) -> None:
    """Less arrives than Content-Length says."""
    wire.send("PUT", "f")
    emulator.fault(op="ListObjectsV2", reset="answer-truncated")
    with pytest.raises(IncompleteRead):
        wire.send("GET", f"/{BUCKET}?list-type=2")
    wire.close()
    assert wire.send("GET", f"/{BUCKET}?list-type=2").status == 200


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


def test_latency_is_that_of_each_request(tmp_path: Path) -> None:
    with running_emulator(tmp_path, "--latency", "50ms") as emulator, Wire(emulator) as wire:
        for _ in range(4):
            wire.send("PUT", "f")
        times = [request["time"] for request in emulator.requests() if request["op"] == "PutObject"]
    # The time is that of the arrival, and each was sent after the last one's answer.
    assert all(later - earlier >= 0.05 for earlier, later in pairwise(times))
    assert len(times) == 4
