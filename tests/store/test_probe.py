# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Capabilities are shown and not believed; the scratch keys are gone afterwards."""

from itertools import product

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol import errors as e
from kontenumfs.store.client import HTTPStore
from kontenumfs.store.probe import probe
from kontenumfs.store.proof import CAPABLE, Capabilities, Proof, Verb
from tests.doubles.fake import FakeStore
from tests.doubles.faulty import Fault, FaultyStore

APPEND_VERBS = (Verb.APPEND_ABSENT, Verb.APPEND_MATCH)


def proof(is_able: bool) -> Proof:
    return Proof.PROVEN if is_able else Proof.DISPROVEN


def able(
    append: bool = True, compose: bool = True, digest: bool = True, without: tuple[Verb, ...] = ()
) -> Capabilities:
    missing = set(without) if append else {*without, *APPEND_VERBS}
    conditions = {verb: proof(verb not in missing) for verb in Verb}
    return Capabilities(proof(append), proof(compose), Proof.PROVEN, proof(digest), conditions)


@pytest.mark.parametrize(("append", "compose", "digest"), list(product([True, False], repeat=3)))
async def test_what_the_store_can_do_is_found(
    append: bool, compose: bool, digest: bool, autojump_clock: MockClock
) -> None:
    store = FakeStore(append=append, compose=compose, digest=digest)
    assert await probe(store, "p/") == able(append, compose, digest)
    assert store.objects == {}
    assert store.uploads == {}
    keys = {call.key for call in store.calls if call.operation != "DeleteObjects"}
    assert all(key.startswith("p/probe-") for key in keys)


@pytest.mark.parametrize("verb", Verb, ids=lambda verb: verb.value)
async def test_each_condition_is_found_by_itself(verb: Verb, autojump_clock: MockClock) -> None:
    """S7.1."""
    without = FakeStore(conditions=set(Verb) - {verb})
    assert await probe(without, "") == able(without=(verb,))
    alone = FakeStore(conditions={verb})
    assert await probe(alone, "") == able(without=tuple(set(Verb) - {verb}))
    assert without.objects == alone.objects == {}


async def test_a_store_that_can_do_everything_is_asked_few_questions() -> None:
    store = FakeStore()
    assert await probe(store, "") == CAPABLE
    assert len(store.calls) <= 44


async def test_an_append_asks_only_what_an_append_needs() -> None:
    """The first `>>` of a mount costs few requests beside its own, and next to no bytes."""
    store = FakeStore()
    found = await probe(store, "", wanted=("append", Verb.APPEND_MATCH))
    assert found.append
    assert found.condition(Verb.APPEND_MATCH)
    assert found.compose is Proof.OPEN
    assert len(store.calls) <= 8
    assert sum(call.sent for call in store.calls) < 100


async def test_ranges_of_small_objects_may_be_refused(autojump_clock: MockClock) -> None:
    """AWS copies ranges of sources over 5 MB only: the digest is shown on a larger one."""
    found = await probe(FakeStore(min_range_source=5 * 1000 * 1000), "")
    assert (found.part_copy, found.digest) == (Proof.DISPROVEN, Proof.PROVEN)
    assert found.condition(Verb.PART_COPY_SOURCE) is Proof.PROVEN


async def test_the_emulator_can_do_everything(client: HTTPStore) -> None:
    found = await probe(client, "probe-test/")
    assert (found.append, found.compose) == (Proof.PROVEN, Proof.PROVEN)
    assert (await client.list_page("probe-test/")).objects == ()
    assert await client.list_uploads("probe-test/") == []


def coded(kind: type[e.StoreError], status: int, code: str) -> e.StoreError:
    return kind(status=status, code=code)


PASSING = [
    coded(e.InvalidRequest, 400, ""),
    coded(e.AccessDenied, 403, "AccessDenied"),
    coded(e.NotImplementedByStore, 405, ""),
    coded(e.InvalidRequest, 408, ""),
    coded(e.Conflict, 409, "OperationAborted"),
    coded(e.InvalidRequest, 411, "MissingContentLength"),
    coded(e.EntityTooLarge, 413, ""),
    coded(e.NotImplementedByStore, 501, "NotImplemented"),
    coded(e.InvalidRequest, 400, "InvalidRequest"),
    coded(e.PreconditionFailed, 412, "PreconditionFailed"),
    coded(e.ServerError, 500, "InternalError"),
    coded(e.Throttled, 503, "SlowDown"),
    e.AnswerLost("x"),
    e.NotSent("x"),
]


@pytest.mark.parametrize("skip", range(0, 36, 5))
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("passing", PASSING, ids=repr)
async def test_one_passing_failure_costs_no_ability(
    passing: e.KontenumError, after: bool, skip: int, autojump_clock: MockClock
) -> None:
    """S7.1: FAULTS 3.8: an odd answer to any one request of the probe decides nothing."""
    store = FakeStore()
    faulty = FaultyStore(store, Fault("*", passing, after=after, skip=skip))
    assert await probe(faulty, "") == CAPABLE


@pytest.mark.parametrize("verb", ["append", "compose", "put", "delete_many", "complete_multipart"])
async def test_a_request_that_hangs_is_put_again(verb: str, autojump_clock: MockClock) -> None:
    store = FakeStore()
    assert await probe(FaultyStore(store, Fault(verb, delay=1000)), "") == CAPABLE
    assert trio.current_time() < 15


@pytest.mark.parametrize(
    "refusal",
    [
        coded(e.NotImplementedByStore, 501, "NotImplemented"),
        coded(e.InvalidRequest, 400, "InvalidArgument"),
        coded(e.Conflict, 409, "ObjectNotAppendable"),
    ],
    ids=repr,
)
async def test_a_refusal_that_stays_is_a_no(
    refusal: e.StoreError, autojump_clock: MockClock
) -> None:
    store = FaultyStore(
        FakeStore(), Fault("append", refusal, count=99), Fault("compose", refusal, count=99)
    )
    assert await probe(store, "") == able(append=False, compose=False)


@pytest.mark.parametrize(
    "failure",
    [
        coded(e.AccessDenied, 403, "AccessDenied"),
        coded(e.NotImplementedByStore, 405, "MethodNotAllowed"),
        coded(e.Conflict, 409, "BucketAlreadyExists"),
        e.AnswerLost("x"),
    ],
    ids=repr,
)
async def test_what_says_nothing_leaves_it_open(
    failure: e.KontenumError, autojump_clock: MockClock
) -> None:
    inner = FakeStore()
    found = await probe(FaultyStore(inner, Fault("append", failure, count=99)), "")
    assert found.append is Proof.OPEN
    assert found.compose is Proof.PROVEN
    assert inner.objects == {}


async def test_a_store_that_refuses_every_condition_has_none(autojump_clock: MockClock) -> None:
    """rclone says 412 to an If-Match that is true."""

    class Refusing(FakeStore):
        def _check(self, key: str, condition: object, expected: object) -> None:
            if condition:
                raise e.PreconditionFailed(status=412, code="PreconditionFailed")

    found = await probe(Refusing(), "")
    assert set(found.conditions.values()) <= {Proof.DISPROVEN, Proof.OPEN}
    assert found.append is Proof.PROVEN


@pytest.mark.parametrize(
    "fault",
    [
        Fault("delete", e.AccessDenied(status=403), skip=4),
        Fault("delete", delay=60, skip=4),
    ],
)
async def test_what_may_not_be_deleted_is_told(
    fault: Fault, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    await probe(FaultyStore(FakeStore(), fault), "")
    assert "left behind" in caplog.text
    assert trio.current_time() < 15
