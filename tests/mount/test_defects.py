# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A defect anywhere in a daemon is told once; the mount goes on, or stays in its place, dead."""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kontenumfs.admin.mounts import (
    FSTYPE,
    clear_dead,
    end_connection,
    is_mountpoint,
    uppermost,
)
from kontenumfs.protocol.exits import Exit
from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator
from tests.harness.mounts import PROMPTLY, MountFactory, kontenumfs, run, wait_until
from tests.harness.saboteur import WORDS

PREFIX = "defects"
LASTING = (
    "deferred metadata",
    "flush timers",
    "look-ahead",
    "remembered attributes",
    "signals",
    "control socket",
    "key files",
    "mount table",
    "metrics",
)
"""Background tasks, by the names that the supervisor knows them by."""
PASSING = ("what was left behind", "service manager", "self-check")
"""Those that end by themselves, where there is no systemd."""


class Spoiled:
    """A daemon in the foreground that has one defect.

    Args:
        place: where, as tests.harness.saboteur has it.
    """

    def __init__(self, directory: Path, emulator: Emulator) -> None:
        self._emulator = emulator
        self.path = directory / "mnt"
        self.path.mkdir()
        self.trigger = directory / "fail"
        self._said = directory / "stderr"
        self._keys = directory / "keys"
        self._keys.write_text(f"{ACCESS}:{SECRET}\n")
        self._keys.chmod(0o600)
        self.metrics = directory / "metrics"
        self._options = f"cache_dir={directory / 'cache'},metrics=unix:{self.metrics}"
        self._options += ",metadata_delay=10ms,append_interval=50ms,ttl=1"

    def start(self, place: str, *options: str) -> None:
        """Mount; returns when the mount answers."""
        self.trigger.unlink(missing_ok=True)
        words = [
            f"endpoint={self._emulator.s3_url}",
            f"credentials_file={self._keys}",
            self._options,
            *options,
        ]
        command = [sys.executable, "-m", "tests.harness.saboteur", place, "mount", "-f"]
        command += ["-o", ",".join(words), f"{BUCKET}/{PREFIX}", str(self.path)]
        with open(self._said, "w") as stderr:
            self.process = subprocess.Popen(command, stderr=stderr)
        wait_until(lambda: ": mounted " in self.said or self.process.poll() is not None)
        assert self.process.poll() is None, self.said

    @property
    def said(self) -> str:
        """Everything on its stderr."""
        return self._said.read_text()

    def status(self) -> dict[str, object]:
        """What it tells of itself."""
        done = kontenumfs("status", "--json", self.path, check=False)
        found: dict[str, object] = json.loads(done.stdout)
        return found

    def terminate(self) -> int:
        """Its exit status, after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PROMPTLY)

    def close(self) -> None:
        """End it however it is."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        while is_mountpoint(self.path, FSTYPE):
            clear_dead(self.path)


@pytest.fixture
def spoiled(fuse: None, tmp_path: Path, emulator: Emulator) -> Iterator[Spoiled]:
    """A mount whose daemon has a defect."""
    made = Spoiled(tmp_path, emulator)
    yield made
    made.close()


def work(mounted: Path) -> None:
    """What every background task and most calls have to do with."""
    (mounted / "new").write_text("new")
    with open(mounted / "log", "a", buffering=1) as log:
        log.write("one\n")
        log.write("two\n")
    os.chmod(mounted / "new", 0o640)
    (mounted / "d").mkdir()
    (mounted / "new").rename(mounted / "d" / "moved")
    assert sorted(os.listdir(mounted)) == ["d", "log"]
    (mounted / "log").stat()


def is_all_there(mounted: Path, emulator: Emulator) -> None:
    """What was told as stored is stored."""
    assert emulator.fetch(f"{PREFIX}/d/moved") == b"new"
    assert emulator.fetch(f"{PREFIX}/log") == b"one\ntwo\n"
    moved = mounted / "d" / "moved"
    wait_until(lambda: os.getxattr(moved, "user.kontenum.state") == b"clean")


def clean(mounted: Path) -> None:
    """Leave the bucket as it was."""
    run("rm", "-rf", mounted / "d", mounted / "log")


@pytest.mark.parametrize(
    "place",
    [f"begun:{name}" for name in (*LASTING, *PASSING)] + [f"running:{name}" for name in LASTING],
)
def test_a_defect_in_a_background_task(spoiled: Spoiled, emulator: Emulator, place: str) -> None:
    """The task is begun again; it is one incident, in the log, the count and the status."""
    name = place.partition(":")[2]
    spoiled.start(place)
    spoiled.trigger.touch()
    wait_until(lambda: WORDS in spoiled.said)
    work(spoiled.path)
    is_all_there(spoiled.path, emulator)
    wait_until(lambda: "errors" in spoiled.status())  # the control socket is one of the tasks
    status = spoiled.status()
    assert status["errors"] == 1
    assert name in str(status["last_error"])
    clean(spoiled.path)
    assert spoiled.terminate() == 0
    assert spoiled.said.count(f"ERROR kontenumfs.protocol.incidents: background task {name}") == 1
    assert not is_mountpoint(spoiled.path)


def test_what_a_task_serves_is_served_again(spoiled: Spoiled) -> None:
    """Scrapes are answered after a defect: what was listened at was closed by it."""
    spoiled.start("running:metrics")
    spoiled.trigger.touch()
    wait_until(lambda: WORDS in spoiled.said)

    def scraped() -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            if client.connect_ex(str(spoiled.metrics)) != 0:
                return False
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            return b"kontenumfs_errors_total 1.0" in client.makefile("rb").read()

    wait_until(scraped)
    assert spoiled.terminate() == 0


CALLS: dict[str, Callable[[Path], object]] = {
    "lookup": lambda at: (at / "nobody").exists(),
    "getattr": lambda at: (at / "d").stat(),
    "setattr": lambda at: os.chmod(at / "log", 0o600),
    "mkdir": lambda at: (at / "other").mkdir(),
    "rmdir": lambda at: (at / "e").rmdir(),
    "unlink": lambda at: (at / "extra").unlink(),
    "rename": lambda at: (at / "extra").rename(at / "renamed"),
    "create": lambda at: (at / "made").touch(),
    "open": lambda at: (at / "log").open("ab").close(),
    "write": lambda at: (at / "extra").write_text("x"),
    "flush": lambda at: (at / "extra").write_text("x"),
    "fsync": lambda at: os.fsync(os.open(at / "extra", os.O_CREAT | os.O_WRONLY)),
    "opendir": lambda at: os.listdir(at),
    "readdir": lambda at: os.listdir(at),
    "getxattr": lambda at: os.getxattr(at / "log", "user.kontenum.state"),
    "setxattr": lambda at: os.setxattr(at / "log", "user.x", b"y"),
    "listxattr": lambda at: os.listxattr(at / "log"),
    "removexattr": lambda at: os.removexattr(at / "log", "user.x"),
    "symlink": lambda at: (at / "link").symlink_to("log"),
    "statfs": lambda at: os.statvfs(at),
    "release": lambda at: None,
    "releasedir": lambda at: None,
    "forget": lambda at: Path("/proc/sys/vm/drop_caches").write_text("2"),
}
"""What has the kernel call it, where `work` does not."""


@pytest.mark.parametrize("name", CALLS)
def test_a_defect_in_a_call_of_the_kernel(spoiled: Spoiled, name: str) -> None:
    """One program hears of it, if any; the mount answers on."""
    spoiled.start(f"call:{name}")
    spoiled.trigger.touch()
    for step in (work, lambda at: (at / "e").mkdir(), CALLS[name], clean):
        for _ in range(3):
            try:
                step(spoiled.path)
                break
            except (OSError, AssertionError):
                run("rm", "-rf", *spoiled.path.glob("*"), check=False)
    wait_until(lambda: WORDS in spoiled.said)
    (spoiled.path / "after").write_text("after")
    (spoiled.path / "after").unlink()
    assert spoiled.status()["errors"] == 1
    run("rm", "-rf", *spoiled.path.glob("*"), check=False)
    assert spoiled.terminate() == 0
    assert len(re.findall(" ERROR ", spoiled.said)) == 1


def test_a_defect_of_the_main_loop_leaves_the_mount_in_its_place(
    spoiled: Spoiled, emulator: Emulator
) -> None:
    """What is open is stored, writers are told, and the next start takes the mount over."""
    spoiled.start("main")
    log = os.open(spoiled.path / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(log, b"one\n")
    spoiled.trigger.touch()
    assert spoiled.process.wait(PROMPTLY) == Exit.DEFECT
    assert "left in its place" in spoiled.said
    assert emulator.fetch(f"{PREFIX}/log") == b"one\n"
    for at in (spoiled.path / "log", spoiled.path / "new"):
        with pytest.raises(OSError, match="not connected") as caught:
            at.open("a")
        assert caught.value.errno == errno.ENOTCONN
    with suppress(OSError):
        os.close(log)
    spoiled.start("main")
    (spoiled.path / "log").unlink()
    assert spoiled.terminate() == 0
    assert os.listdir(spoiled.path) == []


def test_an_ended_connection_is_a_failure(spoiled: Spoiled, emulator: Emulator) -> None:
    """Somebody used fusectl, or umount -f of a busy mount: a service is started again."""
    spoiled.start("main")
    found = uppermost(spoiled.path)
    assert found is not None
    log = os.open(spoiled.path / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(log, b"one\n")
    assert end_connection(found.device)
    assert spoiled.process.wait(PROMPTLY) == Exit.DEFECT
    assert is_mountpoint(spoiled.path, FSTYPE)
    with pytest.raises(OSError, match="not connected"):
        os.write(log, b"two\n")
    with suppress(OSError):
        os.close(log)
    assert emulator.fetch(f"{PREFIX}/log") == b"one\n"
    spoiled.start("main")
    (spoiled.path / "log").unlink()
    assert spoiled.terminate() == 0


def test_a_defect_of_the_last_uploads_names_what_is_lost(spoiled: Spoiled) -> None:
    """SIGTERM ends it all the same; the exit status is the truth."""
    spoiled.start("drain", "append_interval=300")
    log = os.open(spoiled.path / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(log, b"one\n")
    assert spoiled.terminate() in (0, 1)
    assert WORDS in spoiled.said
    assert not is_mountpoint(spoiled.path)
    with pytest.raises(OSError, match="not connected"):
        os.close(log)


def test_one_failure_is_one_incident(mount: MountFactory, emulator: Emulator) -> None:
    """However many calls are told of it; and it names the key, in the log and everywhere else."""
    mounted = mount("metadata_delay=10ms", "deadline=5")
    (mounted.path / "stored").write_text("stored")

    def errors() -> tuple[int, str]:
        status = json.loads(kontenumfs("status", "--json", mounted.path).stdout)
        return status["errors"], status["last_error"]

    emulator.fault(
        op="PutObject", key=mounted.key("refused"), count=None, status=403, code="AccessDenied"
    )
    with pytest.raises(PermissionError):
        (mounted.path / "refused").write_text("refused")
    count, last = errors()
    assert (count, mounted.key("refused") in last) == (1, True)
    emulator.fault(op="CopyObject", count=None, status=403, code="AccessDenied")
    os.chmod(mounted.path / "stored", 0o600)
    wait_until(lambda: errors()[0] == 2)
    assert mounted.key("stored") in errors()[1]
    incidents = re.findall(r"WARNING kontenumfs.protocol.incidents: .*", mounted.log.read_text())
    assert len(incidents) == 2
