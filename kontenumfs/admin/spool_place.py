# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Where spools are: one directory for each mount, on a file system that keeps its promises."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kontenumfs.admin.mounts import FSTYPE, mount_table
from kontenumfs.admin.safe_files import SafeDirectory
from kontenumfs.config.source import Source
from kontenumfs.protocol.errors import SpoolRefused
from kontenumfs.store.spool.identity import IDENTITY

LARGEST = 10 << 30
SHARE = 10
"""A spool takes this part of its file system at most, and no more than the largest."""
USUAL = Path("/var/lib/kontenumfs/spool")
DISKS = frozenset(
    ["bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "reiserfs", "xfs", "zfs"]
)
"""File systems of a local disk, whose fdatasync returns when the disk has said yes."""
WORTH = {
    "tmpfs": "memory: a reboot or a power cut loses it",
    "ramfs": "memory: a reboot or a power cut loses it",
    "overlay": "a container's own layer: it goes when the container goes; use a volume",
    "nfs": "another machine's disk: it is worth what that server's promise is worth",
    "nfs4": "another machine's disk: it is worth what that server's promise is worth",
    "cifs": "another machine's disk: it is worth what that server's promise is worth",
    "ceph": "other machines' disks: it is worth what their promise is worth",
}
UNKNOWN = "not known to keep what fdatasync has promised over a power cut"


@dataclass(frozen=True, slots=True)
class SpoolPlace:
    """The directory of one mount's spool.

    Args:
        base: where all spools are.
        directory: of this one.
        whose: what it is the spool of; another one is refused.
    """

    base: Path
    directory: Path
    whose: Mapping[str, str]

    @classmethod
    def of(
        cls,
        option: str | None,
        endpoint: str,
        source: Source,
        mountpoint: Path,
        environment: Mapping[str, str],
    ) -> "SpoolPlace":
        """Return the place of a mount, found again by bucket, prefix and mountpoint.

        Args:
            option: spool_dir as given; see `spool_base`.
        """
        base = spool_base(option, environment)
        told = f"{source.bucket}\0{source.prefix}\0{mountpoint}"
        digest = hashlib.sha256(told.encode(errors="surrogateescape")).hexdigest()[:12]
        whose = {
            "endpoint": endpoint,
            "bucket": source.bucket,
            "prefix": source.prefix,
            "mountpoint": told_mountpoint(mountpoint),
        }
        return cls(base, base / f"{source.bucket}-{digest}", whose)

    @property
    def is_left(self) -> bool:
        """Whether an earlier mount has left a spool here, which must be gone on with."""
        try:
            return (self.directory / IDENTITY).exists()
        except OSError:
            return False  # another user's

    def prepare(self, mountpoint: Path, *, is_given: bool) -> None:
        """Make the directory, for us alone; raises SpoolRefused, which says what is wrong.

        Args:
            is_given: whether it was said where spools are: that must be there, for a disk that is
                not mounted would have all bytes go below its mountpoint.
        """
        real = Path(os.path.realpath(self.base))
        if real.is_relative_to(mountpoint) or file_system_of(real) == FSTYPE:
            raise SpoolRefused(f"spool_dir {self.base}: it is in a mount of kontenumfs itself")
        if is_given:
            require_base(self.base)
        try:
            SafeDirectory(self.directory, create=True).close()
        except OSError as error:
            where = error.filename or self.directory
            raise SpoolRefused(f"spool_dir {where}: {error.strerror}") from None
        if not self.directory.is_dir() or not os.access(self.directory, os.W_OK | os.X_OK):
            raise SpoolRefused(f"spool_dir {self.base}: it is not for us to write to")

    def others(self) -> list[Mapping[str, str]]:
        """What other mounts of the same bucket have left, each as it was told (`whose`)."""
        return [
            {**told, "directory": str(directory)}
            for directory, told in spools_in(self.base, *self.whose)
            if directory != self.directory
            and all(told[name] == self.whose[name] for name in ("endpoint", "bucket"))
        ]


def spools_in(base: Path, *names: str) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """Yield the directory of each spool that tells `names` of itself, and what it tells."""
    for path in sorted(base.glob(f"*/{IDENTITY}")):
        try:
            told = json.loads(path.read_bytes())
            yield path.parent, {name: str(told[name]) for name in names}
        except (OSError, ValueError, KeyError, TypeError):
            continue


def require_base(base: Path) -> None:
    """Raise SpoolRefused where the place that was given for spools is not there."""
    if not base.is_dir():
        raise SpoolRefused(f"spool_dir {base}: no such directory: create it first")


def told_mountpoint(mountpoint: Path) -> str:
    """Return a mountpoint as a spool tells it: text, whatever bytes it has."""
    return os.fsencode(mountpoint).decode(errors="backslashreplace")


def spool_base(option: str | None, environment: Mapping[str, str]) -> Path:
    """Return where spools are.

    Args:
        option: spool_dir as given, or None for the usual place: what systemd's StateDirectory=
            says, /var/lib for root, else XDG's state directory.
    """
    if option is not None:
        return Path(option)
    if given := environment.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0]) / "spool"
    if os.geteuid() == 0:
        return USUAL
    home = environment.get("XDG_STATE_HOME") or f"{environment.get('HOME', '/')}/.local/state"
    return Path(home) / "kontenumfs" / "spool"


def file_system_of(path: Path) -> str:
    """Return the type of the file system that a path is on, as mount(8) names it."""
    real = os.path.realpath(path)
    found = ""
    longest = -1
    for mounted in mount_table():
        at = os.path.join(mounted.path, "")
        if os.path.join(real, "").startswith(at) and len(at) >= longest:
            found, longest = mounted.fstype, len(at)
    return found


def doubt_of(path: Path) -> str:
    """Return what a spool there is worth, in a line; empty where it is a local disk's."""
    fstype = file_system_of(path)
    if fstype in DISKS:
        return ""
    return f"spool_dir {path} is on {fstype or 'no file system'}: {WORTH.get(fstype, UNKNOWN)}"


def default_size(path: Path) -> int:
    """Return how many bytes a spool may have where nobody says."""
    status = os.statvfs(path)
    return min(LARGEST, status.f_blocks * status.f_frsize // SHARE)
