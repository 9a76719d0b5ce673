# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Signatures that must not pass, each beside the one that does; the tests sign for themselves."""

import base64
import hashlib
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.emulator.signers import UNSIGNED, V2, V4, checksum, now
from tests.emulator.wire import Prepared, Wire
from tests.harness.emulator import ACCESS, SECRET, Emulator

BODY = b"some content"


@pytest.fixture
def untouched(emulator: Emulator, wire: Wire) -> Iterator[str]:
    """A key whose object must be the old one after the test."""
    assert wire.send("PUT", "untouched", b"old").status == 200
    yield "untouched"
    assert emulator.fetch("untouched") == b"old"


def v4(wire: Wire, minutes: float) -> V4:
    """A signer whose clock is off."""
    return V4(ACCESS, SECRET, when=now() + timedelta(minutes=minutes))


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_off_by_more_than_15_minutes(
    wire: Wire, untouched: str, minutes: int
) -> None:
    """Both ways of signing in headers; 14 minutes pass."""
    for off, code in ((minutes, "RequestTimeTooSkewed"), (minutes * 14 / 16, "")):
        key = untouched if code else "skewed"
        assert wire.exchange(wire.prepare("PUT", key, signer=v4(wire, off))).code == code
        old = V2(ACCESS, SECRET, when=now() + timedelta(minutes=off))
        target = wire.target(key)
        headers = old.in_header("PUT", target, {"host": wire.host})
        assert wire.exchange(Prepared("PUT", target, headers)).code == code


@pytest.mark.parametrize("said", ["", "yesterday", "20260101", "99999999T999999Z"])
def test_a_date_that_is_none(wire: Wire, untouched: str, said: str) -> None:
    request = wire.prepare("PUT", untouched)
    request.headers["x-amz-date"] = said
    assert wire.exchange(request).code == "AccessDenied"
    target = wire.target(untouched)
    headers = V2(ACCESS, SECRET).in_header("PUT", target, {"date": said or "-"})
    assert wire.exchange(Prepared("PUT", target, headers)).code == "AccessDenied"


def test_a_presigned_url_of_sigv4(wire: Wire, untouched: str) -> None:
    """It lives for X-Amz-Expires seconds, a week at most, and for its method and key alone."""
    target, host = wire.target(untouched), {"host": wire.host}

    def code(minutes: float, expires: object, method: str = "PUT") -> str:
        signed = v4(wire, minutes).in_query("PUT", target, host, expires)
        return wire.exchange(Prepared(method, signed, host)).code

    assert code(-2, 60) == code(16, 60) == "AccessDenied"
    for expires in (0, -1, 604801, "soon"):
        assert code(0, expires) == "AuthorizationQueryParametersError"
    assert code(0, 60, "DELETE") == "SignatureDoesNotMatch"
    good = wire.target("presigned")
    signed = v4(wire, -1).in_query("PUT", good, host, 120)
    assert wire.exchange(Prepared("PUT", signed, host)).status == 200
    other = signed.replace("/presigned", f"/{untouched}")
    assert wire.exchange(Prepared("PUT", other, host)).code == "SignatureDoesNotMatch"


def test_a_presigned_url_of_sigv2(wire: Wire, untouched: str) -> None:
    host, then = {"host": wire.host}, int(time.time()) + 60
    old = V2(ACCESS, SECRET)
    for expires in (then - 120, "soon"):
        signed = old.in_query("PUT", wire.target(untouched), host, expires)
        assert wire.exchange(Prepared("PUT", signed, host)).code == "AccessDenied"
    signed = old.in_query("PUT", wire.target("presigned"), host, then)
    assert wire.exchange(Prepared("PUT", signed, host)).status == 200
    for spoilt in (
        signed.replace(f"={then}", f"={then + 1}"),
        signed.replace("/presigned", f"/{untouched}"),
    ):
        assert wire.exchange(Prepared("PUT", spoilt, host)).code == "SignatureDoesNotMatch"


def test_a_body_that_is_not_the_one_announced(wire: Wire, untouched: str) -> None:
    """By the signed digest, by Content-MD5 and by a checksum."""
    digest = hashlib.sha256(b"another").hexdigest()
    assert wire.send("PUT", untouched, BODY, payload=digest).code == "XAmzContentSHA256Mismatch"
    md5 = base64.b64encode(hashlib.md5(b"another", usedforsecurity=False).digest()).decode()
    assert wire.send("PUT", untouched, BODY, {"content-md5": md5}).code == "BadDigest"
    assert wire.send("PUT", untouched, BODY, {"content-md5": "short"}).code == "InvalidDigest"
    for name in ("crc32", "crc32c", "crc64nvme", "sha1", "sha256"):
        wrong = {f"x-amz-checksum-{name}": checksum(name, b"another")}
        assert wire.send("PUT", untouched, BODY, wrong).status == 400
        right = {f"x-amz-checksum-{name}": checksum(name, BODY)}
        assert wire.send("PUT", "right", BODY, right, payload=UNSIGNED).status == 200


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (f"{ACCESS}:{SECRET}", ""),
        (f"{ACCESS}:{SECRET}x", "SignatureDoesNotMatch"),
        (f"{ACCESS}:", "SignatureDoesNotMatch"),
        (f"other:{SECRET}", "InvalidAccessKeyId"),
        (ACCESS, "InvalidArgument"),
        ("Bearer a:b", "InvalidArgument"),
    ],
)
def test_the_plain_pair(wire: Wire, untouched: str, said: str, code: str) -> None:
    target = wire.target(untouched if code else "plain")
    assert wire.exchange(Prepared("PUT", target, {"authorization": said})).code == code
