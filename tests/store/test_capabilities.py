# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One probe for all who ask; what stayed open is asked again, and nobody waits long."""

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol import errors as e
from kontenumfs.store.capabilities import ProvenCapabilities
from kontenumfs.store.proof import CAPABLE, UNPROVEN, Capabilities, Proof, Verb
from tests.doubles.fake import FakeStore
from tests.doubles.faulty import Fault, FaultyStore


async def test_twelve_waiters_of_a_probe_that_stalls_wait_once(autojump_clock: MockClock) -> None:
    """FAULTS 5.2: with deadline=3 nobody waits longer than half of it, whatever his place."""
    store = FaultyStore(FakeStore(), Fault("*", delay=1e6, count=-1))
    capabilities = ProvenCapabilities.within(store, "", deadline=3.0)
    found: list[Capabilities] = []

    async def ask() -> None:
        found.append(await capabilities.get())

    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(ask)
    assert trio.current_time() <= 1.5
    assert [known.append for known in found] == [Proof.OPEN] * 12


async def test_all_who_wait_share_one_probe(autojump_clock: MockClock) -> None:
    fake = FakeStore()
    capabilities = ProvenCapabilities(FaultyStore(fake, Fault("*", delay=0.1, count=-1)), "")
    assert capabilities.known == UNPROVEN
    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(capabilities.get)
    once = len(fake.calls)
    assert capabilities.known == await capabilities.get() == CAPABLE
    assert len(fake.calls) == once <= 44


async def test_who_gives_up_takes_nobody_with_him(autojump_clock: MockClock) -> None:
    """The first to ask is cancelled: the next goes on, within the time that was left."""
    store = FaultyStore(FakeStore(), Fault("*", delay=0.5, count=-1))
    capabilities = ProvenCapabilities(store, "", seconds=30)

    async def impatient() -> None:
        with trio.move_on_after(1.0):
            await capabilities.get()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(impatient)
        await trio.sleep(0.2)
        nursery.start_soon(capabilities.get)
    assert capabilities.known == CAPABLE
    assert trio.current_time() <= 30


@pytest.mark.parametrize(
    "failure",
    [e.AccessDenied(status=403, code="AccessDenied"), e.Throttled(status=503), e.NotSent("x")],
    ids=repr,
)
async def test_what_stayed_open_is_asked_again(
    failure: e.KontenumError, autojump_clock: MockClock
) -> None:
    """S7.1: FAULTS 3.8: an outage during the probe turns appends off for seconds, not for the
    mount."""
    fake = FakeStore()
    store = FaultyStore(fake, Fault("*", failure, count=-1))
    capabilities = ProvenCapabilities(store, "")
    assert not (await capabilities.get()).append
    asked = len(fake.calls)
    store.clear()
    assert not (await capabilities.get()).append
    assert len(fake.calls) == asked
    await trio.sleep(6)
    assert await capabilities.get() == CAPABLE


async def test_only_what_is_open_is_asked_again(autojump_clock: MockClock) -> None:
    fake = FakeStore()
    store = FaultyStore(fake, Fault("append", e.AccessDenied(status=403), count=99))
    capabilities = ProvenCapabilities(store, "")
    known = await capabilities.get()
    assert (known.append, known.compose) == (Proof.OPEN, Proof.PROVEN)
    store.clear()
    fake.calls.clear()
    await trio.sleep(10)
    assert await capabilities.get() == CAPABLE
    assert "ComposeObject" not in {call.operation for call in fake.calls}


async def test_questions_come_more_and_more_seldom(autojump_clock: MockClock) -> None:
    fake = FakeStore()
    refusal = e.AccessDenied(status=403, code="AccessDenied")
    capabilities = ProvenCapabilities(FaultyStore(fake, Fault("*", refusal, count=-1)), "")
    rounds, before = 0, -1.0
    for _ in range(3600):
        began = trio.current_time()
        await capabilities.get()
        if trio.current_time() > began:
            rounds += 1
            before = began
        await trio.sleep(1)
    assert before > 0
    assert rounds <= 20


async def test_after_a_long_outage_questions_come_at_once(autojump_clock: MockClock) -> None:
    """However often they were put in vain: who appends or joins must not wait for minutes more."""
    store = FaultyStore(FakeStore(), Fault("*", e.NotSent("refused"), count=-1))
    capabilities = ProvenCapabilities(store, "")
    for _ in range(60):
        assert not (await capabilities.get("append")).append
        await trio.sleep(10)
    await capabilities.get("append")
    store.clear()
    await trio.sleep(6)
    assert (await capabilities.get("append")).append


async def test_what_a_request_disproves_stays_so(autojump_clock: MockClock) -> None:
    capabilities = ProvenCapabilities(FakeStore(), "")
    capabilities.disprove(Verb.PUT_MATCH)
    known = await capabilities.get()
    assert known.condition(Verb.PUT_MATCH) is Proof.DISPROVEN
    assert known.condition(Verb.PUT_ABSENT) is Proof.PROVEN
