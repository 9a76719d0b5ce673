# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The daemons of this host: the locks that they hold, and where their locks and sockets are."""

import fcntl
import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from kontenumfs.admin.safe_files import SafeDirectory
from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit

RUNTIME = Path("/run/kontenumfs")
"""Of root's daemons."""
SANDBOXES = Path("/run/kontenumfs-sandbox")
"""The RuntimeDirectory= of kontenumfs-sandbox@.service, one for each name."""

LONGEST_NUMBER = 16
"""Bytes that a process's number may have in a lock."""
LONGEST_PATH = 4096
"""Bytes (PATH_MAX)."""


class Running:
    """A lock that a daemon holds while it lives, by which `unmount` waits for its end.

    Args:
        mountpoint: which daemon.
    """

    def __init__(self, mountpoint: Path) -> None:
        self._mountpoint = mountpoint
        self._own = own_runtime_file(mountpoint, "lock")
        self._path = runtime_file(mountpoint, "lock")

    def hold(self) -> None:
        """Take the lock until the process ends; raises UserError where that cannot be.

        Never in the directory of a sandbox, whose user would decide what root writes to.
        """
        try:
            with SafeDirectory(self._own.parent, create=True, mode=0o755) as directory:
                descriptor = directory.open_file(self._own.name, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise UserError(
                f"{error.filename or self._own}: {error.strerror}: the daemon's lock cannot be "
                "there: set XDG_RUNTIME_DIR to a directory of your own, or remove what is there",
                Exit.MOUNTPOINT,
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise UserError(
                f"{self._mountpoint}: the daemon of the last mount here (process {self.pid()}) "
                "has not ended: it may still store data, so wait for it",
                Exit.MOUNTPOINT,
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())

    def pid(self) -> int | None:
        """Return the living process that holds the lock, or None."""
        holder = self._holder()
        return None if holder is None or _has_ended(holder) else holder

    def is_stuck(self) -> bool:
        """Tell whether the daemon was killed, and something in the kernel keeps it from ending."""
        holder = self._holder()
        return holder is not None and _has_ended(holder)

    def _holder(self) -> int | None:
        descriptor = self._open_as_found()
        if descriptor is None:
            return None
        with open(descriptor, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                said, owner = file.read(LONGEST_NUMBER).strip(), os.fstat(descriptor).st_uid
                known = said.isdigit() and _owner(int(said)) == owner
                return int(said) if known else None
        return None

    def _open_as_found(self) -> int | None:
        """Open the lock to read it; None where there is none that we may believe.

        A sandboxed daemon's directory is its user's, who could put anything there for root to
        open: links, pipes and devices are passed over.
        """
        owner = None if self._path == self._own else _owner_of_directory(self._path.parent)
        try:
            with SafeDirectory(self._path.parent, owner=owner) as directory:
                return directory.open_file(self._path.name, os.O_RDONLY)
        except OSError:
            return None

    def wait_for_end(self, deadline: float) -> bool:
        """Wait for the daemon's end; False where it has not come within `deadline` seconds."""
        descriptor = self._open_as_found()
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
                    self._forget()
                    return True
        finally:
            os.close(descriptor)

    def _forget(self) -> None:
        if self._path == self._own:
            with suppress(OSError), SafeDirectory(self._own.parent) as directory:
                directory.unlink(self._own.name)


def _owner(pid: int) -> int | None:
    """Return a process's user, for whoever writes a lock may write another's number into it."""
    # Not the owner of /proc/PID: that is root for a process that cannot be dumped.
    uids = _status(pid).get("Uid", "").split()
    return int(uids[0]) if uids else None


def _has_ended(pid: int) -> bool:
    """Tell whether a process's first thread has ended, perhaps not all (proc(5))."""
    return _status(pid).get("State", "")[:1] in ("", "Z", "X")


def _status(pid: int) -> dict[str, str]:
    """Return /proc/PID/status by the names of its lines; empty where there is none.

    Not `stat`, for which Linux 6.18 waits where the process is in execve(2): see writing.callers.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    return {name: said.strip() for name, _, said in (line.partition(":") for line in lines)}


def _owner_of_directory(path: Path) -> int | None:
    try:
        return os.stat(path).st_uid
    except OSError:
        return None


def own_runtime_file(mountpoint: Path, kind: str) -> Path:
    """Return the path at which a daemon of ours keeps its lock or its socket."""
    digest = hashlib.sha256(os.fsencode(os.path.abspath(mountpoint))).hexdigest()[:16]
    return _runtime_directory() / f"{digest}.{kind}"


def runtime_file(mountpoint: Path, kind: str) -> Path:
    """Return the path at which to look for a daemon's; in a sandbox it is another user's."""
    own = own_runtime_file(mountpoint, kind)
    if os.getuid() == 0 and not own.exists():
        for name in _names_at(mountpoint):
            # A sandboxed service is another user, with a directory of its own.
            if os.path.lexists(found := SANDBOXES / name / own.name):
                return found
    return own


def _names_at(mountpoint: Path) -> list[str]:
    """List the mounts by name that root has put there; no sandbox can add itself to them."""
    at = Path(os.path.abspath(mountpoint))
    names = [path.stem for path in RUNTIME.glob("*.mountpoint")]
    return [name for name in sorted(names) if remembered_mountpoint(name) == at]


def remember_mountpoint(name: str, mountpoint: Path) -> None:
    """Keep the mountpoint of a mount by name for clean-up: the file of settings may change."""
    try:
        with SafeDirectory(RUNTIME, create=True, mode=0o755) as directory:
            directory.replace(f"{name}.mountpoint", os.fsencode(mountpoint), 0o644)
    except OSError as error:
        why = f"{error.filename or RUNTIME}: {error.strerror}"
        raise UserError(f"{why}: the mountpoint cannot be remembered there", Exit.FAILED) from None


def remembered_mountpoint(name: str) -> Path | None:
    """Return the mountpoint of the last mount of a name since the machine was booted."""
    try:
        with SafeDirectory(RUNTIME) as directory:
            said = directory.read(f"{name}.mountpoint", LONGEST_PATH)
    except OSError:
        return None
    path = Path(os.fsdecode(said))
    return path if path.is_absolute() and b"\0" not in said else None


def _runtime_directory() -> Path:
    if os.getuid() == 0:
        return RUNTIME
    if given := os.environ.get("RUNTIME_DIRECTORY"):
        return Path(given.split(":")[0])
    return Path(os.environ.get("XDG_RUNTIME_DIR", f"/tmp/kontenumfs-{os.getuid()}")) / "kontenumfs"
