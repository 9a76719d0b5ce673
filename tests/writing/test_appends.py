# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One append takes place exactly once, whatever happens to its answer."""

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import (
    AnswerLost,
    Conflict,
    DeadlineExceeded,
    OutcomeUnknown,
    ServerError,
    WriterConflict,
)
from kontenumfs.store.api import Attributes, Body, ObjectInfo, Written
from kontenumfs.store.beliefs import UNKNOWN, Belief
from kontenumfs.store.fake import FakeStore
from kontenumfs.store.faulty import Fault, FaultyStore
from kontenumfs.store.proof import Verb
from kontenumfs.writing.journal import Journal
from kontenumfs.writing.upload import Target, append_once

LIMITS = Limits(max_appends=2, max_copy=100, min_part=40, max_part=64)
METADATA = Attributes(metadata={"own": "value"}, headers={"content-type": "text/plain"})


async def begun(store: FakeStore, data: bytes, *, shared: bool = False) -> Target:
    """An object of `data` that is about to be appended to."""
    written = await store.put("log", [data], METADATA)
    return Target("log", len(data), written.etag, shared, conditional=True)


async def test_a_server_in_trouble_gets_time(autojump_clock: MockClock) -> None:
    """Errors for half a minute: the bytes arrive once, and no storm of attempts is needed."""
    store = FakeStore()
    target = await begun(store, b"a")
    faulty = FaultyStore(store)

    async def recover() -> None:
        await trio.sleep(30)
        faulty.clear()

    faulty.add(Fault("append", ServerError(status=500), count=-1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recover)
        await append_once(faulty, target, [b"b"], Journal())
    assert store.data("log") == b"ab"
    assert trio.current_time() < 60


async def test_patience_ends(autojump_clock: MockClock) -> None:
    """A server that never recovers: the store's own words, when the patience is over."""
    store = FakeStore()
    target = await begun(store, b"a")
    faulty = FaultyStore(store, Fault("append", ServerError(status=500), count=-1))
    with pytest.raises(ServerError):
        await append_once(faulty, target, [b"b"], Journal(), patience=10)
    assert trio.current_time() <= 10
    assert store.data("log") == b"a"


class LateStore(FakeStore):
    """The first append takes effect when its sender has asked and begins to send again."""

    late: Body | None = None
    seen = False

    async def append(
        self,
        key: str,
        body: Body,
        *,
        expected: Belief = UNKNOWN,
        attributes: Attributes | None = None,
    ) -> Written:
        """Keep the first one back until the second one comes."""
        if not self.seen:
            self.late, self.seen = body, True
            raise DeadlineExceeded("no answer")
        if self.late is not None:
            late, self.late = self.late, None
            await super().append(key, late)
        return await super().append(key, body, expected=expected)


@pytest.mark.parametrize("shared", [False, True])
async def test_an_append_that_comes_late_is_not_doubled(
    shared: bool, autojump_clock: MockClock
) -> None:
    """It had timed out and was not there when asked for: it comes before its repetition."""
    store = LateStore()
    target = await begun(store, b"a", shared=shared)
    await append_once(store, target, [b"line\n"], Journal())
    assert store.data("log") == b"aline\n"
    assert target.size == 6


@pytest.mark.parametrize("shared", [False, True])
async def test_what_cannot_be_decided_is_told(shared: bool, autojump_clock: MockClock) -> None:
    """An answer is lost while another writer adds bytes of its own."""
    store = FakeStore()
    target = await begun(store, b"a", shared=shared)
    await store.append("log", [b"another's"])
    target.etag = ""
    faulty = FaultyStore(store, Fault("append", AnswerLost("reset"), after=True))
    with pytest.raises(OutcomeUnknown if shared else WriterConflict):
        await append_once(faulty, target, [b"mine"], Journal())
    assert store.data("log").count(b"mine") == 1


class Rival(FakeStore):
    """Another host adds a line of the same length, and our first append never arrives."""

    arrived = False

    async def append(
        self,
        key: str,
        body: Body,
        *,
        expected: Belief = UNKNOWN,
        attributes: Attributes | None = None,
    ) -> Written:
        """Lose the first one of ours."""
        if not self.arrived:
            self.arrived = True
            await super().append(key, [b"their line\n"])
            raise AnswerLost("reset")
        return await super().append(key, body, expected=expected)


@pytest.mark.parametrize("conditional", [False, True])
async def test_anothers_line_of_the_same_length_is_not_taken_for_ours(
    conditional: bool, autojump_clock: MockClock
) -> None:
    """Where others append too, the length decides nothing: neither doubled nor lost unheard."""
    store = Rival(conditions=list(Verb) if conditional else ())
    target = await begun(store, b"a", shared=True)
    target.conditional, target.contested = conditional, True
    with pytest.raises(OutcomeUnknown, match="last 11 bytes"):
        await append_once(store, target, [b"our line 1\n"], Journal())
    assert store.data("log") == b"atheir line\n"


async def test_whoever_was_met_at_the_end_is_remembered(autojump_clock: MockClock) -> None:
    """The store's 412 shows another host; an answer lost after that cannot be decided."""
    store = FakeStore()
    target = await begun(store, b"a", shared=True)
    await store.append("log", [b"theirs\n"])
    faulty = FaultyStore(store, Fault("append", AnswerLost("reset"), after=True, skip=1))
    with pytest.raises(OutcomeUnknown):
        await append_once(faulty, target, [b"mine\n"], Journal())
    assert target.contested
    assert store.data("log") == b"atheirs\nmine\n"


@pytest.mark.parametrize("conditional", [False, True])
async def test_one_host_on_a_bad_line_does_not_fail(
    conditional: bool, autojump_clock: MockClock
) -> None:
    """Every other answer is lost, before or after the effect."""
    store = FakeStore(conditions=list(Verb) if conditional else ())
    target = await begun(store, b"", shared=True)
    target.conditional = conditional
    journal = Journal()
    for number in range(8):
        lost = Fault("append", AnswerLost("reset"), after=number % 2 == 0)
        await append_once(FaultyStore(store, lost), target, [b"%d\n" % number], journal)
    assert store.data("log") == b"".join(b"%d\n" % number for number in range(8))
    assert (journal.resolved, journal.repeated) == (4, 4)


async def test_a_late_append_is_seen_before_it_is_repeated(autojump_clock: MockClock) -> None:
    """Without If-Match nothing else would refuse the one that comes while we wait."""

    class Late(LateStore):
        asked = 0

        async def head(self, key: str) -> ObjectInfo:
            self.asked += 1
            if self.asked == 2 and self.late is not None:
                late, self.late = self.late, None
                await FakeStore.append(self, key, late)
            return await super().head(key)

    store = Late(conditions=())
    target = await begun(store, b"a", shared=True)
    target.conditional = False
    await append_once(store, target, [b"line\n"], Journal())
    assert store.data("log") == b"aline\n"


async def test_the_last_append_that_the_count_allows_comes_late(autojump_clock: MockClock) -> None:
    """Its repetition is refused for the count, and not for the ETag."""
    store = LateStore(conditions=(), limits=Limits(max_appends=1))
    target = await begun(store, b"a", shared=True)
    target.conditional = False
    await append_once(store, target, [b"line\n"], Journal())
    assert store.data("log") == b"aline\n"


BUSY = Conflict(code="ConditionalRequestConflict", status=409)


@pytest.mark.parametrize("shared", [False, True])
async def test_a_conflict_is_asked_about_and_got_over(
    shared: bool, autojump_clock: MockClock
) -> None:
    """409: the store was busy with the object, and did nothing."""
    store = FakeStore()
    target = await begun(store, b"a", shared=shared)
    faulty = FaultyStore(store, Fault("append", BUSY, count=3))
    await append_once(faulty, target, [b"b"], Journal())
    assert store.data("log") == b"ab"
    assert trio.current_time() > 0


async def test_a_conflict_may_mean_another_writer(autojump_clock: MockClock) -> None:
    """One who shares moves to the new end; one who does not is told."""
    store = FakeStore()
    alone, shared = await begun(store, b"a"), await begun(store, b"a", shared=True)
    await store.append("log", [b"theirs"])
    with pytest.raises(WriterConflict):
        await append_once(FaultyStore(store, Fault("append", BUSY)), alone, [b"b"], Journal())
    await append_once(FaultyStore(store, Fault("append", BUSY)), shared, [b"b"], Journal())
    assert store.data("log") == b"atheirsb"


async def test_a_conflict_without_end_is_told(autojump_clock: MockClock) -> None:
    """When the patience is over, in the store's own words."""
    store = FakeStore()
    target = await begun(store, b"a")
    faulty = FaultyStore(store, Fault("append", BUSY, count=-1))
    with pytest.raises(Conflict):
        await append_once(faulty, target, [b"b"], Journal(), patience=10)
    assert trio.current_time() <= 10


@pytest.mark.parametrize("size", [90, 100, 101, 1000])
async def test_appends_go_on_beyond_the_count(size: int, autojump_clock: MockClock) -> None:
    """The object is copied onto itself, in parts where it is too large for one copy."""
    store = FakeStore(limits=LIMITS)
    data = bytes(number % 251 for number in range(size))
    target = await begun(store, data)
    for number in range(7):
        await append_once(store, target, [b"%d" % number], Journal(), limits=LIMITS)
    assert store.data("log") == data + b"0123456"
    assert (await store.head("log")).attributes == METADATA
    assert not store.uploads


async def test_another_writer_during_a_copy_in_parts_loses_nothing(
    autojump_clock: MockClock,
) -> None:
    """The upload is dropped, and what both have appended is there."""
    store = FakeStore(limits=LIMITS)
    target = await begun(store, bytes(300), shared=True)
    for _ in range(2):
        await append_once(store, target, [b"mine"], Journal(), limits=LIMITS)

    class Racing(FaultyStore):
        raced = False

        async def create_multipart(self, key: str, attributes: Attributes) -> str:
            made = await super().create_multipart(key, attributes)
            if not self.raced:
                self.raced = True
                copied = await store.head(key)
                store.objects[key].data += b"theirs"
                store.objects[key].etag = copied.etag + "-theirs"
            return made

    await append_once(Racing(store), target, [b"mine"], Journal(), limits=LIMITS)
    assert store.data("log") == bytes(300) + b"minemine" + b"theirs" + b"mine"
    assert not store.uploads


async def test_a_lost_answer_to_the_copy_changes_nothing(autojump_clock: MockClock) -> None:
    """It took place, and its repetition finds another ETag than the one it asks for."""

    class Repeating(FakeStore):
        async def copy(
            self,
            source: str,
            target: str,
            attributes: Attributes | None = None,
            *,
            expected: Belief = UNKNOWN,
        ) -> Written:
            await super().copy(source, target, attributes, expected=expected)
            return await super().copy(source, target, attributes, expected=expected)

    store = Repeating(limits=Limits(max_appends=1))
    target = await begun(store, b"a")
    for _ in range(3):
        await append_once(store, target, [b"b"], Journal())
    assert store.data("log") == b"abbb"
