# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""`kontenumfs unmount`: what is pending is waited for and shown, what is lost is named."""

import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from kontenumfs.admin.mounts import is_mountpoint
from kontenumfs.protocol.exits import Exit
from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, await_end, called, kontenumfs

LATE = ".late.ABCDEF"
"""A name as rsync makes it: held back until its rename, so pending for a while after close."""


def write_late(mounted: MountedBucket) -> None:
    """Make a file that is closed and not stored yet."""
    with called("rsync"):
        descriptor = os.open(mounted.path / LATE, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    os.write(descriptor, b"pending")
    os.close(descriptor)


def test_what_is_pending_is_stored(mounted: MountedBucket) -> None:
    """Nothing is left behind by an unmount in good order."""
    write_late(mounted)
    mounted.unmount()
    assert mounted.fetch(LATE) == b"pending"


def test_what_was_lost_is_named(mounted: MountedBucket, emulator: Emulator) -> None:
    """The daemon could not store it: the user who unmounts hears so, by an exit code too."""
    emulator.fault(op="PutObject", count=None, status=403, code="AccessDenied")
    write_late(mounted)
    done = kontenumfs("unmount", mounted.path, check=False)
    assert done.returncode == Exit.FAILED
    assert len(done.stderr.splitlines()) == 1
    assert LATE in done.stderr
    assert not is_mountpoint(mounted.path)
    mounted.expected = "not stored|ended|could not|was not"


def test_a_mount_in_use_is_not_unmounted(mounted: MountedBucket) -> None:
    """The line says how to find who uses it; the mount goes on."""
    with open(mounted.path / "open", "w") as file:
        file.write("con")
        done = kontenumfs("unmount", mounted.path, check=False)
        assert done.returncode == Exit.MOUNTPOINT
        assert f"fuser -vm {mounted.path}" in done.stderr
        assert "--force" in done.stderr
        file.write("tent")
    assert mounted.fetch("open") == b"content"


def test_force_stores_what_is_open(mounted: MountedBucket) -> None:
    """Out of the tree although a program has a file open; what it wrote so far is stored."""
    descriptor = os.open(mounted.path / "open", os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, b"content")
    kontenumfs("unmount", "--force", mounted.path)
    assert not is_mountpoint(mounted.path)
    assert mounted.fetch("open") == b"content"
    with pytest.raises(OSError, match="not connected"):
        os.write(descriptor, b"more")
    with suppress(OSError):
        os.close(descriptor)


def test_force_ends_a_daemon_that_hangs(mounted: MountedBucket) -> None:
    """Killed when its time is over, and that is an error."""
    pid = mounted.daemon()
    os.kill(pid, signal.SIGSTOP)
    done = kontenumfs("unmount", "--force", "--timeout", "0.5", mounted.path, check=False)
    assert done.returncode == Exit.FAILED
    assert "was killed" in done.stderr
    assert not is_mountpoint(mounted.path)
    await_end(pid)


def test_a_dead_mount_is_taken_away(mounted: MountedBucket) -> None:
    """Nobody answers any more, and nothing can be waited for."""
    mounted.kill()
    kontenumfs("unmount", mounted.path)
    assert not is_mountpoint(mounted.path)


def test_a_terminal_sees_what_is_pending(mounted: MountedBucket, emulator: Emulator) -> None:
    """Bytes and files, while the store takes its time."""
    emulator.fault(op="PutObject", count=1, delay=1.0)
    write_late(mounted)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "kontenumfs", "unmount", str(mounted.path)]
    with subprocess.Popen(command, stderr=theirs) as process:
        os.close(theirs)
        assert process.wait(30) == 0
    said = os.read(ours, 65536).decode()
    os.close(ours)
    assert "storing 7 bytes of 1 files" in said


def test_the_daemon_of_the_last_mount_still_works(
    mounted: MountedBucket, emulator: Emulator
) -> None:
    """Mounting again meanwhile is refused in one line, not a fault."""
    emulator.fault(op="PutObject", count=1, delay=5.0)
    write_late(mounted)
    command = [sys.executable, "-m", "kontenumfs", "unmount", str(mounted.path)]
    pid = mounted.daemon()
    with subprocess.Popen(command) as process:
        while is_mountpoint(Path(mounted.path)):
            pass
        done = kontenumfs("mount", *mounted.words, check=False)
        assert process.wait(30) == 0
    assert done.returncode == Exit.MOUNTPOINT
    assert f"(process {pid}) has not ended" in done.stderr
    mounted.expected = "has not ended"
