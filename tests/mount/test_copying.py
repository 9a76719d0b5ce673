# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Copies inside the mount: the store makes them, and no byte crosses the wire."""

import os
import shutil
from pathlib import Path

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory, shell
from tests.mount.test_writing import MIB, noise

WIRE = 16 * 1024


@pytest.fixture
def mounted(mount: MountFactory, emulator: Emulator) -> MountedBucket:
    """A mount with two large files; requests are counted from here on."""
    made = mount()
    (made.path / "a").write_bytes(noise(100 * MIB))
    (made.path / "b").write_bytes(noise(100 * MIB)[::-1])
    (made.path / "small").write_bytes(b"small")
    emulator.mark()
    return made


def wire(emulator: Emulator) -> int:
    """Bytes of bodies both ways since the mark."""
    return sum(r["request_bytes"] + r["response_bytes"] for r in emulator.requests())


def test_cat_is_compose(mounted: MountedBucket, emulator: Emulator) -> None:
    """S4.1: `cat a b > c` and `cp a c`, over 100 MiB each."""
    shell("cat a b > c", mounted.path)
    assert wire(emulator) < WIRE
    assert emulator.counts()["ComposeObject"] >= 1
    a, b = mounted.fetch("a"), mounted.fetch("b")
    assert mounted.fetch("c") == a + b
    shell("cp a d && cp --preserve=all b e", mounted.path)
    assert mounted.fetch("d") == a
    assert mounted.fetch("e") == b
    assert wire(emulator) < WIRE
    assert "GetObject" not in emulator.counts()


def test_forty_sources(mounted: MountedBucket, emulator: Emulator) -> None:
    """More than one compose takes."""
    shell("cat $(for i in $(seq 20); do echo a small; done) > c", mounted.path)
    assert wire(emulator) < WIRE
    assert mounted.fetch("c") == (noise(100 * MIB) + b"small") * 20


def test_python_copies(mounted: MountedBucket, emulator: Emulator) -> None:
    """os.copy_file_range with ranges and offsets."""
    source = os.open(mounted.path / "a", os.O_RDONLY)
    target = os.open(mounted.path / "ranges", os.O_WRONLY | os.O_CREAT)
    assert os.copy_file_range(source, target, 10 * MIB, 5 * MIB, 0) == 10 * MIB
    assert os.copy_file_range(source, target, 7 * MIB, 50 * MIB, 20 * MIB) == 7 * MIB
    assert os.copy_file_range(source, target, MIB, 200 * MIB, 0) == 0
    os.close(target)
    os.close(source)
    data = noise(100 * MIB)
    expected = data[5 * MIB : 15 * MIB] + bytes(10 * MIB) + data[50 * MIB : 57 * MIB]
    assert mounted.fetch("ranges") == expected
    assert emulator.sent() < 2 * MIB


def test_appending_a_copy(mounted: MountedBucket, emulator: Emulator) -> None:
    """`cat b >> a` cannot be a copy for the kernel refuses O_APPEND, dd seek can."""
    target = os.open(mounted.path / "a", os.O_WRONLY)
    source = os.open(mounted.path / "b", os.O_RDONLY)
    assert os.copy_file_range(source, target, 100 * MIB, 0, 100 * MIB) == 100 * MIB
    os.close(target)
    os.close(source)
    assert mounted.fetch("a") == noise(100 * MIB) + noise(100 * MIB)[::-1]
    assert wire(emulator) < WIRE


def test_a_copy_is_of_the_moment(mounted: MountedBucket) -> None:
    """S4.2: What happens to the source after the call, and before close, does not change the
    copy.
    """
    for change in ("echo new > small", "rm small", "mv small other", "echo more >> small"):
        shell("printf small > small", mounted.path)
        source = os.open(mounted.path / "small", os.O_RDONLY)
        target = os.open(mounted.path / "copy", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        assert os.copy_file_range(source, target, 100) == 5
        shell(change, mounted.path)
        os.close(source)
        os.close(target)
        assert mounted.fetch("copy") == b"small", change


def test_bytes_just_written_are_copied(mounted: MountedBucket) -> None:
    """S4.2: A source that is still open and not stored yet."""
    with open(mounted.path / "new", "wb", buffering=0) as file:
        file.write(b"written a moment ago")
        source = os.open(mounted.path / "new", os.O_RDONLY)
        target = os.open(mounted.path / "copy", os.O_WRONLY | os.O_CREAT)
        assert os.copy_file_range(source, target, 1000) == 20
        os.close(source)
        os.close(target)
    assert mounted.fetch("copy") == b"written a moment ago"


def test_two_mounts(mount: MountFactory, mounted: MountedBucket, tmp_path: Path) -> None:
    """S4.4: Between two mounts the kernel says EXDEV, and reading is refused: cp fails, cleanly."""
    other = mount(prefix="other")
    with pytest.raises(PermissionError):
        shutil.copyfile(mounted.path / "small", other.path / "copy")
    done = shell(f"cp small {other.path}/copy2", mounted.path, check=False)
    assert "Permission denied" in done.stderr


def test_more_than_four_gigabytes(mount: MountFactory, emulator: Emulator) -> None:
    """A source that arrives in pieces of 2 or 4 GiB is one range of one object again."""
    mounted = mount("deadline=10m")  # the emulator takes its time for so many bytes
    (mounted.path / "small").write_bytes(b"small")
    size = (6 << 30) + 5
    os.truncate(mounted.path / "small", size)
    emulator.mark()
    shell("cp small copy", mounted.path)
    assert (mounted.path / "copy").stat().st_size == size
    assert emulator.head(mounted.key("copy"))["content-length"] == str(size)
    assert wire(emulator) < WIRE
    assert emulator.counts()["ComposeObject"] == 1
    assert "UploadPartCopy" not in emulator.counts()
