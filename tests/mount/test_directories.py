# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Renaming directories: every object gets a new key, and none is lost on the way."""

import errno
import os
from contextlib import suppress

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory, shell
from tests.mount.test_files import eventually


@pytest.fixture
def mounted(mount: MountFactory) -> MountedBucket:
    """A mount with a small tree."""
    made = mount()
    shell("mkdir -p old/deep/empty; for i in $(seq 40); do echo $i > old/deep/f$i; done", made.path)
    return made


def test_everything_follows(mounted: MountedBucket, emulator: Emulator) -> None:
    """Bytes, modes, times, empty directories, and what was set a moment ago."""
    shell("mkdir p; echo x > p/x; mv p q; rm -r q", mounted.path)  # proofs are not to be counted
    emulator.mark()
    shell("chmod 600 old/deep/f1; touch -d @1000000000 old/deep/f2; mv old new", mounted.path)
    mounted.unmount()
    mounted.mount()
    assert sorted(os.listdir(mounted.path)) == ["new"]
    assert os.listdir(mounted.path / "new/deep/empty") == []
    for number in range(1, 41):
        assert mounted.fetch(f"new/deep/f{number}") == f"{number}\n".encode()
        assert not mounted.exists(f"old/deep/f{number}")
    assert (mounted.path / "new/deep/f1").stat().st_mode & 0o777 == 0o600
    assert (mounted.path / "new/deep/f2").stat().st_mtime == 1_000_000_000
    assert emulator.counts()["DeleteObjects"] == 1


def test_open_files_follow(mounted: MountedBucket) -> None:
    """A log that is written while its directory is renamed."""
    with open(mounted.path / "old/log", "ab", buffering=0) as log:
        log.write(b"before\n")
        os.rename(mounted.path / "old", mounted.path / "new")
        log.write(b"after\n")
    assert mounted.fetch("new/log") == b"before\nafter\n"
    assert not mounted.exists("old/log")


def test_targets(mounted: MountedBucket) -> None:
    """S9.8: Over an empty directory; not over a full one, nor over a file."""
    path = mounted.path
    shell("mkdir empty full; echo x > full/x; echo x > file", path)
    for target, error in (("full", errno.ENOTEMPTY), ("file", errno.ENOTDIR)):
        with pytest.raises(OSError, match=os.strerror(error)):
            os.rename(path / "old", path / target)
    with pytest.raises(OSError, match=os.strerror(errno.EISDIR)):
        os.rename(path / "file", path / "full")
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        os.rename(path / "old", path / "old/deep/inside")
    os.rename(path / "old", path / "empty")
    assert mounted.fetch("empty/deep/f1") == b"1\n"
    assert sorted(os.listdir(path)) == ["empty", "file", "full"]


def test_a_failure_leaves_the_old_name(mounted: MountedBucket, emulator: Emulator) -> None:
    """S5.7: Copies that fail: nothing was deleted, and the rename can be repeated over its
    remains.
    """
    path = mounted.path
    emulator.fault(op="CopyObject", key="*/f7", status=403, code="AccessDenied")
    with pytest.raises(PermissionError):
        os.rename(path / "old", path / "new")
    for number in range(1, 41):
        assert mounted.fetch(f"old/deep/f{number}") == f"{number}\n".encode()
    mounted.unmount()
    mounted.mount()
    os.rename(path / "old", path / "new")
    for number in range(1, 41):
        assert mounted.fetch(f"new/deep/f{number}") == f"{number}\n".encode()
    assert sorted(os.listdir(path)) == ["new"]


def test_a_killed_daemon_leaves_nothing_for_good(mount: MountFactory, emulator: Emulator) -> None:
    """S11.3: kill -9 in the midst of a staged upload: the next start drops its parts and
    helpers.
    """
    mounted = mount("publish=atomic,chunk_size=5M")
    handle = os.open(mounted.path / "f", os.O_WRONLY | os.O_CREAT)
    os.write(handle, os.urandom(12 << 20))
    mounted.kill()
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        os.fsync(handle)
    with suppress(OSError):
        os.close(handle)
    begun = {r["key"] for r in emulator.requests() if r["op"] == "CreateMultipartUpload"}
    (key,) = (key for key in begun if "/probe-" not in key)
    assert "/.kontenumfs/" in key
    mounted.unmount()
    mounted.mount()
    eventually(
        lambda: ("AbortMultipartUpload", key) in {(r["op"], r["key"]) for r in emulator.requests()}
    )
    assert os.listdir(mounted.path) == []
    with pytest.raises(PermissionError):
        (mounted.path / ".kontenumfs").mkdir()
