# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""How a daemon in the foreground ends: its exit status is the truth, whatever signals come."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from kontenumfs.admin.mounts import is_mountpoint
from kontenumfs.daemon.signals import ENDING, IGNORED
from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator
from tests.harness.mounts import PROMPTLY, called, kontenumfs, run, wait_until


class Foreground:
    """`kontenumfs mount -f`, as a service manager runs it."""

    def __init__(self, directory: Path, emulator: Emulator) -> None:
        self.path = directory / "mnt"
        self.path.mkdir()
        keys = directory / "keys"
        keys.write_text(f"{ACCESS}:{SECRET}\n")
        keys.chmod(0o600)
        self._said = directory / "stderr"
        options = f"endpoint={emulator.s3_url},credentials_file={keys},cache_dir=none"
        words = ["mount", "-f", "-o", options, f"{BUCKET}/stopping", str(self.path)]
        with open(self._said, "w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kontenumfs", *words], stderr=stderr
            )
        wait_until(lambda: "mounted" in self.said)

    @property
    def said(self) -> str:
        """Everything on its stderr."""
        return self._said.read_text()

    def write_late(self, name: str = ".late.ABCDEF") -> None:
        """Make a file that is closed and not stored yet."""
        with called("rsync"):
            late = os.open(self.path / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        os.write(late, b"content")
        os.close(late)

    def end(self) -> int:
        """Its exit status; signals keep coming until it has one."""
        until = time.monotonic() + PROMPTLY
        while self.process.poll() is None and time.monotonic() < until:
            with suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)
            time.sleep(0.001)
        return self.process.wait(PROMPTLY)


@pytest.fixture
def foreground(fuse: None, tmp_path: Path, emulator: Emulator) -> Foreground:
    """A mount in the foreground; each test ends it."""
    return Foreground(tmp_path, emulator)


@pytest.mark.parametrize("unmounted", [True, False])
def test_signals_do_not_hide_a_loss(
    foreground: Foreground, emulator: Emulator, unmounted: bool
) -> None:
    """Exit code 1 and the name of the file, though SIGTERM comes at every moment of the end."""
    foreground.write_late()
    emulator.fault(op="PutObject", count=None, status=403, code="AccessDenied")
    if unmounted:
        run("fusermount3", "-u", foreground.path)
    assert foreground.end() == 1
    assert "kontenumfs: 1 files could not be stored: stopping/.late.ABCDEF" in foreground.said
    assert "Traceback" not in foreground.said
    assert not is_mountpoint(foreground.path)


def test_signals_do_not_cut_the_end_short(foreground: Foreground, emulator: Emulator) -> None:
    """What is pending is stored, and the exit code is 0."""
    foreground.write_late()
    emulator.fault(op="PutObject", delay=0.5)
    run("fusermount3", "-u", foreground.path)
    assert foreground.end() == 0
    assert emulator.fetch("stopping/.late.ABCDEF") == b"content"


def test_a_locked_directory_does_not_keep_the_daemon(
    foreground: Foreground, emulator: Emulator
) -> None:
    """A slow lookup holds the directory, and the kernel lets a refresh of its names wait."""
    emulator.fill(["stopping/d/known"])
    assert (foreground.path / "d" / "known").exists()
    kontenumfs("refresh", foreground.path / "d")
    for op in ("ListObjectsV2", "HeadObject"):
        emulator.fault(op=op, count=None, delay=1.0)
    slow = subprocess.Popen(["stat", f"{foreground.path}/d/slow"], stderr=subprocess.DEVNULL)
    wait_until(lambda: any(fault["seen"] for fault in emulator.faults()))
    words = [sys.executable, "-m", "kontenumfs", "refresh", "--recursive", str(foreground.path)]
    refresh = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    time.sleep(0.5)  # nothing shows that it waits; the test holds where it does not yet
    foreground.process.send_signal(signal.SIGTERM)
    assert foreground.process.wait(PROMPTLY) == 0
    assert slow.wait(PROMPTLY) == 1
    refresh.wait(PROMPTLY)
    assert not is_mountpoint(foreground.path)


@pytest.mark.parametrize("number", [*ENDING], ids=lambda number: number.name)
def test_signals_that_ask_for_an_end_drain(
    foreground: Foreground, emulator: Emulator, number: signal.Signals
) -> None:
    """What is pending is stored first, whoever asks."""
    name = f".{number.name}.ABCDEF"
    foreground.write_late(name)
    foreground.process.send_signal(number)
    assert foreground.process.wait(PROMPTLY) == 0
    assert emulator.fetch(f"stopping/{name}") == b"content"
    assert not is_mountpoint(foreground.path)


def test_signals_that_mean_nothing_end_nothing(foreground: Foreground, emulator: Emulator) -> None:
    """Timers that nobody has set, and realtime signals."""
    for number in IGNORED:
        foreground.process.send_signal(number)
    (foreground.path / "after").write_text("all is well")
    assert emulator.fetch("stopping/after") == b"all is well"
    assert foreground.process.poll() is None
    foreground.process.send_signal(signal.SIGTERM)
    assert foreground.process.wait(PROMPTLY) == 0
