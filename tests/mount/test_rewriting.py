# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Writes anywhere in a file whose bytes cannot be read: right bytes, and few on the wire."""

import os
from pathlib import Path

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory, shell
from tests.mount.test_writing import MIB, noise


@pytest.fixture
def mounted(mount: MountFactory) -> MountedBucket:
    """A mount of the test's own."""
    return mount()


def stored(mounted: MountedBucket, name: str, data: bytes | bytearray) -> Path:
    """A file that is in the store, and that nobody has open."""
    path = mounted.path / name
    path.write_bytes(data)
    mounted.unmount()
    mounted.mount()
    return path


def helpers(emulator: Emulator, mounted: MountedBucket) -> list[str]:
    """The helper objects that the mount has made and not deleted."""
    made = [
        request["key"] for request in emulator.requests() if "/.kontenumfs/" in str(request["key"])
    ]
    return [key for key in made if emulator.exists(key)]


@pytest.mark.parametrize(
    ("offset", "length", "limit"),
    [(50 * MIB, MIB, 12 * MIB), (0, 10, MIB), (5, 5, MIB), (100 * MIB - 3, 100, MIB)],
)
def test_overwriting_a_part(
    mounted: MountedBucket, emulator: Emulator, offset: int, length: int, limit: int
) -> None:
    """S3.1: Only the new bytes cross the wire, wherever they lie."""
    data = bytearray(noise(100 * MIB))
    path = stored(mounted, "f", data)
    emulator.mark()
    handle = os.open(path, os.O_WRONLY)
    new = noise(length)
    assert os.pwrite(handle, new, offset) == length
    os.close(handle)
    data[offset : offset + length] = new
    assert emulator.sent() < limit
    assert mounted.fetch("f") == data
    assert path.stat().st_size == len(data)
    assert not helpers(emulator, mounted)


@pytest.mark.parametrize("size", [60 * MIB, 120 * MIB, 100 * MIB + 1, 1])
def test_truncating(mounted: MountedBucket, emulator: Emulator, size: int) -> None:
    """Kept bytes are copied in the store, added zeros composed there."""
    data = noise(100 * MIB)
    path = stored(mounted, "f", data)
    emulator.mark()
    os.truncate(path, size)
    assert emulator.sent() < 8 * MIB
    assert mounted.fetch("f") == (data + bytes(max(0, size - len(data))))[:size]
    assert path.stat().st_size == size
    assert not helpers(emulator, mounted)


def test_a_header_patched_at_the_end(mounted: MountedBucket, emulator: Emulator) -> None:
    """As ffmpeg writes mp4: long data, then back to the start, over an old and a new name."""
    for name, old in (("new.mp4", b""), ("old.mp4", b"the old film")):
        if old:
            stored(mounted, name, old)
        data = bytearray(noise(20 * MIB))
        with open(mounted.path / name, "wb", buffering=0) as file:
            for at in range(0, len(data), MIB):
                file.write(data[at : at + MIB])
            file.seek(40)
            file.write(b"HEAD")
            file.seek(0, os.SEEK_END)
            file.write(b"trailer")
            if old:
                assert mounted.fetch(name) == old
        data[40:44] = b"HEAD"
        assert mounted.fetch(name) == data + b"trailer"
    assert not helpers(emulator, mounted)


def test_holes(mounted: MountedBucket, emulator: Emulator) -> None:
    """S3.1, S3.5: A sparse file of 3 GiB costs three blocks, not its length."""
    with open(mounted.path / "sparse", "wb", buffering=0) as file:
        file.write(b"begin")
        file.seek(3 << 30)
        file.write(b"end")
    assert emulator.sent() < 3 * MIB
    assert (mounted.path / "sparse").stat().st_size == (3 << 30) + 3
    assert emulator.head(mounted.key("sparse"))["content-length"] == str((3 << 30) + 3)
    small = "printf 'a' | dd of=f bs=1 seek=10; truncate -s 20 f; printf 'b' >> f"
    shell(small, mounted.path)
    assert mounted.fetch("f") == bytes(10) + b"a" + bytes(9) + b"b"


def test_dd_into_the_middle(mounted: MountedBucket, emulator: Emulator) -> None:
    """dd conv=notrunc of more than a chunk: staged unseen, joined at close."""
    data = bytearray(noise(40 * MIB))
    stored(mounted, "f", data)
    emulator.mark()
    command = "dd if=/dev/zero of=f bs=1M seek=10 count=20 conv=notrunc"
    shell(command, mounted.path)
    data[10 * MIB : 30 * MIB] = bytes(20 * MIB)
    assert mounted.fetch("f") == data
    assert emulator.sent() < 21 * MIB
    assert not helpers(emulator, mounted)


def test_scattered_writes_with_little_memory(mount: MountFactory, emulator: Emulator) -> None:
    """More scattered bytes than memory holds: gathered in the store, and right at the end."""
    mounted = mount("memory=16M")
    data = bytearray(noise(64 * MIB))
    path = stored(mounted, "f", data)
    handle = os.open(path, os.O_WRONLY)
    for number in range(30):
        at = (number * 37 % 30) * 2 * MIB + 12345
        new = noise(MIB + number)
        os.pwrite(handle, new, at)
        data[at : at + len(new)] = new
    os.close(handle)
    assert mounted.fetch("f") == data
    assert mounted.peak_memory() < 160 * MIB
    assert not helpers(emulator, mounted)
