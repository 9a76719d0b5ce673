# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One append takes place exactly once, whatever happens to its answer and whoever else appends."""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import (
    AnswerLost,
    Conflict,
    DeadlineExceeded,
    KontenumError,
    OutcomeUnknown,
    ServerError,
    Throttled,
    Unsupported,
    WriterConflict,
)
from kontenumfs.store.api import Attributes, Body, ObjectInfo, Store, Written
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, Version
from kontenumfs.store.capabilities import ProvenCapabilities
from kontenumfs.store.conditional import ConditionalStore
from kontenumfs.store.proof import Verb
from kontenumfs.writing.appending import LARGE, Appender, Target
from kontenumfs.writing.copying import Copier
from kontenumfs.writing.execute import PlanRunner
from kontenumfs.writing.identity import Composer
from kontenumfs.writing.journal import Journal
from tests.doubles.fake import FakeStore
from tests.doubles.faulty import Fault, FaultyStore

LIMITS = Limits(max_appends=2, max_copy=100, min_part=40, max_part=64)
METADATA = Attributes(metadata={"own": "value"}, headers={"content-type": "text/plain"})
APPENDS = "append"


@dataclass
class Log:
    """One writer of the object `log`, as a file would be."""

    appender: Appender
    base: Belief
    shared: bool

    async def write(self, data: bytes) -> None:
        """Append, and believe what comes of it."""
        target = Target("log", self.base, self.shared, METADATA)
        self.base = await self.appender.append(target, [data])


async def ready(
    store: Store,
    *,
    base: Belief = ABSENT,
    shared: bool = True,
    journal: Journal | None = None,
    patience: float = 60.0,
    limits: Limits | None = None,
    seed: int = 0,
) -> Log:
    """A writer on `store`, whose capabilities are known already."""
    capabilities = ProvenCapabilities(store, "")
    await capabilities.get()
    conditional = ConditionalStore(store, capabilities, deadline=patience)
    journal = journal or Journal()
    runner = PlanRunner(conditional, ".kontenumfs/", journal)
    copier = Copier(
        runner, Composer(), capabilities.get, wall_ns=lambda: 0, limits=limits or Limits()
    )
    appender = Appender(
        conditional,
        journal,
        capabilities=capabilities.get,
        restart=copier.recount,
        new_key=runner.new_key,
        patience=patience,
        uniform=random.Random(seed).uniform,
    )
    return Log(appender, base, shared)


async def begun(fake: FakeStore, data: bytes) -> Version:
    """An object of `data` that is about to be appended to."""
    written = await fake.put("log", [data], METADATA)
    return Version(written.etag, len(data))


def careless(*, digest: bool = False) -> FakeStore:
    """A store that passes over conditions."""
    return FakeStore(conditions=(), digest=digest)


class Meddled(FakeStore):
    """Something else happens right before (or after) each of our appends to the log."""

    def __init__(self, *acts: Callable[["Meddled"], Awaitable[None]], **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.acts = list(acts)

    async def append(
        self,
        key: str,
        body: Body,
        *,
        expected: Belief = UNKNOWN,
        attributes: Attributes | None = None,
    ) -> Written:
        """Let the next act come first."""
        if key == "log" and self.acts:
            await self.acts.pop(0)(self)
        return await super().append(key, body, expected=expected, attributes=attributes)

    async def theirs(self, data: bytes) -> None:
        """Another host appends."""
        await FakeStore.append(self, "log", [data])


def adds(data: bytes) -> Callable[[Meddled], Awaitable[None]]:
    """Another host appends `data`."""
    return lambda store: store.theirs(data)


def loses(data: bytes, error: KontenumError) -> Callable[[Meddled], Awaitable[None]]:
    """Another host appends `data`, and our request is lost before it arrives."""

    async def act(store: Meddled) -> None:
        await store.theirs(data)
        raise error

    return act


async def deletes(store: Meddled) -> None:
    """Another host deletes the log."""
    del store.objects["log"]


async def nothing(store: Meddled) -> None:
    """Nobody comes between."""


# Lost answers


@pytest.mark.parametrize("after", [False, True], ids=["not stored", "stored"])
@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
@pytest.mark.parametrize("digest", [False, True], ids=["no digest", "digest"])
@pytest.mark.parametrize("conditions", [(), tuple(Verb)], ids=["careless", "conditional"])
@pytest.mark.parametrize(
    "error", [AnswerLost("reset"), ServerError(status=500), Throttled(code="SlowDown", status=503)]
)
async def test_one_host_on_a_bad_line_writes_each_line_once(
    error: KontenumError,
    conditions: Sequence[Verb],
    digest: bool,
    shared: bool,
    after: bool,
    autojump_clock: MockClock,
) -> None:
    """S12.3: A gateway says SlowDown after the store has done its work, too."""
    fake = FakeStore(conditions=conditions, digest=digest)
    store = FaultyStore(fake)
    log = await ready(store, base=await begun(fake, b"0\n"), shared=shared)
    for number in range(1, 6):
        store.add(Fault(APPENDS, error, after=after, key="log"))
        await log.write(b"%d\n" % number)
    assert fake.data("log") == b"0\n1\n2\n3\n4\n5\n"


async def test_anothers_line_of_the_same_length_is_not_taken_for_ours(
    autojump_clock: MockClock,
) -> None:
    """S6.4: Nobody else had been seen; the digest of that place tells whose line it is."""
    fake = Meddled(loses(b"their line\n", AnswerLost("reset")))
    log = await ready(fake, base=await begun(fake, b"a\n"))
    await log.write(b"our line 1\n")
    assert fake.data("log") == b"a\ntheir line\nour line 1\n"


async def test_our_line_is_found_before_theirs(autojump_clock: MockClock) -> None:
    """S6.4: It was stored, others have appended since, and the answer was lost."""
    fake = FakeStore()

    class Busy(FaultyStore):
        async def head(self, key: str) -> ObjectInfo:
            if key == "log" and not self.met:
                self.met = True
                await fake.append("log", [b"theirs\n"])
            return await super().head(key)

        met = False

    store = Busy(fake)
    log = await ready(store, base=await begun(fake, b"a\n"))
    store.add(Fault(APPENDS, AnswerLost("reset"), after=True, key="log"))
    await log.write(b"ours\n")
    assert fake.data("log") == b"a\nours\ntheirs\n"
    await log.write(b"more\n")
    assert fake.data("log") == b"a\nours\ntheirs\nmore\n"


async def test_two_identical_lines_and_a_lost_answer(autojump_clock: MockClock) -> None:
    """S6.6: nothing tells whose the one line is that is there; it is told as stored to both."""
    fake = Meddled(loses(b"same line\n", AnswerLost("reset")))
    log = await ready(fake, base=await begun(fake, b"a\n"))
    await log.write(b"same line\n")
    assert fake.data("log") == b"a\nsame line\n"


async def test_where_nothing_tells_whose_line_it_is_the_writer_is_told(
    autojump_clock: MockClock,
) -> None:
    """S6.5: No digests, and another host is known to append: neither doubled nor lost unheard."""
    fake = Meddled(
        adds(b"theirs 1\n"), nothing, loses(b"theirs 2\n", AnswerLost("x")), digest=False
    )
    log = await ready(fake, base=await begun(fake, b"a\n"))
    await log.write(b"ours 1\n")
    with pytest.raises(OutcomeUnknown, match="last 9 bytes"):
        await log.write(b"ours 222\n")
    assert fake.data("log") == b"a\ntheirs 1\nours 1\ntheirs 2\n"


async def test_without_conditions_our_line_is_found_wherever_it_stands(
    autojump_clock: MockClock,
) -> None:
    """Nothing bound it to one place, so the places between are looked at."""
    fake = Meddled(adds(b"of another length\n"), conditions=())
    store = FaultyStore(fake)
    log = await ready(store, base=await begun(fake, b"a\n"))
    store.add(Fault(APPENDS, AnswerLost("reset"), after=True, key="log"))
    await log.write(b"ours\n")
    assert fake.data("log") == b"a\nof another length\nours\n"


class LateStore(FakeStore):
    """The first append to the log takes effect when its sender begins to send again."""

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
        if key == "log" and not self.seen:
            self.late, self.seen = body, True
            raise DeadlineExceeded("no answer")
        if key == "log" and self.late is not None:
            late, self.late = self.late, None
            await super().append(key, late)
        return await super().append(key, body, expected=expected, attributes=attributes)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("digest", [False, True])
async def test_an_append_that_comes_late_is_not_doubled(
    shared: bool, digest: bool, autojump_clock: MockClock
) -> None:
    """It had timed out and was not there when asked for: it comes before its repetition."""
    store = LateStore(digest=digest)
    log = await ready(store, base=await begun(store, b"a"), shared=shared)
    await log.write(b"line\n")
    assert store.data("log") == b"aline\n"
    assert isinstance(log.base, Version)
    assert log.base.size == 6


async def test_a_look_that_lags_behind_doubles_nothing(autojump_clock: MockClock) -> None:
    """HEAD shows for two seconds what was true before the append whose answer was lost."""

    class Lagging(FaultyStore):
        before: ObjectInfo | None = None
        until = 0.0

        async def head(self, key: str) -> ObjectInfo:
            if key == "log" and trio.current_time() < self.until and self.before is not None:
                return self.before
            return await super().head(key)

    fake = FakeStore()
    base = await begun(fake, b"a\n")
    store = Lagging(fake)
    log = await ready(store, base=base)
    store.before, store.until = await fake.head("log"), trio.current_time() + 2
    store.add(Fault(APPENDS, AnswerLost("reset"), after=True, key="log"))
    await log.write(b"line\n")
    assert fake.data("log") == b"a\nline\n"


# Other writers


async def test_who_is_alone_with_an_object_is_told_of_another_writer(
    autojump_clock: MockClock,
) -> None:
    """S6.7: Without O_APPEND the end is where it was: theirs stays, and ours is not stored."""
    for conditions in ((), tuple(Verb)):
        fake = FakeStore(conditions=conditions)
        log = await ready(fake, base=await begun(fake, b"a"), shared=False)
        await log.write(b"b")
        await fake.put("log", [b"xy"], METADATA)  # of the same length
        with pytest.raises(WriterConflict):
            await log.write(b"c")
        assert fake.data("log") == b"xy"


async def test_a_replacement_of_the_same_length_is_not_appended_to_after_a_lost_answer(
    autojump_clock: MockClock,
) -> None:
    """S6.7: Without O_APPEND the object must be the one that was known, not one of its length."""
    fake = FakeStore()

    async def replaced(store: Meddled) -> None:
        await store.put("log", [b"X"], METADATA)
        raise AnswerLost("reset")

    fake = Meddled(replaced)
    log = await ready(fake, base=await begun(fake, b"a"), shared=False)
    with pytest.raises(WriterConflict):
        await log.write(b"b")
    assert fake.data("log") == b"X"


async def test_a_log_that_another_host_has_deleted_is_begun_anew(autojump_clock: MockClock) -> None:
    """S6.8: O_APPEND creates: neither the first line after that fails, nor one of a held
    descriptor."""
    for conditions in ((), tuple(Verb)):
        fake = FakeStore(conditions=conditions)
        log = await ready(fake, base=await begun(fake, b"old\n"))
        await log.write(b"1\n")
        del fake.objects["log"]
        await log.write(b"2\n")
        await log.write(b"3\n")
        assert fake.data("log") == b"2\n3\n"
        assert (await fake.head("log")).attributes == METADATA


@pytest.mark.parametrize("conditions", [(), tuple(Verb)], ids=["careless", "conditional"])
async def test_two_hosts_begin_one_log_at_once(
    conditions: Sequence[Verb], autojump_clock: MockClock
) -> None:
    """S6.1: Both lines are there, also where the store would let one replace the other."""
    fake = FakeStore(conditions=conditions)
    first, second = await ready(fake), await ready(fake, seed=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(first.write, b"first\n")
        nursery.start_soon(second.write, b"second\n")
    assert sorted(fake.data("log").splitlines()) == [b"first", b"second"]


@pytest.mark.parametrize("lost", [False, True])
async def test_many_hosts_append_to_one_log(lost: bool, autojump_clock: MockClock) -> None:
    """S6.1, S6.3: Each line lands once; nobody starves; only a lost answer can be an error."""
    fake = FakeStore()
    told = 0

    class Far(FaultyStore):
        """80 ms away, and every fourth answer is lost."""

        count = 0

        def __init__(self, delay: float) -> None:
            super().__init__(fake)
            self.delay = delay

        async def append(
            self,
            key: str,
            body: Body,
            *,
            expected: Belief = UNKNOWN,
            attributes: Attributes | None = None,
        ) -> Written:
            await trio.sleep(self.delay)
            written = await super().append(key, body, expected=expected, attributes=attributes)
            self.count += 1
            await trio.sleep(self.delay)
            if lost and key == "log" and self.count % 4 == 0:
                raise AnswerLost("reset")
            return written

    acknowledged: list[bytes] = []

    async def host(name: int) -> None:
        nonlocal told
        log = await ready(Far(0.04 if name == 0 else 0.002), seed=name)
        for number in range(25):
            line = b"host %d line %02d\n" % (name, number)
            try:
                await log.write(line)
                acknowledged.append(line)
            except OutcomeUnknown:
                told += 1

    async with trio.open_nursery() as nursery:
        for name in range(6):
            nursery.start_soon(host, name)
    lines = fake.data("log").splitlines(keepends=True)
    assert len(lines) == len(set(lines)), "no line stands twice"
    assert set(acknowledged) <= set(lines), "no acknowledged line is missing"
    assert lost or told == 0
    assert not fake.uploads


async def test_a_large_body_is_not_sent_again_and_again(autojump_clock: MockClock) -> None:
    """S6.3: Beside a busy host it loses one race, and is put wherever the end is."""
    fake = FakeStore()

    class Crowded(FaultyStore):
        sent = 0

        async def append(
            self,
            key: str,
            body: Body,
            *,
            expected: Belief = UNKNOWN,
            attributes: Attributes | None = None,
        ) -> Written:
            if key == "log":
                self.sent += sum(len(piece) for piece in body)
                await fake.append("log", [b"theirs\n"])
            return await super().append(key, body, expected=expected, attributes=attributes)

    store = Crowded(fake)
    log = await ready(store, base=await begun(fake, b"a"))
    body = bytes(LARGE + 1)
    await log.write(body)
    assert store.sent <= 2 * len(body)
    assert fake.data("log").count(body) == 1


async def test_nothing_is_appended_where_appends_are_not_proven(autojump_clock: MockClock) -> None:
    """S6.9: A plain S3 server would replace the object of the other host by our line."""
    fake = FakeStore(append=False, compose=False)
    log = await ready(fake)
    await fake.put("log", [b"theirs\n"], METADATA)
    with pytest.raises(Unsupported):
        await log.write(b"ours\n")
    assert fake.data("log") == b"theirs\n"


# A store in trouble


async def test_a_server_in_trouble_gets_time(autojump_clock: MockClock) -> None:
    """Errors for half a minute: the bytes arrive once, and no storm of attempts is needed."""
    fake = FakeStore()
    store = FaultyStore(fake)
    log = await ready(store, base=await begun(fake, b"a"))
    store.add(Fault(APPENDS, ServerError(status=500), count=-1))

    async def recover() -> None:
        await trio.sleep(30)
        store.clear()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(recover)
        await log.write(b"b")
    assert fake.data("log") == b"ab"
    assert trio.current_time() < 60


@pytest.mark.parametrize("verb", ["append", "head"])
async def test_one_append_takes_one_deadline(verb: str, autojump_clock: MockClock) -> None:
    """S12.2: However its requests stall: the waits do not add up."""
    fake = FakeStore()
    store = FaultyStore(fake)
    log = await ready(store, base=await begun(fake, b"a"), patience=10)
    store.add(Fault(APPENDS, AnswerLost("reset"), key="log"))
    store.add(Fault(verb, delay=1000, key="log", count=-1))
    began = trio.current_time()
    with pytest.raises(KontenumError):
        await log.write(b"b")
    assert trio.current_time() - began <= 10.5
    assert fake.data("log") == b"a"


BUSY = Conflict(code="OperationAborted", status=409)


@pytest.mark.parametrize("shared", [False, True])
async def test_a_conflict_is_asked_about_and_got_over(
    shared: bool, autojump_clock: MockClock
) -> None:
    """409: the store was busy with the object, and did nothing."""
    fake = FakeStore()
    store = FaultyStore(fake)
    log = await ready(store, base=await begun(fake, b"a"), shared=shared)
    store.add(Fault(APPENDS, BUSY, count=3))
    await log.write(b"b")
    assert fake.data("log") == b"ab"


async def test_a_conflict_may_mean_another_writer(autojump_clock: MockClock) -> None:
    """One who shares moves to the new end; one who does not is told."""
    fake = FakeStore()
    store = FaultyStore(fake)
    base = await begun(fake, b"a")
    alone = await ready(store, base=base, shared=False)
    shared = await ready(store, base=base)
    await fake.append("log", [b"theirs"])
    store.add(Fault(APPENDS, BUSY, count=2))
    with pytest.raises(WriterConflict):
        await alone.write(b"b")
    await shared.write(b"b")
    assert fake.data("log") == b"atheirsb"


async def test_a_conflict_without_end_is_told(autojump_clock: MockClock) -> None:
    """When the patience is over, in the store's own words."""
    fake = FakeStore()
    store = FaultyStore(fake)
    log = await ready(store, base=await begun(fake, b"a"), patience=10)
    store.add(Fault(APPENDS, BUSY, count=-1))
    with pytest.raises(Conflict):
        await log.write(b"b")
    assert trio.current_time() <= 20


# The store's count of appends


@pytest.mark.parametrize("size", [90, 100, 101, 1000])
async def test_appends_go_on_beyond_the_count(size: int, autojump_clock: MockClock) -> None:
    """S6.10: The object is copied onto itself, in parts where it is too large for one copy."""
    fake = FakeStore(limits=LIMITS)
    data = bytes(number % 251 for number in range(size))
    log = await ready(fake, base=await begun(fake, data), shared=False, limits=LIMITS)
    for number in range(7):
        await log.write(b"%d" % number)
    assert fake.data("log") == data + b"0123456"
    assert (await fake.head("log")).attributes == METADATA
    assert not fake.uploads


async def test_a_lost_answer_to_that_copy_changes_nothing(autojump_clock: MockClock) -> None:
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
            written = await super().copy(source, target, attributes, expected=expected)
            if source != "log":
                return written
            return await super().copy(source, target, attributes, expected=expected)

    fake = Repeating(limits=Limits(max_appends=1))
    log = await ready(fake, base=await begun(fake, b"a"), shared=False)
    for _ in range(3):
        await log.write(b"b")
    assert fake.data("log") == b"abbb"


async def test_the_last_append_that_the_count_allows_comes_late(autojump_clock: MockClock) -> None:
    """Its repetition is refused for the count, and not for the ETag."""
    fake = LateStore(conditions=(), limits=Limits(max_appends=1))
    log = await ready(fake, base=await begun(fake, b"a"))
    await log.write(b"line\n")
    assert fake.data("log") == b"aline\n"
