# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One append takes place exactly once, whatever happens to its answer."""

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import (
    AnswerLost,
    DeadlineExceeded,
    OutcomeUnknown,
    ServerError,
    WriterConflict,
)
from kontenumfs.store.api import Attributes, Body, Written
from kontenumfs.store.fake import FakeStore
from kontenumfs.store.faulty import Fault, FaultyStore
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

    async def append(self, key: str, body: Body, *, if_match: str | None = None) -> Written:
        """Keep the first one back until the second one comes."""
        if not self.seen:
            self.late, self.seen = body, True
            raise DeadlineExceeded("no answer")
        if self.late is not None:
            late, self.late = self.late, None
            await super().append(key, late)
        return await super().append(key, body, if_match=if_match)


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
            if_match: str | None = None,
        ) -> Written:
            await super().copy(source, target, attributes, if_match=if_match)
            return await super().copy(source, target, attributes, if_match=if_match)

    store = Repeating(limits=Limits(max_appends=1))
    target = await begun(store, b"a")
    for _ in range(3):
        await append_once(store, target, [b"b"], Journal())
    assert store.data("log") == b"abbb"
