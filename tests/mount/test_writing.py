# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Writing as programs do it: whole files, appends, truncations, and what is not possible yet."""

import os
import random
from contextlib import suppress
from pathlib import Path

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory, run, shell
from tests.harness.objects import ObjectStore

MIB = 1 << 20


def noise(length: int) -> bytes:
    """Bytes that are the same in every run and repeat nowhere."""
    return random.Random(length).randbytes(length)


def test_a_small_file_is_one_request(mounted: MountedBucket, emulator: Emulator) -> None:
    """create, write, close: one PutObject with everything, and no empty object before it."""
    (mounted.path / "file.html").write_bytes(b"<p>hello</p>")
    counts = emulator.counts()
    assert counts["PutObject"] == 1
    assert set(counts) <= {"PutObject", "HeadObject", "ListObjectsV2"}
    assert emulator.sent() == 12


def test_nothing_is_published_before_something_is_there(mounted: MountedBucket) -> None:
    """An open file has no object until it is flushed or closed; fsync stores it."""
    with open(mounted.path / "file", "wb") as file:
        file.write(b"first")
        assert not mounted.exists("file")
        file.flush()
        os.fsync(file.fileno())
        assert mounted.fetch("file") == b"first"
        file.write(b"second")
    assert mounted.fetch("file") == b"firstsecond"


def test_empty_files(mounted: MountedBucket, emulator: Emulator) -> None:
    """S1.2: touch, `> file` and truncate -s 0 make empty objects."""
    shell("touch a; > b; echo content > c; truncate -s 0 c; : > d", mounted.path)
    for name in "abcd":
        assert (mounted.path / name).stat().st_size == 0
    mounted.unmount()  # an empty file is stored at release, a moment after close
    for name in "abcd":
        assert mounted.fetch(name) == b""


def test_overwriting_replaces_the_whole_object(mounted: MountedBucket) -> None:
    """cp onto a file, `>` and open("w"): the old content is gone, however long it was."""
    path = mounted.path / "file"
    path.write_bytes(noise(100_000))
    path.write_bytes(b"short")
    assert mounted.fetch("file") == b"short"
    shell("echo shell > file", mounted.path)
    assert mounted.fetch("file") == b"shell\n"
    run("cp", "/etc/hostname", path)
    assert mounted.fetch("file") == Path("/etc/hostname").read_bytes()


def test_whoever_fetches_an_overwritten_object_sees_old_or_new(mounted: MountedBucket) -> None:
    """S2.3: A large file is replaced in one step, when it is closed."""
    (mounted.path / "file").write_bytes(b"old")
    new = noise(20 * MIB)
    with open(mounted.path / "file", "wb") as file:
        file.write(new)
        assert mounted.fetch("file") == b"old"
    assert mounted.fetch("file") == new


def test_a_new_large_file_can_be_followed(mounted: MountedBucket) -> None:
    """S2.1: A new name grows while it is written, so that a viewer sees what is there."""
    data = noise(20 * MIB)
    with open(mounted.path / "live", "wb") as file:
        file.write(data[: 18 * MIB])
        os.fsync(file.fileno())
        assert mounted.fetch("live") == data[: 18 * MIB]
        file.write(data[18 * MIB :])
    assert mounted.fetch("live") == data


@pytest.mark.parametrize("block", [1, 4095, 4096, 131072, 1048577, 9 * MIB])
def test_any_block_size(mounted: MountedBucket, tmp_path: Path, block: int) -> None:
    """dd with blocks of any size stores the same bytes."""
    source = tmp_path / "source"
    source.write_bytes(noise(min(block * 2000 + 17, 18 * MIB + 5)))
    run("dd", f"if={source}", f"of={mounted.path}/file", f"bs={block}")
    assert mounted.fetch("file") == source.read_bytes()


def test_sizes_around_a_chunk(mounted: MountedBucket) -> None:
    """One byte less, exactly, and one byte more than what is sent at once."""
    for chunks in (1, 2):
        for difference in (-1, 0, 1):
            data = noise(chunks * 8 * MIB + difference)
            (mounted.path / "file").write_bytes(data)
            (mounted.path / "file").unlink()
            (mounted.path / "file").write_bytes(data)
            assert mounted.fetch("file") == data


def test_appending_sends_only_the_new_bytes(mounted: MountedBucket, emulator: Emulator) -> None:
    """`>>`, and writing at the end without O_APPEND (tail of rsync --append)."""
    (mounted.path / "file").write_bytes(noise(3 * MIB))
    emulator.mark()
    shell("echo appended >> file", mounted.path)
    with open(mounted.path / "file", "r+b", buffering=0) as file:
        file.seek(0, os.SEEK_END)
        file.write(b"at the end")
    assert emulator.sent() < 1000
    assert mounted.fetch("file") == noise(3 * MIB) + b"appended\nat the end"


def test_appending_to_what_another_program_wrote(
    mount: MountFactory, store: ObjectStore, emulator: Emulator
) -> None:
    """S10.4: An object of anybody; its type and metadata stay."""
    store.put("log.txt", b"one\n", ContentType="text/special", Metadata={"own": "kept"})
    mounted = mount()
    shell("echo two >> log.txt", mounted.path)
    assert mounted.fetch("log.txt") == b"one\ntwo\n"
    head = store.head("log.txt")
    assert head["ContentType"] == "text/special"
    assert head["Metadata"]["own"] == "kept"
    assert (mounted.path / "log.txt").stat().st_size == 8


def test_appending_to_a_missing_file_makes_it(mounted: MountedBucket) -> None:
    """`>>` on a new name."""
    shell("echo one >> new; echo two >> new", mounted.path)
    assert mounted.fetch("new") == b"one\ntwo\n"


def test_a_long_log_in_one_handle(mounted: MountedBucket, emulator: Emulator) -> None:
    """A logger that keeps its file open: each fsync makes the new lines visible, no more."""
    with open(mounted.path / "log", "ab", buffering=0) as log:
        for number in range(20):
            log.write(b"line %d\n" % number)
            if number % 5 == 4:
                os.fsync(log.fileno())
                assert mounted.fetch("log").count(b"\n") == number + 1
    assert emulator.sent(mounted.key("log")) == len(mounted.fetch("log"))


def test_holes_are_filled_with_zeros(mounted: MountedBucket, tmp_path: Path) -> None:
    """A sparse source, a seek beyond the end, and truncate to a greater size."""
    sparse = tmp_path / "sparse"
    with open(sparse, "wb") as file:
        file.seek(3 * MIB)
        file.write(b"end")
        file.truncate(5 * MIB)
    run("cp", sparse, mounted.path / "copied")
    assert mounted.fetch("copied") == sparse.read_bytes()
    shell("printf 123 > grown; truncate -s 10 grown", mounted.path)
    assert mounted.fetch("grown") == b"123" + bytes(7)


def test_random_writes_within_what_is_not_sent_yet(mounted: MountedBucket) -> None:
    """A program that goes back, as long as the bytes are here: any order."""
    with open(mounted.path / "file", "wb", buffering=0) as file:
        file.write(b"0123456789")
        file.seek(2)
        file.write(b"ab")
        file.seek(12)
        file.write(b"cd")
        file.seek(0)
        file.write(b"X")
        file.truncate(13)
    assert mounted.fetch("file") == b"X1ab456789\0\0c"


@pytest.mark.parametrize("size", [4, 12 * MIB])
def test_what_is_not_possible_yet_harms_nothing(mounted: MountedBucket, size: int) -> None:
    """A write in the middle of a stored file, or cutting it: done right, or a clean error."""
    old = noise(size)
    (mounted.path / "file").write_bytes(old)
    for change, expected in (
        ("printf X | dd of=file bs=1 seek=2 conv=notrunc", old[:2] + b"X" + old[3:]),
        ("truncate -s 2 file", old[:2]),
    ):
        done = shell(change, mounted.path, check=False)
        if done.returncode:
            assert "not supported" in done.stderr
            assert mounted.fetch("file") == old
            assert (mounted.path / "file").stat().st_size == len(old)
        else:
            assert mounted.fetch("file") == expected
            (mounted.path / "file").write_bytes(old)


def test_going_back_over_bytes_that_are_sent(mounted: MountedBucket) -> None:
    """An mp4 that is finished by a seek to its start: done right, or an error, never silence."""
    data = noise(24 * MIB)
    handle = os.open(mounted.path / "movie.mp4", os.O_WRONLY | os.O_CREAT)
    os.write(handle, data)
    expected = data
    with suppress(OSError):
        os.pwrite(handle, b"moov", 0)
        expected = b"moov" + data[4:]
    os.close(handle)
    assert mounted.fetch("movie.mp4") == expected


def test_programs_that_copy_files(mounted: MountedBucket, tmp_path: Path) -> None:
    """cp -a, install, mv from another file system, tar, cat with pipes, tee."""
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / "source"
    source.write_bytes(noise(200_000))
    run("cp", "-a", source, mounted.path / "cp")
    run("install", "-D", "-m", "600", source, mounted.path / "some/where/install")
    shell(f"cat {source} | tee {mounted.path}/tee > /dev/null", tmp_path)
    shell(f"tar c in | tar x -C {mounted.path}", tmp_path)
    run("mv", source, mounted.path / "mv")
    assert not source.exists()
    for name in ("cp", "some/where/install", "tee", "in/source", "mv"):
        assert mounted.fetch(name) == noise(200_000), name
    assert (mounted.path / "some/where/install").stat().st_mode & 0o777 == 0o600


def test_an_atomic_save(mounted: MountedBucket) -> None:
    """What editors do: write a temporary file, fsync it, rename it over the old one."""
    path = mounted.path / "settings.json"
    path.write_text("old")
    with open(mounted.path / ".settings.json.swp", "w") as file:
        file.write("new")
        file.flush()
        os.fsync(file.fileno())
    os.replace(mounted.path / ".settings.json.swp", path)
    assert mounted.fetch("settings.json") == b"new"
    assert os.listdir(mounted.path) == ["settings.json"]


def test_reading_programs_do_no_harm(mounted: MountedBucket) -> None:
    """sed -i, sort -o, gzip: they cannot read, say so, and the files stay as they were."""
    shell("printf 'b\\na\\n' > file", mounted.path)
    for command in ("sed -i s/a/c/ file", "sort -o file file", "gzip file", "dd if=file of=copy"):
        done = shell(command, mounted.path, check=False)
        assert done.returncode != 0, command
        assert "ermission denied" in done.stderr or "couldn't" in done.stderr, done.stderr
        assert mounted.fetch("file") == b"b\na\n"
    assert not mounted.exists("copy")


def test_deny_open_refuses_at_open(mount: MountFactory) -> None:
    """S8.2: -o deny_open: for those who prefer it; writing is as ever."""
    mounted = mount("deny_open")
    (mounted.path / "file").write_text("content")
    with pytest.raises(PermissionError):
        os.open(mounted.path / "file", os.O_RDONLY)


def test_df_shows_room(mounted: MountedBucket) -> None:
    """df and statvfs: plenty of room, so that installers go on."""
    lines = run("df", "--output=avail,fstype", "-B1G", mounted.path).stdout.split()
    assert int(lines[-2]) > 1000
    assert lines[-1] == "fuse.kontenumfs"
    assert os.statvfs(mounted.path).f_namemax == 255
