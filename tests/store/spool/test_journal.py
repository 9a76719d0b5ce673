# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the spool's journal has promised is there after whatever happens to the machine."""

import json
import os
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from kontenumfs.protocol.errors import SpoolFailed, SpoolFull, SpoolRefused
from kontenumfs.store.api import Attributes, Part
from kontenumfs.store.beliefs import ABSENT, Version
from kontenumfs.store.spool.entries import After, Entry, Kind, from_json, to_json
from kontenumfs.store.spool.identity import FORMAT
from kontenumfs.store.spool.journal import SMALL, Journal
from kontenumfs.store.spool.recovery import DAMAGED, Recovered, read_piece
from tests.store.spool.power import FragileDisk

WHOSE = {"bucket": "b", "prefix": "p/"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory for a spool."""
    made = tmp_path / "spool"
    made.mkdir(mode=0o700)
    return made


async def acknowledge(journal: Journal, key: str, body: bytes) -> Entry:
    """Do what a writer does: return when an entry is on the disk."""
    pieces = await journal.prepare([body])
    if pieces is None:
        pieces = journal.add_body([body])
    entry = Entry(
        journal.next_number(), Kind.PUT, key, ABSENT, pieces=pieces, size=len(body), created=1.5
    )
    journal.record([entry])
    await journal.flush()
    return entry


def reopened(place: Path) -> Recovered:
    """What a next daemon finds."""
    journal = Journal(place, WHOSE, segment_bytes=1 << 18)
    found = journal.open()
    journal.close()
    return found


def bodies(place: Path, found: Recovered) -> dict[str, bytes]:
    """The bytes of every entry."""
    return {
        entry.key: b"".join(read_piece(place, piece) for piece in entry.pieces)
        for entry in found.entries.values()
    }


def test_an_entry_is_read_as_it_was_written() -> None:
    entry = Entry(
        7,
        Kind.COMPLETE,
        "ünï\ncode",
        After(3),
        sources=("a", "b"),
        source_expected=Version("e", 3),
        attributes=Attributes({"m": "1"}, {"content-type": "x"}),
        size=9,
        upload_id="u",
        parts=(Part(1, "p"),),
        shared=True,
        promised=True,
        created=2.5,
        parked="why",
    )
    assert from_json(json.loads(json.dumps(to_json(entry)))) == entry


async def test_what_was_acknowledged_is_found_again(place: Path) -> None:
    journal = Journal(place, WHOSE)
    assert journal.open().entries == {}
    small = await acknowledge(journal, "small", b"s" * 100)
    large = await acknowledge(journal, "large", b"l" * (SMALL + 1))
    empty = await acknowledge(journal, "empty", b"")
    journal.record([replace(small, expected=Version("e", 1))])
    journal.record((), [empty.number])
    await journal.flush()
    journal.close()
    found = reopened(place)
    assert list(found.entries) == [small.number, large.number]
    assert found.entries[small.number].expected == Version("e", 1)
    assert bodies(place, found) == {"small": b"s" * 100, "large": b"l" * (SMALL + 1)}
    assert found.next_number > empty.number
    assert found.problems == []


async def test_those_who_wait_together_share_a_sync(place: Path) -> None:
    disk = FragileDisk()
    journal = Journal(place, WHOSE, disk=disk)
    journal.open()
    before = disk.syncs
    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(acknowledge, journal, f"k{number}", b"x")
    assert disk.syncs - before < 50
    journal.close()


async def test_bodies_and_segments_go_when_nothing_needs_them(place: Path) -> None:
    journal = Journal(place, WHOSE, segment_bytes=1 << 18)
    journal.open()
    for number in range(100):
        entry = await acknowledge(journal, f"k{number}", os.urandom(50_000 + number))
        journal.record((), [entry.number])
        await journal.flush()
    entry = await acknowledge(journal, "large", bytes(SMALL + 1))
    journal.record((), [entry.number])
    await journal.flush()
    kept = sorted(name for name in os.listdir(place) if name.startswith(("segment", "body")))
    assert len(kept) <= 3
    journal.close()
    assert reopened(place).entries == {}


async def test_a_disk_that_fails_is_believed_no_more(place: Path) -> None:
    disk = FragileDisk()
    journal = Journal(place, WHOSE, disk=disk)
    journal.open()
    kept = await acknowledge(journal, "kept", b"1")
    disk.fail_sync = True
    with pytest.raises(SpoolFailed):
        await acknowledge(journal, "lost", b"2")
    disk.fail_sync = False
    with pytest.raises(SpoolFailed):
        await acknowledge(journal, "later", b"3")
    journal.close()
    assert kept.number in reopened(place).entries


async def test_a_full_disk_is_told_and_harms_nothing(place: Path) -> None:
    disk = FragileDisk()
    journal = Journal(place, WHOSE, disk=disk, segment_bytes=1 << 18)
    journal.open()
    disk.fail_after = 0
    with pytest.raises(SpoolFull):
        await _fill(journal)
    disk.fail_after = None
    entry = await acknowledge(journal, "after", b"1")
    journal.close()
    assert entry.number in reopened(place).entries


async def _fill(journal: Journal) -> None:
    for number in range(100):
        await acknowledge(journal, f"k{number}", bytes(50_000))


async def _written(place: Path) -> dict[str, bytes]:
    journal = Journal(place, WHOSE, segment_bytes=1 << 18)
    journal.open()
    said = {}
    for number in range(24):
        body = os.urandom(SMALL + 5 if number % 8 == 7 else 200 * number)
        said[f"key-{number}"] = body
        await acknowledge(journal, f"key-{number}", body)
    journal.close()
    return said


def _copy(source: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())


def _content_end(data: bytes) -> int:
    return len(data.rstrip(b"\0"))


async def test_a_flipped_bit_costs_one_entry_at_most(place: Path, tmp_path: Path) -> None:
    said = await _written(place)
    rng = random.Random(4)
    for trial in range(60):
        copy = tmp_path / f"flip-{trial}"
        _copy(place, copy)
        (segment,) = copy.glob("segment-*")
        data = bytearray(segment.read_bytes())
        at = rng.randrange(_content_end(bytes(data)))
        data[at] ^= 1 << rng.randrange(8)
        segment.write_bytes(data)
        found = reopened(copy)
        assert found.problems
        damaged = [entry for entry in found.entries.values() if entry.parked == DAMAGED]
        whole = {entry.key for entry in found.entries.values()} - {e.key for e in damaged}
        assert len(whole) >= len(said) - 1
        assert len(damaged) <= 1
        for key, body in bodies_of(copy, found, whole).items():
            assert body == said[key]
        again = reopened(copy)
        assert again.entries == found.entries


def bodies_of(place: Path, found: Recovered, keys: set[str]) -> dict[str, bytes]:
    """The bytes of some entries."""
    only = {n: entry for n, entry in found.entries.items() if entry.key in keys}
    return bodies(place, Recovered(only))


async def test_a_file_cut_anywhere_keeps_what_came_before(place: Path, tmp_path: Path) -> None:
    said = await _written(place)
    rng = random.Random(5)
    for trial in range(60):
        copy = tmp_path / f"cut-{trial}"
        _copy(place, copy)
        (segment,) = copy.glob("segment-*")
        data = segment.read_bytes()
        at = rng.randrange(_content_end(data))
        segment.write_bytes(data[:at])
        found = reopened(copy)
        assert [entry for entry in found.entries.values() if entry.parked] == []
        keys = [entry.key for entry in found.entries.values()]
        assert keys == list(said)[: len(keys)]
        assert bodies(copy, found) == {key: said[key] for key in keys}


async def test_a_body_that_was_cut_is_told_and_its_entry_kept(place: Path) -> None:
    await _written(place)
    body = next(iter(place.glob("body-*")))
    body.write_bytes(body.read_bytes()[:-1])
    found = reopened(place)
    assert [entry.parked for entry in found.entries.values() if entry.parked] == [DAMAGED]
    assert any("key-" in problem for problem in found.problems)


@pytest.mark.parametrize("seed", range(20))
async def test_a_power_cut_loses_nothing_that_was_acknowledged(place: Path, seed: int) -> None:
    rng = random.Random(seed)
    said: dict[str, bytes] = {}
    asked: dict[str, bytes] = {}
    ended: set[str] = set()
    for _ in range(3):
        disk = FragileDisk()
        journal = Journal(place, WHOSE, disk=disk, segment_bytes=1 << 18)
        found = journal.open()
        assert not [entry for entry in found.entries.values() if entry.parked], found.problems
        there = bodies(place, found)
        assert all(there.get(key) == body for key, body in said.items() if key not in ended)
        assert all(asked[key] == body for key, body in there.items())
        live = list(found.entries.values())
        async with trio.open_nursery() as nursery:
            for _ in range(rng.randrange(1, 9)):
                nursery.start_soon(_write_on, journal, rng, live, said, asked, ended)
            for _ in range(rng.randrange(40)):
                await trio.sleep(0.0005)
            disk.stop()  # the machine stands still here, whatever is under way
        disk.cut(rng)
        journal.close()


async def _write_on(
    journal: Journal,
    rng: random.Random,
    live: list[Entry],
    said: dict[str, bytes],
    asked: dict[str, bytes],
    ended: set[str],
) -> None:
    with suppress(SpoolFailed, SpoolFull):
        while True:
            if live and rng.random() < 0.4:
                entry = live.pop(rng.randrange(len(live)))
                ended.add(entry.key)
                journal.record((), [entry.number])
                await journal.flush()
                continue
            key = f"key-{len(asked)}"
            asked[key] = body = os.urandom(rng.choice([0, 10, 3000, SMALL + 1]))
            live.append(await acknowledge(journal, key, body))
            said[key] = body


def _refused(place: Path, why: str) -> None:
    with pytest.raises(SpoolRefused, match=why):
        Journal(place, WHOSE).open()


def test_two_mounts_never_share_a_spool(place: Path) -> None:
    journal = Journal(place, WHOSE)
    journal.open()
    _refused(place, "another mount")
    journal.close()
    reopened(place)


def test_a_spool_of_another_bucket_is_refused_by_name(place: Path) -> None:
    reopened(place)
    with pytest.raises(SpoolRefused, match="that of bucket 'b', not 'other'"):
        Journal(place, {**WHOSE, "bucket": "other"}).open()


def _newer(place: Path) -> None:
    told = json.loads((place / "identity").read_bytes())
    (place / "identity").write_text(json.dumps({**told, "format": FORMAT + 1}))


def _torn(place: Path) -> None:
    (place / "identity").write_bytes(b'{"format"')


def _linked(place: Path) -> None:
    (place / "lock").unlink()
    (place / "lock").symlink_to("/etc/passwd")


def _open(place: Path) -> None:
    place.chmod(0o755)


def _foreign(place: Path) -> None:
    os.chown(place, 12345, -1)


def _gone(place: Path) -> None:
    place.rename(place.with_name("gone"))


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (_newer, "a newer release"),
        (_torn, "is damaged"),
        (_linked, "symbolic links"),
        (_open, "chmod 700"),
        (_foreign, "user 12345"),
        (_gone, "No such file"),
    ],
)
def test_a_spool_that_cannot_be_used_is_refused(
    place: Path, harm: Callable[[Path], object], why: str
) -> None:
    reopened(place)
    harm(place)
    _refused(place, why)


async def test_a_spool_without_its_identity_is_not_taken_for_a_new_one(place: Path) -> None:
    await _written(place)
    (place / "identity").unlink()
    _refused(place, "missing")


async def test_what_was_ended_stays_so_when_what_came_with_it_is_gone_too(place: Path) -> None:
    """A record is the last of its daemon; the next one ends the rest of it, and takes its body."""
    journal = Journal(place, WHOSE)
    journal.open()
    first = await acknowledge(journal, "first", b"1")
    large = await acknowledge(journal, "large", bytes(SMALL + 1))
    await acknowledge(journal, "stays", b"2")
    journal.record([replace(large, promised=True)], [first.number])
    await journal.flush()
    journal.close()
    journal = Journal(place, WHOSE)
    journal.open()
    journal.record((), [large.number])
    await journal.flush()
    journal.close()
    found = reopened(place)
    assert list(bodies(place, found)) == ["stays"]
    assert not found.problems


async def test_the_last_record_of_a_segment_is_known_to_be_on_the_disk(place: Path) -> None:
    """The next segment says so, before a body goes that an entry of the record had."""
    journal = Journal(place, WHOSE, segment_bytes=70_000)
    journal.open()
    pieces = await journal.prepare([bytes(SMALL + 1)])
    assert pieces is not None
    large = Entry(journal.next_number(), Kind.PUT, "large", pieces=pieces, size=SMALL + 1)
    small = journal.add_body([bytes(10_000)])
    stays = Entry(journal.next_number(), Kind.PUT, "stays", pieces=small, size=10_000)
    journal.record([large, stays])
    await journal.flush()
    size = 62_000  # does not fit any more
    body = journal.add_body([bytes(size)])
    following = Entry(journal.next_number(), Kind.PUT, "next", pieces=body, size=size)
    journal.record([following], [large.number])
    await journal.flush()
    journal.close()
    assert sorted(bodies(place, reopened(place))) == ["next", "stays"]
