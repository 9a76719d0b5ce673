# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Each attempt is signed anew; a wrong clock and a retired key pair are got over once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from kontenumfs.protocol.signing import EMPTY_SHA256, KeyPair, SigV4
from kontenumfs.store.auth import Clock, S3Auth
from kontenumfs.store.keys import KeyRing

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
ONE, TWO = KeyPair("AK1", "s1"), KeyPair("AK2", "s2")


def refusal(code: str, *, date: datetime = NOW, head: bool = False) -> httpx.Response:
    body = b"" if head else f"<Error><Code>{code}</Code></Error>".encode()
    return httpx.Response(403, headers={"date": format_datetime(date, usegmt=True)}, content=body)


class Server:
    """Answers in turn and remembers what was asked."""

    def __init__(self, *answers: httpx.Response | Callable[[httpx.Request], httpx.Response]):
        self._answers = list(answers)
        self.seen: list[httpx.Headers] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request.headers.copy())
        answer = self._answers.pop(0)
        return answer(request) if callable(answer) else answer

    def access_keys(self) -> list[str]:
        return [seen["authorization"].split("Credential=")[1][:3] for seen in self.seen]


async def send(server: Server, auth: S3Auth, method: str = "PUT") -> int:
    extensions = {"path": "/b/k", "query": (), "payload_hash": EMPTY_SHA256}
    request = httpx.Request(method, "http://h/b/k", extensions=extensions)
    async with httpx.AsyncClient(
        auth=auth, transport=httpx.MockTransport(server), trust_env=False
    ) as client:
        return (await client.send(request)).status_code


def auth_with(*pairs: KeyPair) -> tuple[S3Auth, KeyRing]:
    ring = KeyRing(pairs)
    return S3Auth(SigV4(), ring, clock=Clock(lambda: NOW)), ring


async def test_a_request_is_signed_once_and_the_secret_stays_here() -> None:
    server = Server(httpx.Response(200))
    assert await send(server, auth_with(ONE)[0]) == 200
    (seen,) = server.seen
    assert seen["x-amz-date"] == "20260504T030201Z"
    assert len(seen.get_list("authorization")) == 1
    assert "s1" not in str(seen.multi_items())


async def test_other_refusals_are_final() -> None:
    server = Server(refusal("AccessDenied"))
    assert await send(server, auth_with(ONE, TWO)[0]) == 403
    assert server.access_keys() == ["AK1"]


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch"])
async def test_the_second_pair_is_tried_once_and_kept(code: str) -> None:
    server = Server(refusal(code), httpx.Response(200), httpx.Response(200))
    auth, ring = auth_with(ONE, TWO)
    assert await send(server, auth) == 200
    assert await send(server, auth) == 200
    assert server.access_keys() == ["AK1", "AK2", "AK2"]
    assert ring.current == TWO
    assert all(len(seen.get_list("authorization")) == 1 for seen in server.seen)


async def test_two_refused_pairs_are_final_and_nothing_changes() -> None:
    server = Server(refusal("InvalidAccessKeyId"), refusal("InvalidAccessKeyId"))
    auth, ring = auth_with(ONE, TWO)
    assert await send(server, auth) == 403
    assert server.access_keys() == ["AK1", "AK2"]
    assert ring.current == ONE


@pytest.mark.parametrize(("status", "proven"), [(500, False), (302, False), (412, True)])
async def test_only_an_answer_that_proves_a_pair_makes_it_the_first(
    status: int, proven: bool
) -> None:
    server = Server(refusal("SignatureDoesNotMatch"), httpx.Response(status))
    auth, ring = auth_with(ONE, TWO)
    assert await send(server, auth) == status
    assert (ring.current == TWO) is proven


async def test_one_pair_is_not_tried_twice() -> None:
    server = Server(refusal("InvalidAccessKeyId"))
    assert await send(server, auth_with(ONE)[0]) == 403


async def test_a_head_without_a_code_tries_the_second_pair() -> None:
    server = Server(refusal("", head=True), httpx.Response(200))
    auth, ring = auth_with(ONE, TWO)
    assert await send(server, auth, "HEAD") == 200
    assert ring.current == TWO


async def test_the_clock_is_corrected_and_stays_so() -> None:
    theirs = NOW + timedelta(hours=1)
    server = Server(
        refusal("RequestTimeTooSkewed", date=theirs), httpx.Response(200), httpx.Response(200)
    )
    auth, _ = auth_with(ONE)
    assert await send(server, auth) == 200
    assert await send(server, auth) == 200
    dates = [seen["x-amz-date"] for seen in server.seen]
    assert dates == ["20260504T030201Z", "20260504T040201Z", "20260504T040201Z"]


async def test_a_head_is_corrected_by_the_date_alone() -> None:
    server = Server(refusal("", head=True, date=NOW - timedelta(hours=1)), httpx.Response(200))
    assert await send(server, auth_with(ONE)[0], "HEAD") == 200
    assert server.seen[1]["x-amz-date"] == "20260504T020201Z"


async def test_a_skew_that_the_date_does_not_show_is_final() -> None:
    server = Server(refusal("RequestTimeTooSkewed"))
    assert await send(server, auth_with(ONE)[0]) == 403


async def test_clock_and_key_may_both_be_wrong() -> None:
    theirs = NOW + timedelta(hours=1)
    server = Server(
        refusal("RequestTimeTooSkewed", date=theirs),
        refusal("InvalidAccessKeyId", date=theirs),
        httpx.Response(200),
    )
    assert await send(server, auth_with(ONE, TWO)[0]) == 200
    assert server.access_keys() == ["AK1", "AK1", "AK2"]


async def test_a_refusal_that_is_not_s3_is_final() -> None:
    server = Server(httpx.Response(403, content=b"<html>proxy"))
    assert await send(server, auth_with(ONE, TWO)[0]) == 403


@pytest.mark.parametrize(
    "said",
    [
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Tue, 01 Jan 2030 00:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Thu, 01 Jan 1970 00:00:00 -9999",
        "-1",
        "",
        "Mon, 99 Foo 99999999999 99:99:99 +99999999",
        "\udcff",
    ],
)
async def test_a_date_that_is_none_or_far_is_not_followed(said: str) -> None:
    """Nor does it raise anything, now or when the next request is signed."""
    headers = [(b"date", said.encode("utf-8", "surrogateescape"))]
    body = b"<Error><Code>RequestTimeTooSkewed</Code></Error>"
    clock = Clock(lambda: NOW)
    server = Server(
        httpx.Response(403, headers=headers, content=body),
        httpx.Response(403, headers=headers),
        httpx.Response(200, headers=headers),
    )
    auth = S3Auth(SigV4(), KeyRing((ONE,)), clock=clock)
    assert await send(server, auth) == 403
    assert await send(server, auth, "HEAD") == 403
    assert await send(server, auth) == 200
    assert {seen["x-amz-date"] for seen in server.seen} == {"20260504T030201Z"}
