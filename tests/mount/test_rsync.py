# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""rsync, as people run it: what arrives, what it costs, and what is never sent twice."""

import re
from pathlib import Path

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, run
from tests.mount.test_writing import noise

FILES = {
    "a.txt": b"alpha",
    "dir/b.bin": noise(300_000),
    "dir/deep/c": b"",
    "dir/space and +plus": b"odd",
    "big.bin": noise(9 << 20),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small tree: empty, small and large files, with old times."""
    root = tmp_path / "source"
    for name, data in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    run("find", root, "-exec", "touch", "-d", "2020-01-02 03:04:05.678", "{}", "+")
    return root


def rsync(source: Path, mounted: MountedBucket, *options: str) -> list[str]:
    """Run rsync, and return what it says it has changed (not only the times of directories)."""
    done = run("rsync", "-i", *options, f"{source}/", f"{mounted.path}/")
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if not line.startswith(".d")]


def check(mounted: MountedBucket, expected: dict[str, bytes]) -> None:
    """The store has these files."""
    for name, data in expected.items():
        assert mounted.fetch(name) == data, name


@pytest.mark.parametrize(
    "options",
    [
        "-a",
        "-a --inplace",
        "-a --whole-file",
        "-a --no-whole-file",
        "-a --append",
        "-a --partial",
        "-a --delay-updates",
        "-rt",
        "-a --numeric-ids --omit-dir-times",
        "-a --temp-dir=/tmp",
        "-a --sparse",
        "-a --fsync",
    ],
)
def test_everything_arrives_and_nothing_is_sent_again(
    mounted: MountedBucket, emulator: Emulator, source: Path, options: str
) -> None:
    """The same bytes, and a second run finds nothing to do, also with a mount made anew."""
    assert len(rsync(source, mounted, *options.split())) >= len(FILES)
    mounted.unmount()  # an empty file is stored at release, a moment after close
    check(mounted, FILES)
    mounted.mount()
    emulator.mark()
    assert rsync(source, mounted, *options.split()) == []
    assert "PutObject" not in emulator.counts()


def test_temporary_names_are_not_seen(
    mounted: MountedBucket, emulator: Emulator, source: Path
) -> None:
    """At the end no `.name.XXXXXX` is left, in the mount or in the store."""
    rsync(source, mounted, "-a")
    left = run("find", mounted.path, "-name", ".*.??????").stdout
    assert left == ""
    assert not [
        request["key"]
        for request in emulator.requests()
        if re.search(r"/\.[^/]+\.\w{6}$", request["key"]) and request["op"] == "HeadObject"
        if emulator.exists(request["key"])
    ]


def test_only_what_changed_is_sent(
    mounted: MountedBucket, emulator: Emulator, source: Path
) -> None:
    """One changed file of five: its bytes, and no others."""
    rsync(source, mounted, "-a")
    (source / "a.txt").write_bytes(b"changed content")
    emulator.mark()
    assert [line.split(" ", 1)[1] for line in rsync(source, mounted, "-a")] == ["a.txt"]
    assert emulator.sent() == len(b"changed content")
    check(mounted, FILES | {"a.txt": b"changed content"})


def test_append_sends_only_the_tail(
    mounted: MountedBucket, emulator: Emulator, source: Path
) -> None:
    """rsync --append of a grown file is an append in the store."""
    rsync(source, mounted, "-a")
    with open(source / "big.bin", "ab") as file:
        file.write(b"the tail")
    emulator.mark()
    rsync(source, mounted, "-a", "--append")
    assert emulator.sent(mounted.key("big.bin")) == len(b"the tail")
    check(mounted, {"big.bin": FILES["big.bin"] + b"the tail"})


@pytest.mark.parametrize("new", [b"shorter", noise(350_000)])
def test_inplace_replaces(mounted: MountedBucket, source: Path, new: bytes) -> None:
    """--inplace writes over the old file from its start, whichever is longer."""
    rsync(source, mounted, "-a")
    (source / "dir/b.bin").write_bytes(new)
    rsync(source, mounted, "-a", "--inplace")
    mounted.unmount()  # an empty file is stored at release, a moment after close
    check(mounted, FILES | {"dir/b.bin": new})


def test_delete_removes_what_is_gone(mounted: MountedBucket, source: Path) -> None:
    """--delete: files and whole directories."""
    rsync(source, mounted, "-a")
    run("rm", "-r", source / "dir", source / "a.txt")
    rsync(source, mounted, "-a", "--delete")
    assert sorted(path.name for path in mounted.path.iterdir()) == ["big.bin"]
    assert not mounted.exists("dir/b.bin")


def test_remove_source_files_after_they_are_stored(mounted: MountedBucket, source: Path) -> None:
    """S1.1: A move by rsync: what left the source is in the store."""
    rsync(source, mounted, "-a", "--remove-source-files")
    assert not [path for path in source.rglob("*") if path.is_file()]
    check(mounted, FILES)
