# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Programs that meet in one file or directory of a mount, and requests that no object can hold."""

import errno
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, run, shell, wait_until


@contextmanager
def at_the_same_time(call: Callable[[], object]) -> Iterator[None]:
    """`call` runs while the block does, and has ended after it."""
    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def under_way(mounted: MountedBucket, words: str) -> Callable[[], bool]:
    """Whether the daemon's log has these words."""
    return lambda: words in mounted.log.read_text()


def test_a_truncating_shell_meets_the_end_of_the_one_before(
    mounted: MountedBucket, emulator: Emulator
) -> None:
    """The first `>` is stored behind the shell's back; the second one must not meet its end."""
    emulator.fault(op="PutObject", key=mounted.key("f"), delay=0.5)
    shell(": > f; sleep 0.1; echo hi > f", mounted.path)
    assert mounted.fetch("f") == b"hi\n"


def test_mv_meets_a_close(mounted: MountedBucket, emulator: Emulator) -> None:
    """What is being stored under the old name ends under the new one, and only there."""
    emulator.fault(op="PutObject", key=mounted.key("f"), delay=1.0)
    descriptor = os.open(mounted.path / "f", os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, b"precious")
    with at_the_same_time(lambda: os.close(descriptor)):
        wait_until(under_way(mounted, "put 8"))
        (mounted.path / "f").rename(mounted.path / "g")
    assert mounted.fetch("g") == b"precious"
    assert not mounted.exists("f")


def test_a_line_below_a_directory_that_is_renamed(
    mounted: MountedBucket, emulator: Emulator
) -> None:
    """S5.9: It is appended to the file under its new name."""
    shell("mkdir d; echo old > d/f; echo old > d/slow", mounted.path)
    emulator.fault(op="CopyObject", key=mounted.key("e/slow"), delay=2.0)
    rename = subprocess.Popen(["mv", "d", "e"], cwd=mounted.path)
    wait_until(lambda: mounted.exists("e/f"))
    with (mounted.path / "d" / "f").open("ab", buffering=0) as file:
        file.write(b"new\n")
    assert rename.wait() == 0
    assert mounted.fetch("e/f") == b"old\nnew\n"
    assert not mounted.exists("d/f")


def test_mknod_that_is_refused_leaves_nothing(mounted: MountedBucket, emulator: Emulator) -> None:
    """The name can be used as soon as the store takes it."""
    emulator.fault(op="PutObject", key=mounted.key("f"), status=403, code="AccessDenied")
    with pytest.raises(PermissionError):
        os.mknod(mounted.path / "f", 0o100644)
    emulator.clear_faults()
    wait_until(lambda: not (mounted.path / "f").exists())
    (mounted.path / "f").write_bytes(b"content")
    assert mounted.fetch("f") == b"content"


def test_a_file_of_any_size(mounted: MountedBucket) -> None:
    """256 GiB of nothing are composed, and the mount answers meanwhile; 1 PiB is EFBIG."""
    making = subprocess.Popen(["truncate", "-s", "256G", "huge"], cwd=mounted.path)
    run("ls", "-la", str(mounted.path))
    assert making.wait() == 0
    assert (mounted.path / "huge").stat().st_size == 256 << 30
    with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        os.truncate(mounted.path / "huge", 1 << 50)
    assert mounted.peak_memory() < 160 << 20
