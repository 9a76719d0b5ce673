# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Uploads that stall hold up nobody but who waits for them."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import (
    MountedBucket,
    MountFactory,
    await_end,
    kontenumfs,
    run,
    shell,
    wait_until,
)

STALLED = 200
"""Far more than there are connections."""
HANGS = 600.0
MIB = 1 << 20


PROGRAM = """
import os, sys, threading
def write(number):
    try:
        handle = os.open(f"{sys.argv[1]}/stalled-{number}", os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            rest = memoryview(bytes(int(sys.argv[3])))
            while rest:
                rest = rest[os.write(handle, rest):]
        finally:
            os.close(handle)
    except OSError:
        print("failed", flush=True)
for number in range(int(sys.argv[2])):
    threading.Thread(target=write, args=(number,)).start()
"""
"""Writes files side by side and closes them; in a process of its own, for a child of the test would
close what it has inherited, and wait for that."""


class Writers:
    """Programs that write a file each and close it."""

    def __init__(self, mounted: MountedBucket, size: int) -> None:
        self._said = mounted.log.with_name("writers")
        words = [sys.executable, "-c", PROGRAM, str(mounted.path), str(STALLED), str(size)]
        with self._said.open("w") as said:
            self.process = subprocess.Popen(words, stdout=said)

    @property
    def failed(self) -> int:
        """How many were told that their bytes are not stored."""
        return self._said.read_text().count("failed")


@contextmanager
def stalled(mounted: MountedBucket, emulator: Emulator, size: int = 2) -> Iterator[Writers]:
    """Uploads that hang at the store while the block runs."""
    emulator.fault(op="PutObject", key=mounted.key("stalled-*"), delay=HANGS, count=None)
    writers = Writers(mounted, size)
    try:
        wait_until(lambda: sum(fault["seen"] for fault in emulator.faults()) >= 10)
        yield writers
        writers.process.wait(120)
    finally:
        writers.process.kill()
        writers.process.wait()


def test_what_memory_knows_is_answered_while_uploads_stall(
    mount: MountFactory, own_emulator: Emulator
) -> None:
    """S9.9: FAULTS 5.1: ls, stat and statfs of a cached directory, and a write of another key."""
    mounted = mount("deadline=30", server=own_emulator)
    mounted.expected = "stalled|not stored|could not"
    shell("mkdir cached; touch cached/{1..9}; ls -l cached", mounted.path)
    with stalled(mounted, own_emulator) as writers:
        for _ in range(3):
            run("stat", mounted.path / "cached" / "1")
            run("ls", "-l", mounted.path / "cached")
            os.statvfs(mounted.path)
        shell("echo stored > other", mounted.path)
        assert mounted.fetch("other") == b"stored\n"
        assert not writers.failed, "some were asked after the stalled ones had ended"
    assert writers.failed == STALLED
    assert mounted.peak_memory() < 200 * MIB
    own_emulator.clear_faults()
    kontenumfs("unmount", mounted.path)


def test_memory_stays_bounded_while_large_writes_stall(
    mount: MountFactory, own_emulator: Emulator
) -> None:
    """FAULTS 5.1: 200 programs write a MiB each, of which memory takes a part."""
    mounted = mount("deadline=2", "memory=16M", server=own_emulator)
    mounted.expected = "stalled|not stored|could not"
    with stalled(mounted, own_emulator, size=MIB):
        os.statvfs(mounted.path)
        run("stat", mounted.path)
    assert mounted.peak_memory() < 200 * MIB
    own_emulator.clear_faults()
    kontenumfs("unmount", mounted.path)


def test_the_end_comes_in_one_deadline_while_uploads_stall(
    mount: MountFactory, own_emulator: Emulator
) -> None:
    """SIGTERM: nobody has to kill the daemon, and what was not stored is told."""
    mounted = mount("deadline=10", server=own_emulator)
    mounted.expected = "stalled|not stored|could not|were not sent"
    with stalled(mounted, own_emulator):
        daemon = mounted.daemon()
        os.kill(daemon, signal.SIGTERM)
        await_end(daemon)
    assert "Traceback" not in mounted.log.read_text()


def test_a_close_of_many_fragments_ends_in_one_deadline(
    mount: MountFactory, own_emulator: Emulator
) -> None:
    """FAULTS 5.3: each request is answered, after a second; all of them would take minutes."""
    mounted = mount("deadline=3", server=own_emulator)
    mounted.expected = "not stored|could not|left behind|no progress|no answer"
    path = mounted.path / "file"
    path.write_bytes(bytes(8 * MIB))
    with path.open("r+b") as file:
        file.seek(MIB)
        file.write(b"\0")  # by now it is known what the store can do
    handle = os.open(path, os.O_WRONLY)
    for number in range(400):
        os.pwrite(handle, b"x", number * 20_000)
    own_emulator.fault(op="*", key=mounted.key("*"), delay=1.0, count=None)
    own_emulator.mark()
    with pytest.raises(OSError, match=os.strerror(errno.ETIMEDOUT)):
        os.close(handle)
    assert sum(own_emulator.counts().values()) < 400
    own_emulator.clear_faults()
    assert mounted.fetch("file") == bytes(8 * MIB)
    kontenumfs("unmount", mounted.path)
