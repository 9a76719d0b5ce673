# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What has lost its name: deleted here while it is open, deleted by others, never stored."""

import errno
import os
import signal
from pathlib import Path

import pytest

from tests.harness.mounts import MountedBucket, MountFactory, kontenumfs, run, shell, wait_until
from tests.harness.objects import ObjectStore


def entries(path: Path) -> list[str]:
    """What readdir says, in its order."""
    return run("ls", "-aU1", path).stdout.splitlines()


def test_a_directory_lists_itself_and_the_one_above(mounted: MountedBucket) -> None:
    """Once each, before the rest, also where the rest comes in several answers."""
    shell("mkdir d; for i in {1..300}; do echo > d/f$i; done; mkdir d/e", mounted.path)
    for _ in range(2):
        assert entries(mounted.path) == [".", "..", "d"]
        found = entries(mounted.path / "d")
        assert found[:2] == [".", ".."]
        assert len(found) == len(set(found)) == 303
        assert entries(mounted.path / "d/e") == [".", ".."]
        shell("ls -la . d d/e; find . > /dev/null", mounted.path)
        mounted.unmount()
        mounted.mount()
    top, directory = (path.stat().st_ino for path in (mounted.path, mounted.path / "d"))
    shown = run("ls", "-aU1i", mounted.path / "d").stdout.split()
    assert shown[:4] == [str(directory), ".", str(top), ".."]


def test_a_deleted_open_file_keeps_its_size(mounted: MountedBucket) -> None:
    """fstat of what only a descriptor has, which can still be written, cut and copied from."""
    path = mounted.path / "f"
    with open(path, "wb", buffering=0) as file:
        file.write(b"content")
        path.unlink()
        assert os.fstat(file.fileno()).st_size == 7
        assert os.fstat(file.fileno()).st_nlink == 0
        file.write(b"more")
        assert os.fstat(file.fileno()).st_size == 11
        file.truncate(5)
        assert os.fstat(file.fileno()).st_size == 5
        os.fsync(file.fileno())
    assert os.listdir(mounted.path) == []
    path.write_bytes(b"stored")
    with open(path, "rb") as file:
        path.unlink()
        assert os.fstat(file.fileno()).st_size == 6
    mounted.unmount()
    assert not mounted.exists("f")


def test_a_deleted_file_is_not_written_under_its_old_name(mounted: MountedBucket) -> None:
    """By /proc/self/fd of one who has it open: the name is another file's now."""
    path = mounted.path / "f"
    path.write_bytes(b"old")
    descriptor = os.open(path, os.O_RDONLY)
    path.unlink()
    path.write_bytes(b"new")
    for flags in (os.O_WRONLY, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
        with pytest.raises(OSError, match=os.strerror(errno.ESTALE)):
            os.open(f"/proc/self/fd/{descriptor}", flags)
    os.close(descriptor)
    mounted.unmount()
    assert mounted.fetch("f") == b"new"


def test_a_name_that_was_not_published_gives_way_to_the_next(mounted: MountedBucket) -> None:
    """dd from a file that cannot be read creates a name, and stores nothing."""
    shell("echo x > source", mounted.path)
    for content in ("one", "two"):
        shell("! dd if=source of=f", mounted.path)
        assert os.listdir(mounted.path) == ["source"]
        (mounted.path / "f").write_text(content)
        assert (mounted.path / "f").stat().st_size == 3
        assert mounted.fetch("f") == content.encode()
        shell("rm -f f", mounted.path)
        assert not mounted.exists("f")


def test_nothing_is_made_in_a_directory_that_is_gone(mounted: MountedBucket) -> None:
    """By a process that is in it still; the directory of that name is another one now."""
    made = (
        "for c in 'echo x > f' 'mkdir e' 'mv ../file .'; do ( eval $c ) 2>/dev/null && exit 1; done"
    )
    shell(f"echo > file; mkdir d; cd d; rmdir ../d; mkdir ../d; {made}; true", mounted.path)
    assert sorted(os.listdir(mounted.path)) == ["d", "file"]
    assert os.listdir(mounted.path / "d") == []


@pytest.mark.parametrize("how", ["ttl", "refresh", "SIGHUP"])
def test_a_directory_goes_when_another_host_deletes_it(
    mount: MountFactory, store: ObjectStore, how: str
) -> None:
    """One that this mount has made, and one that it has written into."""
    store.put("theirs/file", b"1")
    here, there = mount("ttl=1" if how == "ttl" else "ttl=1h"), mount("ttl=0")
    shell("mkdir made; echo 1 > theirs/mine; mkdir theirs/made; ls -R", here.path)
    shell("rm -r made theirs", there.path)
    if how == "refresh":
        kontenumfs("refresh", here.path)
    elif how == "SIGHUP":
        os.kill(here.daemon(), signal.SIGHUP)
    wait_until(lambda: os.listdir(here.path) == [])
    wait_until(lambda: not (here.path / "made").exists())
    shell("mkdir made theirs", here.path)
