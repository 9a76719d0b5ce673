# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The kernel's mount table, and taking a mount out of it."""

import ctypes
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kontenumfs.protocol.errors import UserError

FSTYPE = "fuse.kontenumfs"
MNT_FORCE = 1
"""umount2(2): end the connection; every request that waits for an answer fails."""
MNT_DETACH = 2
"""umount2(2): take the mount out of the tree at once, whoever still uses it."""


def mounts() -> list[tuple[Path, str]]:
    """Every mountpoint with its file system type, the lowest layer first (proc(5), mountinfo)."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            fields = line.split(" ")
            path = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
            found.append((Path(path), fields[fields.index("-") + 1]))
    return found


def is_mountpoint(path: Path, fstype: str | None = None) -> bool:
    """Whether something (of type `fstype`) is mounted at `path` itself."""
    # No resolve() of the last component's target: it would stat a mount that may be dead.
    absolute = Path(os.path.abspath(path))
    return any(at == absolute and fstype in (None, kind) for at, kind in mounts())


def type_of_mount(path: Path) -> str | None:
    """The file system type of what is mounted at `path` itself, the uppermost; None for nothing."""
    absolute = Path(os.path.abspath(path))
    return next((kind for at, kind in reversed(mounts()) if at == absolute), None)


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turn a refused mount into a UserError that says why: libfuse says it on stderr only."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as said:
            os.dup2(said.fileno(), 2)
            try:
                yield
            except RuntimeError as error:
                said.seek(0)
                lines = said.read().decode(errors="replace").splitlines()
                reason = lines[-1].removeprefix("fusermount3: ") if lines else str(error)
                raise UserError(f"{path}: {reason}: {_cure(reason)}", 4) from None
            finally:
                os.dup2(kept, 2)
    finally:
        os.close(kept)


def _cure(reason: str) -> str:
    if "allow_other" in reason:
        return "write user_allow_other into /etc/fuse.conf, or mount as root"
    if "write access" in reason:
        return "mount on a directory of your own, or as root"
    return "a mount needs root, or fusermount3 with its set-user-id bit (in a container SYS_ADMIN)"


def detach(path: Path) -> None:
    """Take the mount at `path` out of the tree at once; raises UserError where that is refused."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(path), MNT_DETACH) == 0:
        return
    # Users other than root have fusermount3 for this.
    _fusermount(path, "-z")


def abort(path: Path) -> None:
    """Fail every request that waits for the mount at `path`, and detach it, as far as we may.

    Only root may; where that is refused nothing happens.
    """
    ctypes.CDLL(None).umount2(os.fsencode(path), MNT_FORCE | MNT_DETACH)


def unmount(path: Path) -> None:
    """Unmount `path`; raises UserError when it is busy or not ours."""
    _fusermount(path)


def _fusermount(path: Path, *options: str) -> None:
    command = ["fusermount3", "-u", *options, "--", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError("fusermount3 is not installed: apt-get install fuse3", 4) from None
    if done.returncode:
        said = done.stderr.strip().removeprefix("fusermount3: ")
        raise UserError(f"{path}: {said}", 3)
