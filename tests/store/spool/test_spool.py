# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What a program sees of a spool, and what the store gets of it, whatever happens in between."""

import random
from pathlib import Path

import pytest
import trio

from kontenumfs.protocol import errors as e
from kontenumfs.store import settling
from kontenumfs.store.api import Attributes, Store
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, Version
from kontenumfs.store.capabilities import ProvenCapabilities
from kontenumfs.store.conditional import ConditionalStore
from kontenumfs.store.spool import runner
from kontenumfs.store.spool.spool import Spool
from kontenumfs.store.spool.store import SpoolStore
from tests.doubles.fake import FakeStore
from tests.doubles.faulty import Fault, FaultyStore
from tests.store.spool.harness import SIZE, drained, open_spool, sending

MODE = Attributes({"mode": "33188"}, {"content-type": "text/plain"})


async def conditional(inner: Store, prover: Store) -> ConditionalStore:
    """The store that a spool is put around."""
    capabilities = ProvenCapabilities(prover, "outside/")
    await capabilities.get()
    return ConditionalStore(inner, capabilities, deadline=30)


class World:
    """A store in memory, and the spools that are opened around it one after another."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.fake = FakeStore("bucket")
        self.inner: Store = self.fake
        self.spool: Spool
        self.store: SpoolStore

    async def mount(self, *, size: int = SIZE, deadline: float = 30.0) -> None:
        """Open the spool as a new daemon does."""
        store = await conditional(self.inner, self.fake)
        self.fake.calls.clear()
        self.spool = open_spool(store, self.place, size=size, deadline=deadline)
        self.store = SpoolStore(self.spool)

    async def crash(self) -> None:
        """The daemon is killed, and started again."""
        self.spool.close()
        await self.mount()

    def requests(self) -> list[str]:
        """What the store was asked for."""
        return [call.operation for call in self.fake.calls]


@pytest.fixture
async def world(tmp_path: Path) -> World:
    """A mount with a spool."""
    world = World(tmp_path / "spool")
    await world.mount()
    return world


async def test_what_was_acknowledged_is_seen_at_once_and_after_a_crash(world: World) -> None:
    await world.store.put("d/a", [b"12345"], MODE, expected=ABSENT)
    await world.store.put("d/b", [b"1"], MODE)
    await world.store.delete("d/b")
    for _ in range(2):
        info = await world.store.head("d/a")
        assert (info.size, info.attributes) == (5, MODE)
        with pytest.raises(e.NoSuchKey):
            await world.store.head("d/b")
        page = await world.store.list_page("d/")
        assert [item.key for item in page.objects] == ["d/a"]
        assert world.fake.objects == {}
        await world.crash()
    assert await drained(world.spool) == 0
    assert world.fake.data("d/a") == b"12345"
    await world.crash()
    assert world.spool.found == 0


async def test_an_etag_stays_the_same_when_its_object_is_stored(world: World) -> None:
    written = await world.store.put("x", [b"1"], MODE)
    before = await world.store.head("x")
    assert await drained(world.spool) == 0
    after = await world.store.head("x")
    (listed,) = (await world.store.list_page()).objects
    assert {written.etag, before.etag, after.etag, listed.etag} == {written.etag}
    await world.store.append("x", [b"2"], expected=Version(written.etag, 1))
    with pytest.raises(e.PreconditionFailed):
        await world.store.append("x", [b"3"], expected=Version(written.etag, 1))
    assert await drained(world.spool) == 0
    assert world.fake.data("x") == b"12"


async def test_a_belief_in_what_is_queued_is_judged_at_once(world: World) -> None:
    await world.store.put("x", [b"1"], MODE, expected=ABSENT)
    with pytest.raises(e.PreconditionFailed) as refused:
        await world.store.put("x", [b"2"], MODE, expected=ABSENT)
    assert refused.value.found is not None
    await world.store.delete("x")
    await world.store.put("x", [b"3"], MODE, expected=ABSENT)
    with pytest.raises(e.NoSuchKey):
        await world.store.copy("missing", "y")


async def test_another_hosts_change_is_never_replaced(world: World) -> None:
    await world.store.put("x", [b"ours"], MODE, expected=ABSENT)
    await world.store.put("beside", [b"1"], MODE, expected=ABSENT)
    await world.fake.put("x", [b"theirs"], Attributes())
    assert await drained(world.spool) == 1
    assert world.fake.data("x") == b"theirs"
    (parked,) = world.spool.queue.parked
    assert "conflict" in parked.parked
    with pytest.raises(e.Parked):
        await world.store.put("x", [b"more"], MODE)
    await world.crash()
    (parked,) = world.spool.queue.parked
    assert b"".join(await world.spool.export("x")) == b"ours"
    assert await world.spool.drop("x") == 1
    await world.crash()
    assert world.spool.found == 0


async def test_what_is_parked_goes_when_it_is_retried(world: World) -> None:
    await world.store.put("x", [b"ours"], MODE, expected=ABSENT)
    await world.fake.put("x", [b"theirs"], Attributes())
    assert await drained(world.spool) == 1
    await world.fake.delete("x")
    assert await world.spool.retry() == 1
    assert await drained(world.spool) == 0
    assert world.fake.data("x") == b"ours"


async def test_sync_returns_when_it_is_stored_and_tells_why_it_is_not(world: World) -> None:
    await world.store.put("x", [b"1"], MODE)
    await world.store.put("taken", [b"1"], MODE, expected=ABSENT)
    await world.fake.put("taken", [b"theirs"], Attributes())
    async with sending(world.spool):
        await world.spool.sync("x")
        assert world.fake.data("x") == b"1"
        with pytest.raises((e.PreconditionFailed, e.Parked)):
            await world.spool.sync("taken")


async def test_a_tree_that_is_copied_and_removed_before_it_was_sent_costs_nothing(
    world: World,
) -> None:
    for number in range(100):
        await world.store.put(f"d/{number}", [b"x"], MODE, expected=ABSENT)
    for number in range(100):
        await world.store.delete(f"d/{number}")
    assert await drained(world.spool) == 0
    assert world.requests() == []


async def test_removing_a_hundred_objects_is_one_request(world: World) -> None:
    for number in range(100):
        await world.store.put(f"d/{number}", [b"x"], MODE)
    assert await drained(world.spool) == 0
    world.fake.calls.clear()
    for number in range(100):
        await world.store.delete(f"d/{number}")
    assert (await world.store.list_page("d/", max_keys=2)).objects == ()
    assert await drained(world.spool) == 0
    assert world.requests() == ["ListObjectsV2", "DeleteObjects"]
    assert world.fake.objects == {}


async def test_a_directory_whose_names_are_all_being_deleted_is_gone(world: World) -> None:
    for key in ("d/a", "d/b", "e/a", "e/b"):
        await world.fake.put(key, [b"x"], Attributes())
    await world.store.delete_many({"d/a": UNKNOWN, "d/b": UNKNOWN, "e/a": UNKNOWN})
    page = await world.store.list_page(delimiter="/")
    assert page.prefixes == ("e/",)
    await world.store.put("d/c/x", [], MODE)
    assert (await world.store.list_page(delimiter="/")).prefixes == ("d/", "e/")
    assert (await world.store.list_page("d/", delimiter="/")).prefixes == ("d/c/",)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("delimiter", ["", "/"])
async def test_a_listing_is_the_stores_with_what_is_queued(
    world: World, seed: int, delimiter: str
) -> None:
    rng = random.Random(seed)
    oracle = FakeStore("bucket")
    names = [
        f"{d}{n}" for d in ("", "d/", "d/e/", "f/") for n in ("", "a", "b", "c", "zz") if d + n
    ]
    for name in names:
        where = rng.choice(["nowhere", "store", "queue", "deleted", "replaced"])
        if where in ("store", "deleted", "replaced"):
            await world.fake.put(name, [b"old"], Attributes())
        if where in ("queue", "replaced"):
            await world.store.put(name, [b"new!"], MODE)
        if where == "deleted":
            await world.store.delete(name)
        if where in ("store", "queue", "replaced"):
            await oracle.put(name, [b"old" if where == "store" else b"new!"], Attributes())
    for prefix in ("", "d/", "d", "f/"):
        for most in (1, 2, 3, 1000):
            for start in ("", "a", "d/", "d/b"):
                expected = await _all_pages(oracle, prefix, delimiter, 1000, start)
                found = await _all_pages(world.store, prefix, delimiter, most, start)
                assert found == expected, (prefix, most, start)


async def _all_pages(
    store: Store, prefix: str, delimiter: str, most: int, start: str
) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    token: str | None = None
    while True:
        page = await store.list_page(
            prefix, delimiter=delimiter, max_keys=most, token=token, start_after=start
        )
        assert len(page.objects) + len(page.prefixes) <= most
        told = [(info.key, info.size) for info in page.objects]
        told += [(name, -1) for name in page.prefixes]
        assert not found or not told or min(told)[0] > max(found)[0]
        found += sorted(told)
        token = page.next_token
        if token is None:
            return found


async def test_the_marker_of_a_directory_is_listed_as_the_directory(world: World) -> None:
    """A key that ends with the delimiter is a common prefix, unless it is what is listed."""
    await world.store.put("d/", [], Attributes(), expected=ABSENT)
    page = await world.store.list_page("", delimiter="/")
    assert (page.objects, page.prefixes) == ((), ("d/",))
    page = await world.store.list_page("d/", delimiter="/")
    assert ([info.key for info in page.objects], page.prefixes) == (["d/"], ())


async def test_a_full_spool_makes_writers_wait_and_then_tells_them(tmp_path: Path) -> None:
    world = World(tmp_path / "spool")
    await world.mount(size=10_000, deadline=0.01)
    await world.store.put("a", [bytes(9000)], MODE)
    with pytest.raises(e.SpoolFull):
        await world.store.put("b", [bytes(9000)], MODE)
    world.spool.close()
    await world.mount(size=10_000)
    async with sending(world.spool):
        await world.store.put("b", [bytes(9000)], MODE)
        await world.store.put("larger than the spool", [bytes(20_000)], MODE)
        assert world.fake.data("larger than the spool") == bytes(20_000)


async def test_names_that_are_not_spooled_are_stored_when_they_return(tmp_path: Path) -> None:
    world = World(tmp_path / "spool")
    store = await conditional(world.fake, world.fake)
    world.spool = open_spool(store, world.place, is_spooled=lambda key: not key.endswith(".m3u8"))
    world.store = SpoolStore(world.spool)
    await world.fake.put("d/taken.m3u8", [b"theirs"], Attributes())
    async with sending(world.spool):
        await world.store.put("d/1.ts", [b"segment"], MODE)
        await world.store.put("d/live.m3u8", [b"1.ts"], MODE)
        assert world.fake.data("d/1.ts") == b"segment"
        assert world.fake.data("d/live.m3u8") == b"1.ts"
        with pytest.raises(e.PreconditionFailed):
            await world.store.put("d/taken.m3u8", [b"ours"], MODE, expected=ABSENT)
        assert not world.spool.queue.parked


async def test_a_completed_upload_waits_for_nothing_and_survives(world: World) -> None:
    upload = await world.store.create_multipart("big", MODE)
    parts = [await world.store.upload_part("big", upload, 1, [bytes(6 << 20)])]
    parts.append(await world.store.upload_part("big", upload, 2, [b"end"]))
    await world.store.complete_multipart("big", upload, parts, expected=ABSENT)
    await world.store.abort_multipart("big", upload)
    await world.crash()
    assert (await world.store.head("big")).size == (6 << 20) + 3
    assert await drained(world.spool) == 0
    assert world.fake.data("big") == bytes(6 << 20) + b"end"


async def _base(store: Store, key: str) -> Belief:
    try:
        info = await store.head(key)
    except e.NoSuchKey:
        return ABSENT
    return Version(info.etag, info.size)


@pytest.mark.parametrize("seed", range(16))
async def test_nothing_is_lost_or_doubled_by_crashes_and_lost_answers(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every acknowledged request takes effect once, though daemons die and answers are lost."""
    monkeypatch.setattr(runner, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(settling, "FIRST_WAIT", 0.001)
    rng = random.Random(seed)
    world = World(tmp_path / "spool")
    faulty = FaultyStore(world.fake)
    world.inner = faulty
    await world.mount()
    view: dict[str, bytes] = {}
    for _ in range(12):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.spool.runner.run)
            for _ in range(rng.randrange(1, 12)):
                await _something(world.store, rng, view)
                if rng.random() < 0.3:
                    await trio.sleep(rng.random() * 0.02)
                if rng.random() < 0.4:
                    faulty.add(_fault(rng))
            nursery.cancel_scope.cancel()
        if rng.random() < 0.6:
            await world.crash()
    faulty.clear()
    assert await drained(world.spool) == 0, [entry.parked for entry in world.spool.queue]
    assert {key: bytes(made.data) for key, made in world.fake.objects.items()} == view


def _fault(rng: random.Random) -> Fault:
    error = rng.choice([e.AnswerLost("lost"), e.ServerError(status=500), e.NotSent("away")])
    return Fault(
        rng.choice(["put", "append", "copy", "compose", "delete", "delete_many"]),
        error,
        after=not isinstance(error, e.NotSent) and rng.random() < 0.6,
        delay=rng.choice([0, 0.005]),
        count=rng.randrange(1, 4),
    )


async def _something(store: SpoolStore, rng: random.Random, view: dict[str, bytes]) -> None:
    key = rng.choice(["a", "b", "c", "d/live.m3u8", "log"])
    body = rng.randbytes(rng.choice([1, 20, 70_000]))
    what = rng.choice(["put", "append", "append", "rename", "delete", "compose", "touch"])
    if what == "put":
        await store.put(key, [body], MODE, expected=await _base(store, key))
        view[key] = body
    elif what == "append":
        shared = MODE if rng.random() < 0.5 else None
        await store.append(key, [body], expected=await _base(store, key), attributes=shared)
        view[key] = view.get(key, b"") + body
    elif what == "rename" and key in view:
        base = await _base(store, key)
        await store.copy(key, key + "2", MODE, expected=base)
        await store.delete(key, expected=base)
        view[key + "2"] = view.pop(key)
    elif what == "delete":
        await store.delete(key)
        view.pop(key, None)
    elif what == "compose" and key in view and "a" in view:
        await store.compose("joined", [key, "a", key], MODE)
        view["joined"] = view[key] + view["a"] + view[key]
    elif what == "touch" and key in view:
        changed = Attributes({"mode": "1", "mtime": str(rng.random())})
        await store.copy(key, key, changed, expected=await _base(store, key))
