# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Random programs, run in the mount and in a local directory: the same bytes, sizes and errors."""

import os
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory

NAMES = st.sampled_from(["a", "b", ".c.123456", "d/e", "d/f"])
PATHS = st.one_of(NAMES, st.sampled_from(["d", "missing", "g"]))
PLACES = st.sampled_from([0, 1, 100, 5000, 1 << 20, 6 << 20])
LENGTHS = st.sampled_from([1, 50, 4096, 1 << 20, 5 << 20])
FLAGS = st.sampled_from(
    [
        os.O_CREAT,
        os.O_CREAT | os.O_TRUNC,
        os.O_CREAT | os.O_APPEND,
        os.O_CREAT | os.O_EXCL,
        os.O_APPEND,
        0,
    ]
)
SLOTS = st.integers(0, 2)
STEPS = st.one_of(
    st.tuples(st.just("open"), SLOTS, PATHS, FLAGS),
    st.tuples(st.just("write"), SLOTS, LENGTHS),
    st.tuples(st.just("pwrite"), SLOTS, PLACES, LENGTHS),
    st.tuples(st.just("ftruncate"), SLOTS, PLACES),
    st.tuples(st.just("truncate"), PATHS, PLACES),
    st.tuples(st.just("fsync"), SLOTS),
    st.tuples(st.just("close"), SLOTS),
    st.tuples(st.just("rename"), PATHS, PATHS),
    st.tuples(st.just("unlink"), PATHS),
    st.tuples(st.just("mkdir"), PATHS),
    st.tuples(st.just("rmdir"), PATHS),
    st.tuples(st.just("copy"), PATHS, SLOTS, PLACES, PLACES, LENGTHS),
)


class Place:
    """A directory in which a program runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.handles: dict[int, int] = {}
        (root / "d").mkdir(parents=True)
        (root / "a").write_bytes(b"a" * 6000)

    def run(self, step: tuple[Any, ...], data: bytes) -> Any:
        """The result of one step, or its errno."""
        try:
            return self._run(step, data)
        except OSError as error:
            return f"errno {error.errno}"

    def _run(self, step: tuple[Any, ...], data: bytes) -> Any:
        kind, first, *rest = step
        if isinstance(first, int) and kind != "open" and first not in self.handles:
            return None
        match kind:
            case "open":
                if first in self.handles:
                    return None
                name, flags = rest
                self.handles[first] = os.open(self.root / name, os.O_WRONLY | flags, 0o644)
            case "write":
                return os.write(self.handles[first], data)
            case "pwrite":
                return os.pwrite(self.handles[first], data, rest[0])
            case "ftruncate":
                os.ftruncate(self.handles[first], rest[0])
            case "truncate":
                os.truncate(self.root / first, rest[0])
            case "fsync":
                os.fsync(self.handles[first])
            case "close":
                os.close(self.handles.pop(first))
            case "rename":
                os.rename(self.root / first, self.root / rest[0])
            case "copy":
                return self._copy(first, *rest)
            case _:
                getattr(os, kind)(self.root / first)
        return None

    def _copy(self, name: str, slot: int, offset: int, at: int, length: int) -> int | None:
        if slot not in self.handles:
            return None
        source = os.open(self.root / name, os.O_RDONLY)
        try:
            return os.copy_file_range(source, self.handles[slot], length, offset, at)
        finally:
            os.close(source)

    def seen(self) -> dict[str, int]:
        """Every name, with the size of a file."""
        found: dict[str, int] = {}
        for directory, directories, files in os.walk(self.root):
            for name in directories:
                found[os.path.relpath(os.path.join(directory, name), self.root)] = -1
            for name in files:
                path = os.path.join(directory, name)
                found[os.path.relpath(path, self.root)] = os.stat(path).st_size
        return found

    def close(self) -> None:
        """Close everything."""
        for handle in self.handles.values():
            os.close(handle)


def test_the_mount_does_what_a_disk_does(
    mount: MountFactory, emulator: Emulator, tmp_path: Path
) -> None:
    """open, write, truncate, copy_file_range, rename, mkdir, ... through several handles."""
    mounted = mount("chunk_size=5M,memory=16M")
    numbers = iter(range(1_000_000))

    @settings(
        max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(program=st.lists(STEPS, min_size=5, max_size=25))
    def check(program: list[tuple[Any, ...]]) -> None:
        name = f"run{next(numbers)}"
        ours, theirs = Place(mounted.path / name), Place(tmp_path / name)
        for number, step in enumerate(program):
            data = bytes([number + 1]) * (step[-1] if step[0] in ("write", "pwrite") else 0)
            assert ours.run(step, data) == theirs.run(step, data), step
            assert ours.seen() == theirs.seen(), step
        ours.close()
        theirs.close()
        compare(mounted, name, theirs)

    check()


def compare(mounted: MountedBucket, name: str, local: Place) -> None:
    """The store has the bytes that the disk has."""
    for path, size in local.seen().items():
        if size > 0:
            if path == ".c.123456":  # else it would wait two seconds for a rename
                handle = os.open(mounted.path / name / path, os.O_WRONLY)
                os.fsync(handle)
                os.close(handle)
            assert mounted.fetch(f"{name}/{path}") == (local.root / path).read_bytes(), path
