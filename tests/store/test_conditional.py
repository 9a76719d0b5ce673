# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Beliefs count on any store, and what was done without an answer is found out."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol import errors as e
from kontenumfs.store.api import Attributes, Body, ObjectInfo, Store, Written
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, Version, found_instead
from kontenumfs.store.capabilities import ProvenCapabilities
from kontenumfs.store.conditional import ConditionalStore
from kontenumfs.store.proof import Proof, Verb
from tests.doubles.fake import FakeStore
from tests.doubles.faulty import Fault, FaultyStore

Beds = tuple[ConditionalStore, ProvenCapabilities]
OURS = Attributes({"mtime": "1.5"})
LOST = [
    e.AnswerLost("x"),
    e.ServerError(status=502),
    e.DeadlineExceeded("x"),
    e.Throttled(status=503, code="SlowDown"),
]
"""What a request can end with that was done all the same."""


async def conditional(inner: Store, *, probed: bool = True, deadline: float = 60.0) -> Beds:
    capabilities = ProvenCapabilities.within(inner, "", deadline=deadline)
    if probed:
        await capabilities.get()
    store = ConditionalStore(
        inner, capabilities, deadline=deadline, uniform=lambda low, high: high, wall=lambda: 1e9
    )
    return store, capabilities


async def current(store: Store, key: str) -> Version:
    info = await store.head(key)
    return Version(info.etag, info.size)


@pytest.mark.parametrize("honoured", [True, False], ids=["honoured", "ignored"])
async def test_a_wrong_belief_is_refused_on_any_store(
    honoured: bool, autojump_clock: MockClock
) -> None:
    """FAULTS 1.10: a store that passes over conditions is looked at right before."""
    fake = FakeStore(conditions=list(Verb) if honoured else ())
    store, _ = await conditional(fake)
    await fake.put("there", [b"theirs"], Attributes())
    await fake.put("other", [b"1"], Attributes())
    stale, wrong_size = Version("0" * 32, 6), Version((await fake.head("there")).etag, 6)
    upload = await store.create_multipart("there", Attributes())
    parts = [await store.upload_part("there", upload, 1, [b"ours"])]
    for belief in (stale, ABSENT):
        with pytest.raises(e.PreconditionFailed) as told:
            await store.put("there", [b"ours"], OURS, expected=belief)
        assert found_instead(told.value) == wrong_size
        with pytest.raises(e.PreconditionFailed):
            await store.append("there", [b"ours"], expected=belief)
        with pytest.raises(e.PreconditionFailed):
            await store.complete_multipart("there", upload, parts, expected=belief)
        with pytest.raises(e.PreconditionFailed):
            await store.delete("there", expected=belief)
        assert await store.delete_many({"there": belief}) == {"there": "PreconditionFailed"}
    with pytest.raises(e.PreconditionFailed):
        await store.copy("there", "new", expected=stale)
    with pytest.raises(e.PreconditionFailed):
        await store.upload_part_copy("there", upload, 2, "there", first=0, last=1, expected=stale)
    assert fake.data("there") == b"theirs"
    assert "new" not in fake.objects


async def test_nothing_is_deleted_by_a_condition_that_nobody_has_proven(
    autojump_clock: MockClock,
) -> None:
    """The first request of a mount, on a store that passes over it: what is gone is gone."""
    fake = FakeStore(conditions=())
    await fake.put("there", [b"theirs"], Attributes())
    stale = Version("0" * 32, 6)
    store, _ = await conditional(fake, probed=False)
    with pytest.raises(e.PreconditionFailed):
        await store.delete("there", expected=stale)
    store, _ = await conditional(fake, probed=False)
    assert await store.delete_many({"there": stale}) == {"there": "PreconditionFailed"}
    assert fake.data("there") == b"theirs"


@pytest.mark.parametrize("honoured", [True, False], ids=["honoured", "ignored"])
async def test_what_is_gone_is_told_as_such(honoured: bool, autojump_clock: MockClock) -> None:
    fake = FakeStore(conditions=list(Verb) if honoured else ())
    store, _ = await conditional(fake)
    belief = Version("0" * 32, 6)
    upload = await store.create_multipart("gone", Attributes())
    parts = [await store.upload_part("gone", upload, 1, [b"ours"])]
    for request in (
        lambda: store.put("gone", [b"x"], OURS, expected=belief),
        lambda: store.append("gone", [b"x"], expected=belief),
        lambda: store.complete_multipart("gone", upload, parts, expected=belief),
        lambda: store.copy("gone", "new", expected=belief),
        lambda: store.upload_part_copy("x", upload, 2, "gone", first=0, last=1, expected=belief),
    ):
        with pytest.raises(e.ObjectVanished) as told:
            await request()
        assert found_instead(told.value) is ABSENT
    await store.delete("gone", expected=belief)
    assert await store.delete_many({"gone": belief}) == {}
    assert "gone" not in fake.objects


@pytest.mark.parametrize("honoured", [True, False], ids=["honoured", "ignored"])
async def test_a_true_belief_is_no_hindrance(honoured: bool, autojump_clock: MockClock) -> None:
    fake = FakeStore(conditions=list(Verb) if honoured else ())
    store, _ = await conditional(fake)
    await store.put("f", [b"1"], OURS, expected=ABSENT)
    await store.append("f", [b"2"], expected=await current(fake, "f"))
    await store.append("log", [b"a"], expected=ABSENT)
    await store.copy("f", "g", expected=await current(fake, "f"))
    upload = await store.create_multipart("f", OURS)
    parts = [
        await store.upload_part_copy(
            "f", upload, 1, "g", first=0, last=1, expected=await current(fake, "g")
        )
    ]
    await store.complete_multipart("f", upload, parts, expected=await current(fake, "f"))
    await store.put("f", [b"new"], OURS, expected=await current(fake, "f"))
    assert (fake.data("f"), fake.data("g"), fake.data("log")) == (b"new", b"12", b"a")
    await store.delete("f", expected=await current(fake, "f"))
    beliefs: dict[str, Belief] = {"g": await current(fake, "g"), "log": UNKNOWN}
    assert await store.delete_many(beliefs) == {}
    assert fake.objects == {}


@pytest.mark.parametrize("honoured", [True, False], ids=["honoured", "ignored"])
@pytest.mark.parametrize("after", [True, False], ids=["done", "not-done"])
@pytest.mark.parametrize("lost", LOST, ids=repr)
@pytest.mark.parametrize("attributes", [OURS, Attributes()], ids=["metadata", "bare"])
async def test_a_put_without_an_answer_is_told_right(
    lost: e.KontenumError,
    after: bool,
    honoured: bool,
    attributes: Attributes,
    autojump_clock: MockClock,
) -> None:
    """S7.4: Done once, however it was answered: as a new object, and over what was there."""
    fake = FakeStore(conditions=list(Verb) if honoured else ())
    faulty = FaultyStore(fake)
    store, capabilities = await conditional(faulty)
    faulty.add(Fault("put", lost, after=after))
    written = await store.put("f", [b"ours"], attributes, expected=ABSENT)
    assert (written.etag, fake.data("f")) == ((await fake.head("f")).etag, b"ours")
    faulty.add(Fault("put", lost, after=after))
    before = Version(written.etag, 4)
    await store.put("f", [b"again"], Attributes({"mtime": "2"}), expected=before)
    assert fake.data("f") == b"again"
    assert capabilities.known.condition(Verb.PUT_MATCH) is (
        Proof.PROVEN if honoured else Proof.DISPROVEN
    )


@pytest.mark.parametrize("honoured", [True, False], ids=["honoured", "ignored"])
@pytest.mark.parametrize("after", [True, False], ids=["done", "not-done"])
@pytest.mark.parametrize("lost", LOST, ids=repr)
async def test_a_complete_without_an_answer_is_told_right(
    lost: e.KontenumError, after: bool, honoured: bool, autojump_clock: MockClock
) -> None:
    """S7.4."""
    fake = FakeStore(conditions=list(Verb) if honoured else (), digest=False)
    faulty = FaultyStore(fake)
    store, _ = await conditional(faulty)
    await fake.put("source", [b"ours"], Attributes())
    upload = await store.create_multipart("f", OURS)
    parts = [await store.upload_part_copy("f", upload, 1, "source", first=0, last=3)]
    faulty.add(Fault("complete_multipart", lost, after=after))
    written = await store.complete_multipart("f", upload, parts, expected=ABSENT)
    assert (written.etag, fake.data("f")) == ((await fake.head("f")).etag, b"ours")


@pytest.mark.parametrize("after", [True, False], ids=["done", "not-done"])
@pytest.mark.parametrize("lost", LOST, ids=repr)
async def test_a_delete_without_an_answer_is_told_right(
    lost: e.KontenumError, after: bool, autojump_clock: MockClock
) -> None:
    """S7.4."""
    fake = FakeStore()
    faulty = FaultyStore(fake)
    store, _ = await conditional(faulty)
    await fake.put("f", [b"1"], Attributes())
    faulty.add(Fault("delete", lost, after=after))
    await store.delete("f", expected=await current(fake, "f"))
    assert "f" not in fake.objects


async def test_another_host_has_made_the_same_lock_file(autojump_clock: MockClock) -> None:
    """S7.3: The same bytes at the same time: the answer was lost, and the file is theirs."""
    fake = FakeStore()
    faulty = FaultyStore(fake)
    store, _ = await conditional(faulty)
    faulty.add(Fault("put", e.AnswerLost("x")))
    await fake.put("lock", [b""], Attributes({"mtime": "1.4999"}))
    with pytest.raises(e.PreconditionFailed):
        await store.put("lock", [b""], OURS, expected=ABSENT)


@pytest.mark.parametrize("honoured", [True, False], ids=["honoured", "ignored"])
async def test_a_repetition_meets_its_own_success(
    honoured: bool, autojump_clock: MockClock
) -> None:
    """The first one comes late, so that a look shows nothing and the second one is refused."""
    fake = FakeStore(conditions=list(Verb) if honoured else ())
    faulty = FaultyStore(fake)
    store, _ = await conditional(faulty)
    faulty.add(Fault("put", late=0.05))
    await store.put("f", [b"ours"], OURS, expected=ABSENT)
    assert fake.data("f") == b"ours"


@pytest.mark.parametrize("verb", ["put", "delete"])
async def test_what_comes_late_does_no_harm(verb: str, autojump_clock: MockClock) -> None:
    """S7.5: FAULTS 1.14: a request that arrives after its answer was given up, and after other
    news."""
    fake = FakeStore()
    faulty = FaultyStore(fake)
    store, _ = await conditional(faulty)
    await fake.put("f", [b"old"], Attributes())
    faulty.add(Fault(verb, late=30))
    if verb == "put":
        await store.put("f", [b"ours"], OURS, expected=await current(fake, "f"))
    else:
        await store.delete("f", expected=await current(fake, "f"))
    await fake.put("f", [b"news"], Attributes())
    await trio.sleep(60)
    assert fake.data("f") == b"news"


REFUSALS: list[e.StoreError] = [
    e.PreconditionFailed(status=412),
    e.NotImplementedByStore(status=501, code="NotImplemented"),
    e.InvalidRequest(status=400, code="InvalidArgument"),
]


class Refusing(FakeStore):
    """A store that refuses all conditions of PutObject; its scratch keys may be denied too."""

    def __init__(self, refusal: e.StoreError, denied: bool = False) -> None:
        super().__init__()
        self.refusal = refusal
        self.denied = denied

    async def put(
        self, key: str, body: Body, attributes: Attributes, *, expected: Belief = UNKNOWN
    ) -> Written:
        if self.denied and key.startswith(".kontenumfs/"):
            raise e.AccessDenied(status=403, code="AccessDenied")
        if expected is not UNKNOWN:
            raise self.refusal
        return await super().put(key, body, attributes)


@pytest.mark.parametrize("denied", [False, True], ids=["probed", "probe-denied"])
@pytest.mark.parametrize("refusal", REFUSALS, ids=repr)
async def test_a_server_that_refuses_every_condition_is_found_out(
    refusal: e.StoreError, denied: bool, autojump_clock: MockClock
) -> None:
    """Where a look shows the refusal to be false: it is looked before each write from then on."""
    fake = Refusing(refusal, denied)
    store, capabilities = await conditional(fake, probed=False)
    await store.put("f", [b"ours"], OURS, expected=ABSENT)
    assert fake.data("f") == b"ours"
    assert capabilities.known.condition(Verb.PUT_ABSENT) is Proof.DISPROVEN
    with pytest.raises(e.PreconditionFailed):
        await store.put("f", [b"more"], OURS, expected=ABSENT)


async def test_a_look_that_is_out_of_date_overwrites_nothing(autojump_clock: MockClock) -> None:
    """A HEAD that lags two seconds makes a true refusal appear false."""

    class Lagging(FakeStore):
        async def head(self, key: str) -> ObjectInfo:
            if trio.current_time() < 2 and not key.startswith(".kontenumfs/"):
                raise e.NoSuchKey(status=404, code="NoSuchKey")
            return await super().head(key)

    fake = Lagging()
    store, _ = await conditional(fake, probed=False)
    await fake.put("f", [b"theirs"], Attributes())
    with pytest.raises(e.PreconditionFailed):
        await store.put("f", [b"ours"], OURS, expected=ABSENT)
    assert fake.data("f") == b"theirs"


async def test_a_belief_without_an_etag_is_looked_at(autojump_clock: MockClock) -> None:
    """No condition can say it: some servers give no ETag."""
    fake = FakeStore()
    store, _ = await conditional(fake)
    await fake.put("f", [b"theirs"], Attributes())
    with pytest.raises(e.PreconditionFailed):
        await store.put("f", [b"ours"], OURS, expected=Version("", 1))
    await store.put("f", [b"ours"], OURS, expected=Version("", 6))
    assert fake.data("f") == b"ours"


async def test_one_odd_refusal_disproves_nothing(autojump_clock: MockClock) -> None:
    for refusal in REFUSALS:
        fake = FakeStore()
        store, capabilities = await conditional(
            FaultyStore(fake, Fault("*", refusal, key="f"), Fault("delete_many", refusal)),
            probed=False,
        )
        if isinstance(refusal, e.PreconditionFailed):
            await store.put("f", [b"ours"], OURS, expected=ABSENT)
        else:
            # The condition is proven to be known, so it is the request that was refused.
            with pytest.raises(type(refusal)):
                await store.put("f", [b"ours"], OURS, expected=ABSENT)
        await fake.put("g", [b"1"], Attributes())
        if not isinstance(refusal, e.PreconditionFailed):
            assert await store.delete_many({"g": await current(fake, "g")}) == {}
        assert Proof.DISPROVEN not in capabilities.known.conditions.values()


async def test_a_request_that_met_another_is_sent_again(autojump_clock: MockClock) -> None:
    """409 ConditionalRequestConflict asks for that, but not for ever."""
    fake = FakeStore()
    faulty = FaultyStore(fake)
    store, _ = await conditional(faulty, deadline=20.0)
    met = e.Conflict(status=409, code="ConditionalRequestConflict")
    faulty.add(Fault("put", met, count=3))
    await store.put("f", [b"ours"], OURS, expected=ABSENT)
    faulty.add(Fault("put", met, count=10**6))
    began = trio.current_time()
    with pytest.raises(e.Conflict):
        await store.put("g", [b"ours"], OURS, expected=ABSENT)
    assert trio.current_time() - began <= 20.0


@pytest.mark.parametrize("verb", ["put", "delete", "complete_multipart", "append", "head"])
async def test_a_store_that_hangs_costs_one_deadline(verb: str, autojump_clock: MockClock) -> None:
    """S12.2: FAULTS 5.3: the question after a lost answer is within the deadline too."""
    fake = FakeStore()
    faulty = FaultyStore(fake)
    store, _ = await conditional(faulty, deadline=10.0)
    await fake.put("f", [b"1"], Attributes())
    belief = await current(fake, "f")
    upload = await store.create_multipart("f", OURS)
    parts = [await store.upload_part("f", upload, 1, [b"22"])]
    faulty.add(Fault(verb, delay=1e6, count=-1), Fault("put", e.AnswerLost("x")))
    requests: dict[str, Callable[[], Awaitable[object]]] = {
        "put": lambda: store.put("f", [b"22"], OURS, expected=belief),
        "head": lambda: store.put("f", [b"22"], OURS, expected=belief),
        "append": lambda: store.append("f", [b"22"], expected=belief),
        "delete": lambda: store.delete("f", expected=belief),
        "complete_multipart": lambda: store.complete_multipart("f", upload, parts, expected=belief),
    }
    began = trio.current_time()
    with pytest.raises(e.TransportError):
        await requests[verb]()
    assert trio.current_time() - began <= 10.0


async def test_append_and_compose_reach_no_store_that_would_replace(
    autojump_clock: MockClock,
) -> None:
    """S6.9: FAULTS 1.9 and 2.1: whoever calls them, the probe stands before."""
    fake = FakeStore(append=False, compose=False)
    await fake.put("f", [b"theirs"], Attributes())
    store, _ = await conditional(fake, probed=False)
    with pytest.raises(e.NotImplementedByStore):
        await store.append("f", [b"tail"])
    with pytest.raises(e.NotImplementedByStore):
        await store.append("f", [b"tail"], expected=await current(fake, "f"))
    with pytest.raises(e.NotImplementedByStore):
        await store.compose("f", ["f", "f"], Attributes())
    assert fake.data("f") == b"theirs"


@pytest.mark.parametrize("lost", LOST, ids=repr)
async def test_an_upload_whose_id_was_lost_is_aborted(
    lost: e.KontenumError, autojump_clock: MockClock
) -> None:
    """FAULTS 2.7; uploads of other keys, older ones and our own others stay."""
    seconds = 1e9
    fake = FakeStore(now=lambda: seconds + trio.current_time())
    faulty = FaultyStore(fake)
    store, _ = await conditional(faulty)
    older = await fake.create_multipart("f", Attributes())
    await trio.sleep(100)
    own = await store.create_multipart("f", OURS)
    longer = await fake.create_multipart("f2", Attributes())
    faulty.add(Fault("create_multipart", lost, after=True, count=2))
    upload = await store.create_multipart("f", OURS)
    assert set(fake.uploads) == {older, own, longer, upload}
