# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The main job: real files go in with real programs and come out of the CDN side as they were."""

import hashlib
import mmap
import os
from pathlib import Path

import pytest

from kontenumfs.protocol.content_type import guess_content_type
from tests.harness.emulator import Emulator
from tests.harness.mounts import MountFactory as Mounts
from tests.harness.mounts import run, shell


def real_tree(directory: Path, most: int = 400) -> Path:
    """Some real files of this machine, with their times."""
    source = directory / "source"
    files = [path for path in sorted(Path("/usr/share/doc").rglob("*")) if path.is_file()]
    for path in [path for path in files if not path.is_symlink()][:most]:
        target = source / path.relative_to("/usr/share/doc")
        target.parent.mkdir(parents=True, exist_ok=True)
        run("cp", "-p", path, target)
    (source / "page.html").write_text("<p>hello</p>")
    (source / "live.m3u8").write_text("#EXTM3U\n")
    (source / "name with spaces, +plus, %25 and ünïcödé.txt").write_text("odd\n")
    return source


def assert_same_through_cdn(emulator: Emulator, source: Path, prefix: str) -> None:
    """Every file of `source` is an object with the same bytes and a fitting Content-Type."""
    for path in source.rglob("*"):
        if path.is_file():
            body, headers = emulator.fetch_with_headers(f"{prefix}/{path.relative_to(source)}")
            assert body == path.read_bytes()
            assert headers["content-type"] == guess_content_type(path.name)


def test_cp_r_of_a_real_tree_arrives_whole(
    mount: Mounts, emulator: Emulator, tmp_path: Path
) -> None:
    """`cp -r`: identical bytes and right types through the CDN, one PutObject a file."""
    source = real_tree(tmp_path)
    mounted = mount(prefix="cp")
    run("cp", "-r", source, mounted.path / "tree")
    counts = emulator.counts()
    names = sum(1 for _ in source.rglob("*")) + 1
    assert counts["PutObject"] == names
    assert set(counts) <= {"PutObject", "HeadObject", "ListObjectsV2"}
    assert_same_through_cdn(emulator, source, "cp/tree")


def test_rsync_a_arrives_whole_and_sends_nothing_again(
    mount: Mounts, emulator: Emulator, tmp_path: Path
) -> None:
    """`rsync -a` twice: the second run, even after a remount, sends no file."""
    source = real_tree(tmp_path, 100)
    mounted = mount(prefix="rsync")
    run("rsync", "-a", f"{source}/", f"{mounted.path}/")
    assert_same_through_cdn(emulator, source, "rsync")
    again = run("rsync", "-ai", f"{source}/", f"{mounted.path}/")
    assert again.stdout == ""
    mounted.unmount()
    mounted.mount()
    emulator.mark()
    again = run("rsync", "-ai", f"{source}/", f"{mounted.path}/")
    assert "<f" not in again.stdout
    assert set(emulator.counts()) <= {"HeadObject", "ListObjectsV2"}


def test_a_long_sequential_write_grows_by_append_in_little_memory(
    mount: Mounts, emulator: Emulator, tmp_path: Path
) -> None:
    """dd of 256 MiB: one PutObject, then appends only; the daemon stays under 160 MiB."""
    data = tmp_path / "random"
    run("dd", "if=/dev/urandom", f"of={data}", "bs=1M", "count=256")
    mounted = mount()
    run("dd", f"if={data}", f"of={mounted.path}/big", "bs=1M")
    objects = [r["op"] for r in emulator.requests() if r["key"].endswith("/big")]
    writes = [op for op in objects if op != "HeadObject"]
    assert writes[0] == "PutObject"
    assert set(writes[1:]) == {"AppendObject"}
    assert mounted.peak_memory() < 160 << 20
    with open(data, "rb") as file:
        expected = hashlib.file_digest(file, "sha256").hexdigest()
    stored = emulator.fetch("test_a_long_sequential_write_grows_by_append_in_little_memory/big")
    assert hashlib.sha256(stored).hexdigest() == expected


def test_a_hundred_appended_lines_are_there_in_order(mount: Mounts, emulator: Emulator) -> None:
    """100 x `echo line >> log`: in order, and no request carries more than the new bytes."""
    mounted = mount(prefix="append")
    shell("for i in $(seq 100); do echo line $i >> log; done", mounted.path)
    expected = "".join(f"line {number}\n" for number in range(1, 101)).encode()
    assert emulator.fetch("append/log") == expected
    mine = [r for r in emulator.requests() if r["key"] == "append/log"]
    assert max(request["request_bytes"] for request in mine) <= len("line 100\n")
    assert sum(request["request_bytes"] for request in mine) == len(expected)


@pytest.mark.parametrize("command", ["cat f", "head -c 3 f", "md5sum f", "cp f /dev/null"])
def test_reading_is_permission_denied(mount: Mounts, emulator: Emulator, command: str) -> None:
    """Readers are told at once that they may not, also for what was just written."""
    mounted = mount()
    shell("echo secret > f", mounted.path)
    done = shell(command, mounted.path, check=False)
    assert done.returncode != 0
    assert "Permission denied" in done.stderr


def test_every_way_to_read_is_refused(mount: Mounts) -> None:
    """S8.1: read, pread on O_RDWR, and mmap: EACCES or ENODEV, and never a signal for
    MAP_SHARED.
    """
    mounted = mount()
    path = mounted.path / "f"
    path.write_bytes(b"just written")
    with pytest.raises(PermissionError):
        path.read_bytes()
    handle = os.open(path, os.O_RDWR)
    try:
        os.pwrite(handle, b"JUST", 12)
        with pytest.raises(PermissionError):
            os.pread(handle, 4, 0)
        with pytest.raises(OSError, match="No such device"):
            mmap.mmap(handle, 4, mmap.MAP_SHARED, mmap.PROT_READ)
    finally:
        os.close(handle)


def test_a_failed_copy_leaves_no_empty_object(mount: Mounts, emulator: Emulator) -> None:
    """S8.3: `dd if=a of=b` inside the mount cannot read a: b is not published as an empty file."""
    mounted = mount(prefix="failed")
    shell("echo content > a; echo old > b", mounted.path)
    shell("dd if=a of=c; dd if=a of=b", mounted.path, check=False)
    assert not emulator.exists("failed/c")
    assert emulator.fetch("failed/b") == b"old\n"


def test_listings_are_right_and_come_from_memory(mount: Mounts, emulator: Emulator) -> None:
    """ls -lR, find, du, stat, test -w: right sizes and times; again within the ttl: no request."""
    mounted = mount()
    script = "mkdir -p d/e; printf 12345 > d/five; touch -d '2001-02-03 04:05:06 UTC' d/e/old"
    shell(script, mounted.path)
    mounted.unmount()
    mounted.mount()
    first = shell("ls -lR --time-style=full-iso; find . -size 5c; du -ab d", mounted.path).stdout
    assert "2001-02-03 04:05:06.000000000" in first
    assert "./d/five" in first
    assert shell("stat -c '%s %Y' d/e/old", mounted.path).stdout == "0 981173106\n"
    shell("test -w d/five", mounted.path)
    emulator.mark()
    assert (
        shell("ls -lR --time-style=full-iso; find . -size 5c; du -ab d", mounted.path).stdout
        == first
    )
    assert emulator.requests() == []
