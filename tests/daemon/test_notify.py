# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What systemd is told, and when it hears nothing any more."""

import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.admin.journal import JournalFormatter, is_journal
from kontenumfs.admin.notify import Notifier
from kontenumfs.admin.premount import handed_over
from kontenumfs.daemon.logs import LastError
from kontenumfs.daemon.service import Service
from kontenumfs.protocol.errors import KontenumError
from kontenumfs.protocol.incidents import Incident, report


class Systemd:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.environment = {"NOTIFY_SOCKET": address.replace("\0", "@")}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(address)

    def heard(self) -> list[dict[str, str]]:
        """Every message since the last call."""
        messages: list[dict[str, str]] = []
        while True:
            try:
                data = self._socket.recv(65536).decode()
            except BlockingIOError:
                return messages
            messages.append(dict(line.split("=", 1) for line in data.splitlines()))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    """systemd, as far as a service sees it."""
    name = f"\0kontenumfs-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "s")
    made = Systemd(name)
    yield made
    made.close()


class Scene:
    """A service whose mount answers, or does not."""

    def __init__(
        self, systemd: Systemd, path: Path, patience: float = 5.0, **environment: str
    ) -> None:
        self.pending = {"pending_bytes": 0, "open_files": 0}
        notifier = Notifier(systemd.environment | environment)
        self.errors = LastError()
        self.service = Service(notifier, "bucket at /srv", path, self._now, patience, self.errors)

    def _now(self) -> dict[str, Any]:
        return self.pending


def test_nothing_is_said_without_systemd() -> None:
    """Outside a service."""
    notifier = Notifier({"WATCHDOG_USEC": "1000000"})
    assert not notifier
    assert notifier.watchdog is None
    notifier.send(READY=1)
    notifier.reloading()


def test_a_systemd_that_has_gone_is_no_error(tmp_path: Path) -> None:
    """Nor one that does not read."""
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).send(READY=1)
    systemd = Systemd(str(tmp_path / "full"))
    for _ in range(1000):
        Notifier(systemd.environment).send(STATUS="x" * 1000)
    systemd.close()


def test_the_watchdog_of_another_process() -> None:
    """WATCHDOG_PID names who is to feed it."""
    given = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "3000000"}
    assert Notifier(given).watchdog == 3.0
    assert Notifier(given | {"WATCHDOG_PID": str(os.getpid())}).watchdog == 3.0
    assert Notifier(given | {"WATCHDOG_PID": "1"}).watchdog is None


def test_descriptors_for_this_process_only() -> None:
    """A mount that was handed over is found by its name."""
    given = {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "other:fuse", "LISTEN_PID": str(os.getpid())}
    assert handed_over(given) == 4
    assert handed_over(given | {"LISTEN_PID": "1"}) is None
    assert handed_over(given | {"LISTEN_FDNAMES": "other:more"}) is None
    assert handed_over({}) is None


async def test_the_life_of_a_service(
    systemd: Systemd, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Ready, reloading, stopping, each with the status; time is asked for while it stops."""
    scene = Scene(systemd, tmp_path)
    scene.service.ready()
    (ready,) = systemd.heard()
    assert ready["READY"] == "1"
    assert ready["STATUS"] == "bucket at /srv: mounted; 0 bytes pending in 0 open files"
    with scene.service.reloading():
        (reloading,) = systemd.heard()
        assert reloading["RELOADING"] == "1"
        assert int(reloading["MONOTONIC_USEC"]) > 0
    assert systemd.heard()[0]["READY"] == "1"
    async with scene.service.stopping():
        await trio.sleep(5)
    stopping, *extensions = systemd.heard()
    assert stopping["STOPPING"] == "1"
    assert [int(message["EXTEND_TIMEOUT_USEC"]) for message in extensions] == [10_000_000] * 3
    scene.service.ended(["a: why"])
    assert "1 files could not be stored" in systemd.heard()[0]["STATUS"]


async def test_the_status_is_sent_when_it_changes(
    systemd: Systemd, tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """With what is pending and the last error, and not over and over."""
    scene = Scene(systemd, tmp_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.service.run)
        await trio.sleep(10)
        assert len(systemd.heard()) == 1
        scene.pending = {"pending_bytes": 7, "open_files": 1}
        with scene.errors.listening():
            report(Incident("upload", "upload failed", KontenumError("away"), "a"))
            logging.getLogger("kontenumfs.tree").warning("of no concern")
        await trio.sleep(10)
        (message,) = systemd.heard()
        nursery.cancel_scope.cancel()
    assert "7 bytes pending in 1 open files; last error at " in message["STATUS"]
    assert message["STATUS"].endswith("upload failed: key='a': away")


async def test_the_watchdog_is_fed_while_the_mount_answers(
    systemd: Systemd,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not any more once it has not answered for longer than any operation may take."""
    scene = Scene(systemd, tmp_path, patience=0.05, WATCHDOG_USEC="30000")
    scene.service.ready()
    hangs = threading.Event()
    answers = os.fstatvfs
    gate = threading.Event()

    def fstatvfs(descriptor: int) -> os.statvfs_result:
        if hangs.is_set():
            gate.wait()
        return answers(descriptor)

    monkeypatch.setattr(os, "fstatvfs", fstatvfs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.service.run)
        try:
            while not any("WATCHDOG" in message for message in systemd.heard()):
                await trio.sleep(0.005)
            hangs.set()
            while "has not answered" not in caplog.text:
                await trio.sleep(0.005)
            systemd.heard()
            await trio.sleep(0.1)
            fed = [message for message in systemd.heard() if "WATCHDOG" in message]
        finally:
            gate.set()
        nursery.cancel_scope.cancel()
    assert fed == []
    caplog.clear()


def test_every_line_has_its_priority() -> None:
    """Those of a traceback too."""
    formatter = JournalFormatter("%(message)s")
    for level, priority in ((10, 7), (20, 6), (30, 4), (40, 3), (50, 2)):
        record = logging.LogRecord("x", level, "", 0, "one\ntwo", None, None)
        assert formatter.format(record) == f"<{priority}>one\n<{priority}>two"


def test_the_journal_is_known_by_its_inode(tmp_path: Path) -> None:
    """A service whose stderr was sent elsewhere is not at the journal."""
    with open(tmp_path / "stream", "w") as stream:
        status = os.fstat(stream.fileno())
        given = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert is_journal(stream.fileno(), given)
        assert not is_journal(stream.fileno(), {"JOURNAL_STREAM": "1:1"})
        assert not is_journal(stream.fileno(), {})
