# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Names and attributes at the size of real buckets: what they cost, and that they are true."""

import ctypes
import os
import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kontenumfs.admin.client import ask
from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, kontenumfs, shell
from tests.harness.processes import memory

LONG = "ttl=1h"
"""No test waits for it; what is seen sooner was seen because of something else."""
GETDENTS64 = {"x86_64": 217, "aarch64": 61}[platform.machine()]
"""The number of the system call."""
Mounts = Callable[..., MountedBucket]


@pytest.fixture
def big(fuse: None, own_emulator: Emulator, tmp_path: Path) -> Iterator[Mounts]:
    """Mounts of an emulator that other tests need not list."""
    made: list[MountedBucket] = []

    def mount(*options: str, prefix: str = "") -> MountedBucket:
        directory = tmp_path / f"mount{len(made)}"
        made.append(MountedBucket(directory, own_emulator, *options, prefix=prefix))
        return made[-1]

    yield mount
    for mounted in made:
        mounted.close()


def status(mounted: MountedBucket) -> dict[str, int]:
    """What the daemon says of itself."""
    *_, last = ask(mounted.path, {"command": "status"})
    told: dict[str, int] = last["result"]
    return told


def first_names(path: Path) -> bytes:
    """What the kernel answers to one getdents64, where readers in libc ask for more at once."""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    buffer = ctypes.create_string_buffer(4096)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        length = syscall(GETDENTS64, descriptor, buffer, len(buffer))
    finally:
        os.close(descriptor)
    assert length > 0, os.strerror(ctypes.get_errno())
    return buffer.raw[:length]


def test_walks_of_twenty_thousand_objects(big: Mounts, own_emulator: Emulator) -> None:
    """S9.2: find and ls -lR: a LIST a thousand keys, and nothing the second time."""
    own_emulator.fill(f"d{i:03}/f{j:03}" for i in range(200) for j in range(100))
    for command in ("find . | wc -l", "ls -lR | grep -c ' f'"):
        mounted = big("attributes=list", LONG)
        own_emulator.mark()
        first = shell(command, mounted.path).stdout
        assert int(first) == (20_201 if command.startswith("find") else 20_000)
        counts = own_emulator.counts()
        assert set(counts) == {"ListObjectsV2"}
        assert counts["ListObjectsV2"] <= 40
        own_emulator.mark()
        assert shell(command, mounted.path).stdout == first
        assert not own_emulator.counts()
        mounted.unmount()


def test_rsync_of_an_unchanged_tree_after_a_remount(
    big: Mounts, own_emulator: Emulator, tmp_path: Path
) -> None:
    """2,000 files with their times: only LIST, no HEAD, nothing sent."""
    source = tmp_path / "source"
    for i in range(25):
        (source / f"d{i:02}").mkdir(parents=True)
        for j in range(80):
            file = source / f"d{i:02}" / f"f{j:03}"
            file.write_text(f"{i}/{j}")
            os.utime(file, (1_500_000_000 + j, 1_500_000_000 + j))
    # Of another second than the mount, whose root has no time of its own to begin with.
    os.utime(source, (1_500_000_000, 1_500_000_000))
    mounted = big(LONG, prefix="tree")  # a root of a bucket has no object to keep its time
    shell(f"rsync -a {source}/ .", mounted.path)
    mounted.unmount()
    mounted.mount()
    own_emulator.mark()
    assert shell(f"rsync -ai {source}/ .", mounted.path).stdout == ""
    counts = own_emulator.counts()
    assert set(counts) == {"ListObjectsV2"}
    assert counts["ListObjectsV2"] <= 40


def test_one_directory_of_a_hundred_thousand_objects(big: Mounts, own_emulator: Emulator) -> None:
    """The first names come with the first page; all of them stay within 60 MB."""
    own_emulator.fill(f"f{j:06}" for j in range(100_000))
    mounted = big("attributes=list", LONG)
    before = memory(mounted.daemon())
    own_emulator.mark()
    assert b"f000000" in first_names(mounted.path)
    assert own_emulator.counts()["ListObjectsV2"] <= 3
    assert shell("ls -U | wc -l", mounted.path).stdout.strip() == "100000"
    assert shell("ls -l | wc -l", mounted.path).stdout.strip() == "100001"
    assert own_emulator.counts()["ListObjectsV2"] <= 103
    assert memory(mounted.daemon()) - before < 60e6


def test_what_the_kernel_forgets_is_forgotten(big: Mounts, own_emulator: Emulator) -> None:
    """60,000 names walked: the inode table shrinks back when the caches are dropped."""
    own_emulator.fill(f"d{i:03}/f{j:04}" for i in range(60) for j in range(1000))
    mounted = big("attributes=list", LONG)
    assert shell("find . | wc -l", mounted.path).stdout.strip() == "60061"
    assert status(mounted)["inodes"] > 30_000
    shell("sync; echo 2 > /proc/sys/vm/drop_caches", mounted.path)
    until = time.monotonic() + 30
    while status(mounted)["inodes"] > 10 and time.monotonic() < until:
        time.sleep(0.1)
    assert status(mounted)["inodes"] <= 10
    # Numbers are made of names, so a file is the same one when it is seen again.
    assert len({os.stat(mounted.path / "d007" / "f0007").st_ino for _ in range(3)}) == 1


def test_the_bound_holds_for_what_the_kernel_knows_too(big: Mounts, own_emulator: Emulator) -> None:
    """S9.3: More names than cache_entries, all of them told: right, and let go of again."""
    own_emulator.fill(f"d{i:02}/f{j:03}" for i in range(50) for j in range(500))
    mounted = big("attributes=list", "cache_entries=2000", LONG)
    for _ in range(2):
        assert shell("ls -lR | grep -c ' f'", mounted.path).stdout.strip() == "25000"
    until = time.monotonic() + 30
    while status(mounted)["entries"] > 4000 and time.monotonic() < until:
        time.sleep(0.1)
        os.listdir(mounted.path / "d00")
    assert status(mounted)["entries"] <= 4000


def test_many_who_list_at_once_are_one_listing(big: Mounts, own_emulator: Emulator) -> None:
    own_emulator.fill(f"d/f{j:04}" for j in range(5000))
    mounted = big("attributes=list", LONG)
    own_emulator.mark()
    with ThreadPoolExecutor(64) as pool:
        seen = list(pool.map(lambda _: len(os.listdir(mounted.path / "d")), range(64)))
    assert seen == [5000] * 64
    assert own_emulator.counts()["ListObjectsV2"] <= 1 + 5 + 1  # the root, d, and an asking page


def foreign_changes(writer: MountedBucket) -> None:
    """Another mount changes one file, removes one and adds one."""
    (writer.path / "changed").write_text("longer than before")
    (writer.path / "removed").unlink()
    (writer.path / "added").write_text("new")


def seen(mounted: MountedBucket) -> dict[str, int]:
    """Sizes by stat, ls and open, which must agree."""
    found = {name: os.stat(mounted.path / name).st_size for name in os.listdir(mounted.path)}
    for name in ("changed", "removed", "added"):
        try:
            descriptor = os.open(mounted.path / name, os.O_RDONLY)
        except FileNotFoundError:
            assert name not in found
        else:
            assert os.fstat(descriptor).st_size == found[name]
            os.close(descriptor)
    return found


OLD = {"changed": 3, "removed": 3}
NEW = {"changed": 18, "added": 3}


@pytest.mark.parametrize("by", ["command", "path by path", "xattr", "ttl"])
def test_changes_of_others(mount: Mounts, by: str) -> None:
    """S9.1: Not seen while what is known is believed, and seen at once after a refresh or the
    ttl.
    """
    ttl = 3 if by == "ttl" else 3600
    prefix = f"others-{by.replace(' ', '-')}"
    writer = mount(prefix=prefix)
    for name in OLD:
        (writer.path / name).write_text("old")
    reader = mount(f"ttl={ttl}", prefix=prefix)
    with pytest.raises(FileNotFoundError):
        os.stat(reader.path / "added")
    assert seen(reader) == OLD
    began = time.monotonic()
    foreign_changes(writer)
    if by == "command":
        assert seen(reader) == OLD
        kontenumfs("refresh", "--recursive", reader.path)
    elif by == "path by path":
        for name in ("changed", "removed", "added"):
            kontenumfs("refresh", reader.path / name)
    elif by == "xattr":
        assert seen(reader) == OLD
        os.setxattr(reader.path, "user.kontenum.refresh", b"")
        until = time.monotonic() + 10  # the kernel is told by a thread, once this call has ended
        while seen(reader) != NEW and time.monotonic() < until:
            time.sleep(0.05)
    else:
        time.sleep(max(0.0, began + ttl + 0.1 - time.monotonic()))
    assert seen(reader) == NEW


@pytest.mark.parametrize("change", ["none", "unlink", "rename"])
def test_the_kernel_keeps_no_absent_name(mount: Mounts, change: str) -> None:
    """S9.1: So it needs no word when another host makes one, and the mount sends none."""
    mounted = mount(LONG, prefix=f"absent-{change}")
    name = mounted.path / "name"
    if change != "none":
        name.write_text("x")
        os.stat(name)
    if change == "unlink":
        name.unlink()
    elif change == "rename":
        name.rename(mounted.path / "other")

    def lookups() -> int:
        *_, last = ask(mounted.path, {"command": "status"})
        return sum(last["result"]["lookups"].values())

    before = lookups()
    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            os.stat(name)
    assert lookups() - before >= 3


def test_the_truth_by_xattr(mount: Mounts, emulator: Emulator) -> None:
    """S10.7: What the store has of a file, and what it has not."""
    mounted = mount(prefix="truth")

    def told(name: str) -> str:
        return os.getxattr(mounted.path / "f", f"user.kontenum.{name}").decode()

    with open(mounted.path / "f", "wb", buffering=0) as file:
        file.write(b"12345")
        assert told("state") in ("pending 5 bytes", "clean")  # clean after the append interval
    assert told("state") == "clean"
    assert told("key") == "truth/f"
    assert told("etag") == emulator.head("truth/f")["etag"].strip('"')
    assert told("request_id")
    emulator.fault(op="PutObject", key="truth/f", status=400, code="InvalidRequest", count=None)
    with pytest.raises(OSError, match="Input/output"):
        (mounted.path / "f").write_text("not stored")
    mounted.expected = "InvalidRequest"
    emulator.clear_faults()
    assert told("state") == "failed"
    assert "InvalidRequest" in told("last_error")
    (mounted.path / "f").write_text("stored")
    assert told("state") == "clean"
    with pytest.raises(OSError, match="No data"):
        told("last_error")


def test_directories_of_old_hadoop_tools(mount: Mounts, emulator: Emulator) -> None:
    """S9.6: `dir_$folder$` stands for a directory: seen, not counted as hidden, renamed and
    removed."""
    emulator.fill(["hadoop/a_$folder$", "hadoop/b_$folder$", "hadoop/b/file", "hadoop/c/"])
    mounted = mount(prefix="hadoop")
    assert sorted(os.listdir(mounted.path)) == ["a", "b", "c"]
    shell("mv b moved; rmdir a c; touch moved/more", mounted.path)
    mounted.unmount()
    mounted.mount()
    assert os.listdir(mounted.path) == ["moved"]
    assert sorted(os.listdir(mounted.path / "moved")) == ["file", "more"]
    assert not status(mounted)["hidden"]
