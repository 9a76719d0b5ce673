# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The lock of a daemon, by which others know that it lives."""

import fcntl
import os
from pathlib import Path

import pytest

from kontenumfs.admin import runtime
from kontenumfs.admin.runtime import Running, remember_mountpoint, runtime_file


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a sandboxed service, whose user may put anything there."""
    monkeypatch.setattr(runtime, "RUNTIME", tmp_path / "run")
    monkeypatch.setattr(runtime, "SANDBOXES", tmp_path / "sandboxes")
    directory = tmp_path / "sandboxes" / "origin"
    directory.mkdir(parents=True)
    remember_mountpoint("origin", tmp_path / "mnt")
    return directory


def lock_of(mountpoint: Path, sandbox: Path) -> Path:
    """Where a sandboxed daemon has its lock."""
    return sandbox / runtime_file(mountpoint, "lock").name


@pytest.mark.skipif(os.getuid() != 0, reason="only root looks into sandboxes")
@pytest.mark.parametrize("planted", ["link", "fifo", "directory"])
def test_what_is_no_lock_is_not_opened(sandbox: Path, tmp_path: Path, planted: str) -> None:
    """Root follows no link of another user's, and waits for nobody to open a pipe."""
    lock, precious = lock_of(tmp_path / "mnt", sandbox), tmp_path / "precious"
    precious.write_text("precious")
    if planted == "link":
        lock.symlink_to(precious)
    elif planted == "fifo":
        os.mkfifo(lock)
    else:
        lock.mkdir()
    running = Running(tmp_path / "mnt")
    assert running.pid() is None
    assert running.wait_for_end(0.1)
    assert precious.read_text() == "precious"


@pytest.mark.skipif(os.getuid() != 0, reason="only root looks into sandboxes")
@pytest.mark.parametrize("content", ["", "what\n", "-1\n", "1\n"])
def test_a_number_that_is_not_its_users_process(
    sandbox: Path, tmp_path: Path, content: str
) -> None:
    """Root signals nobody because of what somebody else has written."""
    lock = lock_of(tmp_path / "mnt", sandbox)
    lock.write_text(content)
    for path in (lock, sandbox):
        os.chown(path, 12345, 12345)
    with open(lock) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert Running(tmp_path / "mnt").pid() is None
