# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Many programs at once, and several mounts of one bucket."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory, run, shell
from tests.harness.objects import ObjectStore
from tests.mount.test_writing import noise


def test_a_hundred_copies_at_once(mounted: MountedBucket, tmp_path: Path) -> None:
    """100 parallel cp: every file is whole."""
    (tmp_path / "in").mkdir()
    for number in range(100):
        (tmp_path / "in" / str(number)).write_bytes(noise(10_000 + number))
    shell(f"for i in {{0..99}}; do cp {tmp_path}/in/$i $i & done; wait", mounted.path)
    for number in range(100):
        assert mounted.fetch(str(number)) == noise(10_000 + number)


def test_large_copies_at_once_stay_within_memory(mounted: MountedBucket, tmp_path: Path) -> None:
    """8 parallel cp of 24 MiB: all whole, in bounded memory."""
    source = tmp_path / "source"
    source.write_bytes(noise(24 << 20))
    shell(f"for i in {{1..8}}; do cp {source} $i & done; wait", mounted.path)
    for number in range(1, 9):
        assert mounted.fetch(str(number)) == noise(24 << 20)
    assert mounted.peak_memory() < 200 << 20


def test_three_processes_append_to_one_log(mounted: MountedBucket) -> None:
    """`>>` from three shells at once: each line whole, none lost, none twice."""
    script = "for i in $(seq 30); do echo %s $i >> log; done"
    shell(" & ".join(script % name for name in "abc") + " & wait", mounted.path)
    lines = mounted.fetch("log").decode().splitlines()
    assert sorted(lines) == sorted(f"{name} {i}" for name in "abc" for i in range(1, 31))
    for name in "abc":
        mine = [line for line in lines if line.startswith(name)]
        assert mine == [f"{name} {i}" for i in range(1, 31)]


def test_two_hosts_append_to_one_log(mount: MountFactory, emulator: Emulator) -> None:
    """Two mounts as two hosts: each append lands whole at the end, wherever that is by then."""
    first, second = mount(), mount()
    shell("echo begin >> log", first.path)

    def append(mounted: MountedBucket, name: str) -> None:
        shell(f"for i in $(seq 20); do echo {name} $i >> log; done", mounted.path)

    with ThreadPoolExecutor() as pool:
        list(pool.map(append, (first, second), "ab"))
    lines = first.fetch("log").decode().splitlines()
    expected = ["begin", *(f"{name} {i}" for name in "ab" for i in range(1, 21))]
    assert sorted(lines) == sorted(expected)


def test_two_programs_write_one_file(mounted: MountedBucket, tmp_path: Path) -> None:
    """Two programs that each write and rename onto one name: one of the two, whole."""
    for number in range(2):
        (tmp_path / str(number)).write_bytes(noise(12_000_000 + number))
    shell(f"for i in 0 1; do cp {tmp_path}/$i own-$i && mv own-$i file & done; wait", mounted.path)
    assert mounted.fetch("file") in [noise(12_000_000), noise(12_000_001)]
    assert os.listdir(mounted.path) == ["file"]


def test_a_second_writer_is_noticed(
    mount: MountFactory, store: ObjectStore, emulator: Emulator
) -> None:
    """Who writes at an end that has moved meanwhile gets ESTALE, and the other's bytes stay."""
    mounted = mount()
    (mounted.path / "file").write_bytes(b"ours")
    with open(mounted.path / "file", "r+b", buffering=0) as file:
        file.seek(0, os.SEEK_END)
        store.put("file", b"theirs, and longer")
        file.write(b" lost?")
        with pytest.raises(OSError, match="Stale"):
            os.fsync(file.fileno())
        with pytest.raises(OSError, match="Stale"):
            file.close()
    assert mounted.fetch("file") == b"theirs, and longer"


def test_names_made_and_removed_at_once(mounted: MountedBucket) -> None:
    """mkdir -p, touch, mv and rm from many processes at once end where they should."""

    def work(number: int) -> None:
        shell(
            f"mkdir -p shared/dir && echo {number} > shared/dir/{number}.tmp && "
            f"mv shared/dir/{number}.tmp shared/dir/{number} && ls shared/dir > /dev/null && "
            f"if [ $(({number} % 2)) = 0 ]; then rm shared/dir/{number}; fi",
            mounted.path,
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(24)))
    left = sorted(os.listdir(mounted.path / "shared/dir"), key=int)
    assert left == [str(number) for number in range(1, 24, 2)]
    mounted.unmount()
    mounted.mount()
    assert sorted(os.listdir(mounted.path / "shared/dir"), key=int) == left


def test_listing_while_files_come(mounted: MountedBucket) -> None:
    """ls during a copy sees no error and no half name."""

    def copy() -> None:
        for number in range(60):
            (mounted.path / f"file-{number:02}").write_text("content")

    def look() -> None:
        for _ in range(20):
            for entry in os.scandir(mounted.path):
                assert entry.name.startswith("file-")
                assert entry.stat().st_size in (0, 7)

    tasks: list[Callable[[], None]] = [copy, look, look]
    with ThreadPoolExecutor() as pool:
        for future in [pool.submit(task) for task in tasks]:
            future.result()
    assert len(os.listdir(mounted.path)) == 60


def test_a_directory_of_thousands(mount: MountFactory, store: ObjectStore) -> None:
    """2,500 names: more than two pages of a listing; each once, in few requests."""
    store.put_many([f"many/{number:04}" for number in range(2500)])
    mounted = mount()
    names = run("ls", "-U", mounted.path / "many").stdout.split()
    assert sorted(names) == [f"{number:04}" for number in range(2500)]
