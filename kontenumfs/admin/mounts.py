# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The kernel's mount table, and taking a mount out of it."""

import ctypes
import errno
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit

FSTYPE = "fuse.kontenumfs"
CONNECTIONS = Path("/sys/fs/fuse/connections")
MNT_FORCE = 1
"""umount2(2): end the connection; every request that waits for an answer fails."""
MNT_DETACH = 2
"""umount2(2): take the mount out of the tree at once, whoever still uses it."""


@dataclass(frozen=True, slots=True)
class Mounted:
    """A line of a mount table (proc(5), mountinfo)."""

    number: int
    """Of the mount in its namespace."""
    device: int
    """Its st_dev."""
    path: Path
    fstype: str
    source: str

    @classmethod
    def of(cls, line: bytes) -> "Mounted | None":
        """Read a line; None for one that is none."""
        fields = line.split(b" ")
        try:
            kind = fields.index(b"-") + 1
            major, minor = fields[2].split(b":")
            device = os.makedev(int(major), int(minor))
            path, fstype, source = (_text(fields[at]) for at in (4, kind, kind + 1))
            return cls(int(fields[0]), device, Path(path), fstype, source)
        except (ValueError, IndexError, OverflowError):
            return None


def _text(field: bytes) -> str:
    """Undo the kernel's escapes: blanks and the like are three octal digits."""
    plain = re.sub(rb"\\([0-3][0-7]{2})", lambda octal: bytes([int(octal[1], 8)]), field)
    return os.fsdecode(plain)


def mount_table(process: int | str = "self") -> list[Mounted]:
    """List the mounts in a process's namespace, the lowest layer first; raises OSError."""
    lines = Path(f"/proc/{process}/mountinfo").read_bytes().splitlines()
    return [found for line in lines if (found := Mounted.of(line)) is not None]


def mounts() -> list[tuple[Path, str]]:
    """List every mountpoint with its file system type, the lowest layer first."""
    return [(found.path, found.fstype) for found in mount_table()]


def uppermost(path: Path) -> Mounted | None:
    """Find the uppermost mount at `path` itself; None where there is none."""
    # No resolve() of the last component's target: it would stat a mount that may be dead.
    absolute = Path(os.path.abspath(path))
    return next((found for found in reversed(mount_table()) if found.path == absolute), None)


def is_mountpoint(path: Path, fstype: str | None = None) -> bool:
    """Tell whether there is a mount (of type `fstype`) at `path` itself."""
    absolute = Path(os.path.abspath(path))
    return any(at == absolute and fstype in (None, kind) for at, kind in mounts())


def type_of_mount(path: Path) -> str | None:
    """Return the file system type of the uppermost mount at `path`; None where there is none."""
    found = uppermost(path)
    return None if found is None else found.fstype


def is_mounted(device: int) -> bool:
    """Tell whether our namespace has a device anywhere."""
    return any(found.device == device for found in mount_table())


def holders(device: int) -> list[str]:
    """Name one process of each other mount namespace that has a device, as far as we see."""
    found, seen = [], {_namespace("self")}
    for name in sorted((name for name in os.listdir("/proc") if name.isdigit()), key=int):
        namespace = _namespace(name)
        if namespace in seen:
            continue
        try:
            if any(at.device == device for at in mount_table(name)):
                comm = Path(f"/proc/{name}/comm").read_text(errors="replace").strip()
                shown = "".join(c if c.isprintable() else "?" for c in comm)
                found.append(f"process {name} ({shown})")
            elif namespace is None:
                continue
        except OSError:
            continue  # it has ended
        seen.add(namespace or name)
    return found


def _namespace(process: str) -> str | None:
    try:
        return os.readlink(f"/proc/{process}/ns/mnt")
    except OSError:
        return None


def ask_mount(path: Path, device: int | None) -> None:
    """Have the daemon of a mount answer; raises OSError, also where something else is at `path`.

    Args:
        device: of the mount; None where that is unknown.
    """
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        # Not by fstat(2): for st_dev the daemon would be asked for all the others, and the store
        # by it, which may be away for hours while the mount is well.
        if device is not None and _device_of(descriptor) != device:
            raise OSError(errno.ENODEV, "it is not what is mounted there")
        # This is answered by nothing but the daemon, and from memory.
        os.fstatvfs(descriptor)
    finally:
        os.close(descriptor)


def _device_of(descriptor: int) -> int | None:
    """Return st_dev of an open file; None where our namespace does not have it any more."""
    said = Path(f"/proc/self/fdinfo/{descriptor}").read_text().split()
    number = int(said[said.index("mnt_id:") + 1])
    return next((at.device for at in mount_table() if at.number == number), None)


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


def clear_dead(path: Path) -> None:
    """Take a mount whose daemon is dead out of the tree; raises UserError where that is refused.

    The connection is ended first: else a request that nobody will answer waits for ever, and with
    it whoever waits for the directory that it holds (which may be the daemon's own last thread).
    """
    found = uppermost(path)
    if found is not None and found.fstype == FSTYPE:
        end_connection(found.device)
    abort(path)
    if is_mountpoint(path, FSTYPE) and uppermost(path) == found:
        detach(path)


def end_connection(device: int) -> bool:
    """Fail every request of a FUSE mount now and for ever, wherever it is; tell whether it worked.

    Its user and root may (fusectl, Documentation/filesystems/fuse.rst).
    """
    lever = f"{os.minor(device)}/abort"
    try:
        (CONNECTIONS / lever).write_text("1")
        return True
    except FileNotFoundError:
        return os.geteuid() == 0 and _end_by_own_fusectl(lever)
    except OSError:
        return False


def _end_by_own_fusectl(lever: str) -> bool:
    """Do that where nobody has mounted the kernel's control file system, as in containers."""
    libc = ctypes.CDLL(None)
    with tempfile.TemporaryDirectory() as place:
        at = os.fsencode(place)
        if libc.mount(b"fusectl", at, b"fusectl", 0, None) != 0:
            return False
        try:
            Path(place, lever).write_text("1")
        except OSError:
            return False
        finally:
            libc.umount2(at, MNT_DETACH)
    return True


def unmount(path: Path) -> None:
    """Unmount `path`; raises UserError when it is busy or not ours."""
    _fusermount(path)


def _fusermount(path: Path, *options: str) -> None:
    command = ["fusermount3", "-u", *options, "--", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError("fusermount3 is not installed: apt-get install fuse3", Exit.FUSE) from None
    if done.returncode:
        said = done.stderr.strip().removeprefix("fusermount3: ")
        raise UserError(f"{path}: {said}", Exit.MOUNTPOINT)
