# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Faults hit where and as often as they are told to, before or after the effect."""

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol.errors import AnswerLost, NotSent, Throttled
from kontenumfs.store.api import Attributes
from tests.doubles.fake import FakeStore
from tests.doubles.faulty import Fault, FaultyStore


async def test_before_and_after_the_effect() -> None:
    inner = FakeStore()
    store = FaultyStore(inner, Fault("put", NotSent("x")), Fault("append", AnswerLost("x"), True))
    with pytest.raises(NotSent):
        await store.put("k", [b"1"], Attributes())
    assert inner.objects == {}
    await store.put("k", [b"1"], Attributes())
    with pytest.raises(AnswerLost):
        await store.append("k", [b"2"])
    assert inner.data("k") == b"12"
    assert store.is_spent


async def test_keys_skips_counts_and_delays(autojump_clock: MockClock) -> None:
    store = FaultyStore(FakeStore())
    store.add(Fault("*", NotSent("x"), key="a*", skip=1, count=2), Fault("put", delay=5.0))
    await store.put("b", [b"1"], Attributes())
    assert trio.current_time() == 5.0
    await store.put("a1", [b"1"], Attributes())
    for _ in range(2):
        with pytest.raises(NotSent):
            await store.head("a1")
    assert (await store.head("a1")).size == 1
    assert store.is_spent


async def test_a_late_request_takes_effect_when_it_was_given_up(autojump_clock: MockClock) -> None:
    inner = FakeStore()
    store = FaultyStore(inner, Fault("append", late=5.0))
    await store.put("k", [b"1"], Attributes())
    with pytest.raises(AnswerLost):
        await store.append("k", [b"2"])
    assert inner.data("k") == b"1"
    await trio.sleep(6)
    assert inner.data("k") == b"12"


async def test_any_answer_may_come_after_the_effect() -> None:
    inner = FakeStore()
    store = FaultyStore(inner, Fault("put", Throttled(status=503, code="SlowDown"), after=True))
    with pytest.raises(Throttled):
        await store.put("k", [b"1"], Attributes())
    assert inner.data("k") == b"1"
