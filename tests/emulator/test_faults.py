# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Faults through the control endpoint, as a client meets them."""

from collections.abc import Iterator
from http.client import HTTPException, IncompleteRead

import pytest

from tests.emulator.wire import Wire
from tests.harness.emulator import BUCKET, Emulator


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
