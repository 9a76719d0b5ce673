# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Capabilities are shown and not believed; the scratch key is gone afterwards."""

import pytest
from trio.testing import MockClock

from kontenumfs.protocol import errors as e
from kontenumfs.store.client import HTTPStore
from kontenumfs.store.fake import FakeStore
from kontenumfs.store.faulty import Fault, FaultyStore
from kontenumfs.store.probe import STAGING_PREFIX, Capabilities, probe


@pytest.mark.parametrize("append", [True, False])
@pytest.mark.parametrize("compose", [True, False])
@pytest.mark.parametrize("conditional", [True, False])
async def test_what_the_store_can_do_is_found(
    append: bool, compose: bool, conditional: bool
) -> None:
    store = FakeStore(append=append, compose=compose, conditional=conditional)
    found = await probe(store, "p/")
    assert found == Capabilities(append, compose, append and conditional)
    assert store.objects == {}
    assert all(call.key.startswith(f"p/{STAGING_PREFIX}probe-") for call in store.calls)


async def test_the_emulator_can_do_everything(client: HTTPStore) -> None:
    assert await probe(client, "probe-test/") == Capabilities(True, True, True)
    assert (await client.list_page("probe-test/")).objects == ()


@pytest.mark.parametrize(
    "refusal",
    [
        e.NotImplementedByStore(status=501),
        e.NotImplementedByStore(status=405),
        e.InvalidRequest(status=400),
        e.Conflict(status=409),
        e.SignatureDoesNotMatch(status=403),
    ],
    ids=lambda error: f"{type(error).__name__}-{error.status}",
)
async def test_a_refusal_is_a_no(refusal: e.StoreError) -> None:
    store = FaultyStore(FakeStore(), Fault("append", refusal), Fault("compose", refusal))
    assert await probe(store, "") == Capabilities(False, False, False)


@pytest.mark.parametrize(
    "failure", [e.AccessDenied(status=403), e.Throttled(status=503), e.AnswerLost("x")]
)
async def test_what_says_nothing_is_raised_and_cleaned_up(failure: e.KontenumError) -> None:
    inner = FakeStore()
    with pytest.raises(type(failure)):
        await probe(FaultyStore(inner, Fault("append", failure)), "")
    assert inner.objects == {}


async def test_a_store_that_refuses_every_condition_has_none() -> None:
    refusals = Fault("append", e.PreconditionFailed(status=412), skip=1, count=2)
    found = await probe(FaultyStore(FakeStore(), refusals), "")
    assert found == Capabilities(True, True, False)


@pytest.mark.parametrize(
    "fault", [Fault("delete", e.AccessDenied(status=403)), Fault("delete", delay=60)]
)
async def test_what_may_not_be_deleted_is_told(
    fault: Fault, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = FakeStore()
    assert await probe(FaultyStore(store, fault), "") == Capabilities(True, True, True)
    (left,) = store.objects
    assert [record.levelname for record in caplog.records if left in record.message] == ["WARNING"]
