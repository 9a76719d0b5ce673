# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Another user's links, pipes and directories where the daemon has its own files."""

import fcntl
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kontenumfs.admin import runtime
from kontenumfs.admin.client import ask
from kontenumfs.admin.runtime import Running, own_runtime_file, remember_mountpoint
from kontenumfs.admin.safe_files import SafeDirectory, UnsafePlaceError, open_safely
from kontenumfs.config.key_files import Configured, find_pairs
from kontenumfs.daemon.cache import safe
from kontenumfs.daemon.logs import set_up_logging
from kontenumfs.protocol.errors import ConfigurationError, UserError

OTHER = 12345
MAKE = os.O_RDWR | os.O_CREAT | os.O_TRUNC

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="makes files of another user")


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file that must stay as it is."""
    path = tmp_path / "precious"
    path.write_text("precious")
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Root's runtime directory."""
    monkeypatch.setattr(runtime, "RUNTIME", tmp_path / "run")
    monkeypatch.setattr(runtime, "SANDBOXES", tmp_path / "sandboxes")
    return tmp_path / "run"


def plant_link(path: Path, precious: Path) -> None:
    """A link to the precious file."""
    path.symlink_to(precious)


def plant_hard_link(path: Path, precious: Path) -> None:
    """Another name of the precious file."""
    path.hardlink_to(precious)


def plant_pipe(path: Path, precious: Path) -> None:
    """A pipe that nobody reads."""
    os.mkfifo(path)


def plant_file(path: Path, precious: Path) -> None:
    """A file of another user's."""
    path.write_text("his")
    os.chown(path, OTHER, OTHER)


PLANTS = [plant_link, plant_hard_link, plant_pipe, plant_file]
Plant = Callable[[Path, Path], None]


@pytest.mark.parametrize("plant", PLANTS)
def test_what_was_planted_is_not_opened(tmp_path: Path, precious: Path, plant: Plant) -> None:
    """Nothing is followed and nothing truncated."""
    directory = tmp_path / "ours"
    directory.mkdir()
    plant(directory / "file", precious)
    with pytest.raises(UnsafePlaceError):
        open_safely(directory / "file", MAKE)
    assert precious.read_text() == "precious"


def test_another_users_directory_on_the_way(tmp_path: Path) -> None:
    """As /tmp/kontenumfs-UID is, when he was first."""
    (tmp_path / "his" / "kontenumfs").mkdir(parents=True)
    os.chown(tmp_path / "his", OTHER, OTHER)
    with pytest.raises(UnsafePlaceError, match=str(OTHER)):
        open_safely(tmp_path / "his" / "kontenumfs" / "file", MAKE)


def test_another_users_link_on_the_way(tmp_path: Path) -> None:
    """Even to a directory of ours; a link that root has made is followed."""
    (tmp_path / "ours").mkdir()
    (tmp_path / "good").symlink_to("ours")
    (tmp_path / "bad").symlink_to(tmp_path / "ours")
    os.lchown(tmp_path / "bad", OTHER, OTHER)
    os.close(open_safely(tmp_path / "good" / "sub" / "file", MAKE))
    assert (tmp_path / "ours" / "sub" / "file").stat().st_mode & 0o777 == 0o600
    with pytest.raises(UnsafePlaceError):
        open_safely(tmp_path / "bad" / "file", MAKE)


def test_a_directory_that_others_write_to(tmp_path: Path) -> None:
    """Whatever is there now may be another thing in a moment."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o1777)
    with pytest.raises(UnsafePlaceError):
        SafeDirectory(tmp_path / "open")


def test_links_in_a_circle(tmp_path: Path) -> None:
    """They end in an error."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        SafeDirectory(tmp_path / "a")


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_lock_is_refused_in_one_line(
    run: Path, tmp_path: Path, precious: Path, plant: Plant
) -> None:
    """The mount ends before it begins, and nothing is overwritten."""
    lock = own_runtime_file(tmp_path / "mnt", "lock")
    lock.parent.mkdir()
    plant(lock, precious)
    with pytest.raises(UserError) as caught:
        Running(tmp_path / "mnt").hold()
    assert "\n" not in str(caught.value)
    assert precious.read_text() == "precious"


def test_nobody_else_can_open_the_lock(run: Path, tmp_path: Path) -> None:
    """Who can open it can lock it, and no daemon would start; an old one is made private."""
    lock = own_runtime_file(tmp_path / "mnt", "lock")
    lock.parent.mkdir()
    lock.touch(0o644)
    Running(tmp_path / "mnt").hold()
    assert lock.stat().st_mode & 0o777 == 0o600


def test_root_holds_no_lock_in_a_sandbox(run: Path, tmp_path: Path, precious: Path) -> None:
    """Its user has a link there."""
    remember_mountpoint("origin", tmp_path / "mnt")
    sandbox = tmp_path / "sandboxes" / "origin"
    sandbox.mkdir(parents=True)
    link = sandbox / own_runtime_file(tmp_path / "mnt", "lock").name
    link.symlink_to(precious)
    os.chown(sandbox, OTHER, OTHER)
    Running(tmp_path / "mnt").hold()
    assert precious.read_text() == "precious"
    assert link.is_symlink()


def test_a_sandbox_cannot_claim_anothers_mountpoint(run: Path, tmp_path: Path) -> None:
    """A lock counts only in the sandbox whose mount root has put there."""
    remember_mountpoint("origin", tmp_path / "mnt")
    remember_mountpoint("evil", tmp_path / "evil")
    (tmp_path / "sandboxes" / "evil").mkdir(parents=True)
    lock = tmp_path / "sandboxes" / "evil" / own_runtime_file(tmp_path / "mnt", "lock").name
    lock.write_text(f"{os.getpid()}\n")
    with open(lock) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert Running(tmp_path / "mnt").pid() is None


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_cache_is_not_used(
    tmp_path: Path, precious: Path, plant: Plant, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is remembered then, and the log says so."""
    (tmp_path / "cache").mkdir()
    plant(tmp_path / "cache" / "bar.sqlite-wal", precious)
    assert safe(tmp_path / "cache" / "bar.sqlite") is None
    assert len(caplog.records) == 1
    assert precious.read_text() == "precious"


def test_root_keeps_nothing_in_a_users_directory(tmp_path: Path) -> None:
    """As a sandbox's cache directory is."""
    (tmp_path / "his").mkdir()
    os.chown(tmp_path / "his", OTHER, OTHER)
    assert safe(tmp_path / "his" / "bar.sqlite") is None
    assert list((tmp_path / "his").iterdir()) == []


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_log_is_refused(tmp_path: Path, precious: Path, plant: Plant) -> None:
    """Log lines are written where the administrator said, or nowhere."""
    plant(tmp_path / "log", precious)
    with pytest.raises(UserError, match="log_file"):
        set_up_logging("info", str(tmp_path / "log"), foreground=True)
    assert precious.read_text() == "precious"


def test_log_lines_arrive_at_once(tmp_path: Path) -> None:
    """Each is in the file when it was logged."""
    kept = logging.getLogger().handlers[:]
    try:
        set_up_logging("info", str(tmp_path / "log"), foreground=True)
        logging.getLogger("kontenumfs").info("a line")
        assert "a line" in (tmp_path / "log").read_text()
    finally:
        for handler in logging.getLogger().handlers:
            handler.close()
        logging.getLogger().handlers[:] = kept


def test_another_user_at_the_control_socket(run: Path, tmp_path: Path) -> None:
    """Whoever answers at a socket that is not his is not listened to."""
    path = own_runtime_file(tmp_path / "mnt", "sock")
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        os.seteuid(OTHER)
        try:
            server.listen()
        finally:
            os.seteuid(0)
        with pytest.raises(UserError, match=f"user {OTHER} answers"):
            list(ask(tmp_path / "mnt", {"command": "status"}, timeout=1.0))


def test_memory_is_kept_private() -> None:
    """No core file, and nobody of the same user may look into the process; others can be seen."""
    script = (
        "import os, resource; from kontenumfs.daemon.hardening import keep_memory_private;"
        "from kontenumfs.writing.callers import name_of; keep_memory_private();"
        "print(resource.getrlimit(resource.RLIMIT_CORE), os.stat('/proc/self').st_uid,"
        "bool(name_of(os.getppid())))"
    )
    said = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert said == "(0, 0) 0 True\n"


def test_keys_of_another_user(tmp_path: Path) -> None:
    """Who owns the file may change the keys, whatever its mode."""
    keys = tmp_path / "keys"
    keys.write_text("access:secret\n")
    keys.chmod(0o600)
    os.chown(keys, OTHER, OTHER)
    with pytest.raises(ConfigurationError, match=f"user {OTHER}"):
        find_pairs(str(keys), {}, Configured())


@pytest.mark.parametrize("mode", [0, 0o755])
def test_a_mountpoint_that_nobody_may_enter(tmp_path: Path, mode: int) -> None:
    """Mode 0 guards the bare directory; a daemon without root's rights mounts on it."""
    place = tmp_path / "mnt"
    place.mkdir()
    place.chmod(mode)
    script = (
        "import sys, pathlib; from kontenumfs.admin.preflight import check_mountpoint;"
        "check_mountpoint(pathlib.Path(sys.argv[1]), nonempty=False)"
    )
    powerless = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    subprocess.run([*powerless, sys.executable, "-c", script, place], check=True)
