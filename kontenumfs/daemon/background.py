# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Going into the background without losing the reason for a failure, and waiting for the end."""

import errno
import fcntl
import hashlib
import json
import logging
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from kontenumfs.protocol.errors import UserError

log = logging.getLogger(__name__)

RUNTIME = Path("/run/kontenumfs")
"""Of root's daemons."""
SANDBOXES = Path("/run/kontenumfs-sandbox")
"""Where kontenumfs-sandbox@.service has its RuntimeDirectory=, one for each name."""

MOUNTPOINT_EXIT = 3
"""The exit code for a mountpoint that is taken."""


def run_in_background(serve: Callable[[Callable[[], None]], None]) -> None:
    """Return when `serve` has called its argument, while it goes on in a process of its own.

    Raises the UserError that `serve` raised before that. No session of its own is begun before
    the mount answers: autofs lets only the process group that it started walk the path until
    then, and an earlier setsid would deadlock (measured, docs of the systemd units).
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        _hear(said, pid)
        return
    os.close(reading)
    status = 1
    try:
        serve(lambda: _let_go(writing))
        status = 0
    except UserError as error:
        _tell(writing, {"message": str(error), "exit_code": error.exit_code})
        status = error.exit_code
    except Exception as error:
        # A fault of ours: the whole story goes to the log, the one line to the user.
        log.exception("the mount ended")
        _tell(writing, {"message": f"internal error: {error!r}: see the log", "exit_code": 1})
    finally:
        os._exit(status)


def _hear(said: bytes, pid: int) -> None:
    if not said:
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        raise UserError(f"the mount process ended before it was ready (status {code})", 1)
    report = json.loads(said)
    if report:
        os.waitpid(pid, 0)
        raise UserError(report["message"], report["exit_code"])


def _tell(pipe: int, report: dict[str, object]) -> None:
    try:
        os.write(pipe, json.dumps(report).encode())
        os.close(pipe)
    except OSError:
        pass  # ready was said already, and the pipe is closed


def _let_go(pipe: int) -> None:
    """The mount answers: leave the terminal, and tell the parent."""
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    _tell(pipe, {})


class Running:
    """A lock that a daemon holds while it lives, by which `unmount` waits for its end.

    Args:
        mountpoint: which daemon.
    """

    def __init__(self, mountpoint: Path) -> None:
        self._mountpoint = mountpoint
        self._path = runtime_file(mountpoint, "lock")

    def hold(self) -> None:
        """Take the lock until the process ends; raises UserError where another daemon has it."""
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise UserError(
                f"{self._mountpoint}: the daemon of the last mount here (process {self.pid()}) "
                "has not ended: it may still store data, so wait for it",
                MOUNTPOINT_EXIT,
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())

    def pid(self) -> int | None:
        """The process that holds the lock, or None."""
        descriptor = self._open_as_found(os.O_RDONLY)
        if descriptor is None:
            return None
        with open(descriptor, encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                said, owner = file.read().strip(), os.fstat(descriptor).st_uid
                return int(said) if said.isdigit() and _owner(int(said)) == owner else None
        return None

    def _open_as_found(self, flags: int) -> int | None:
        """The lock's descriptor; None where there is none.

        A sandboxed daemon's directory is its user's, who could put anything there for root to
        open: links, pipes and devices are passed over.
        """
        try:
            descriptor = os.open(self._path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.EISDIR):
                return None
            raise
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        return None

    def wait_for_end(self, deadline: float) -> bool:
        """Whether the daemon has ended within `deadline` seconds."""
        descriptor = self._open_as_found(os.O_RDWR)
        if descriptor is None:
            return True
        until = time.monotonic() + deadline
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() > until:
                        return False
                    time.sleep(0.02)
                else:
                    self._path.unlink(missing_ok=True)
                    return True
        finally:
            os.close(descriptor)


def _owner(pid: int) -> int | None:
    """The user whose process that is; who writes a file may write another's number into it."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except FileNotFoundError:
        return None


def runtime_file(mountpoint: Path, kind: str) -> Path:
    """Where the daemon of a mountpoint keeps its lock or its socket."""
    digest = hashlib.sha256(os.fsencode(os.path.abspath(mountpoint))).hexdigest()[:16]
    name = f"{digest}.{kind}"
    path = _runtime_directory() / name
    if os.getuid() == 0 and not path.exists():
        # A sandboxed service is another user, with a directory of its own below this one.
        return next(SANDBOXES.glob(f"*/{name}"), path)
    return path


def remember_mountpoint(name: str, mountpoint: Path) -> None:
    """Keep where a mount by name is, for who clears it up: the file of settings may change."""
    RUNTIME.mkdir(mode=0o755, parents=True, exist_ok=True)
    (RUNTIME / f"{name}.mountpoint").write_bytes(os.fsencode(mountpoint))


def remembered_mountpoint(name: str) -> Path | None:
    """Where the last mount of a name was, since the machine was booted."""
    try:
        return Path(os.fsdecode((RUNTIME / f"{name}.mountpoint").read_bytes()))
    except FileNotFoundError:
        return None


def _runtime_directory() -> Path:
    if os.getuid() == 0:
        return RUNTIME
    if given := os.environ.get("RUNTIME_DIRECTORY"):
        return Path(given.split(":")[0])
    return Path(os.environ.get("XDG_RUNTIME_DIR", f"/tmp/kontenumfs-{os.getuid()}")) / "kontenumfs"
