# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A file's mode, owner and time as user metadata, in the names that s3fs and rclone read.

``mtime`` is decimal seconds, ``mode`` the whole st_mode in decimal (s3fs), ``uid`` and ``gid``
decimal. ``mtime-size`` is ours: the object's length when the mtime was written. An append
changes the bytes and keeps the metadata, so an mtime counts only while that length holds.
``symlink-target`` is ours too: the body, where s3fs keeps it, cannot be read.
"""

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class FileMetadata:
    """What POSIX keeps of a file and an object does not; None where nothing is known.

    Args:
        mode: permission bits, without the file type.
        uid: owner.
        gid: group.
        mtime_ns: modification time in nanoseconds since the epoch.
        target: what it points to, where it is a symbolic link.
        headers: changes of the object's headers, names in lower case; None removes one.
        user: changes of the user's own metadata, in the same way.
    """

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    mtime_ns: int | None = None
    target: str | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    user: Mapping[str, str | None] = field(default_factory=dict)

    def over(self, older: "FileMetadata | None") -> "FileMetadata":
        """These values, with `older`'s where these are None."""
        if older is None:
            return self
        return FileMetadata(
            mode=older.mode if self.mode is None else self.mode,
            uid=older.uid if self.uid is None else self.uid,
            gid=older.gid if self.gid is None else self.gid,
            mtime_ns=older.mtime_ns if self.mtime_ns is None else self.mtime_ns,
            target=older.target if self.target is None else self.target,
            headers={**older.headers, **self.headers},
            user={**older.user, **self.user},
        )


OWN_NAMES = frozenset({"mode", "uid", "gid", "mtime", "mtime-size", "symlink-target"})
"""The user metadata names that belong to this module; all others are the user's."""


def encode(metadata: FileMetadata, *, size: int, directory: bool = False) -> dict[str, str]:
    """User metadata that says `metadata` of an object of `size` bytes."""
    out: dict[str, str] = {}
    if metadata.target is not None:
        out["symlink-target"] = metadata.target
        out["mode"] = str(stat.S_IFLNK | 0o777)
    elif metadata.mode is not None:
        kind = stat.S_IFDIR if directory else stat.S_IFREG
        out["mode"] = str(kind | stat.S_IMODE(metadata.mode))
    if metadata.uid is not None:
        out["uid"] = str(metadata.uid)
    if metadata.gid is not None:
        out["gid"] = str(metadata.gid)
    if metadata.mtime_ns is not None:
        sign = "-" if metadata.mtime_ns < 0 else ""
        seconds, nanoseconds = divmod(abs(metadata.mtime_ns), NANOSECONDS)
        out["mtime"] = f"{sign}{seconds}" + (f".{nanoseconds:09d}" if nanoseconds else "")
        out["mtime-size"] = str(size)
    return out


def decode(metadata: Mapping[str, str], *, size: int) -> FileMetadata:
    """What `metadata` says of an object of `size` bytes; nonsense is read as unknown.

    An mtime that was written for another length is not the mtime of these bytes.
    """
    mode = _integer(metadata.get("mode"))
    mtime_ns = _nanoseconds(metadata.get("mtime"))
    written_for = _integer(metadata.get("mtime-size"), limit=2**63)
    if written_for is not None and written_for != size:
        mtime_ns = None
    return FileMetadata(
        # s3fs writes 0 where it knows nothing: a file that nobody may touch is never meant.
        mode=stat.S_IMODE(mode) if mode else None,
        uid=_integer(metadata.get("uid")),
        gid=_integer(metadata.get("gid")),
        mtime_ns=mtime_ns,
        target=metadata.get("symlink-target") if mode and stat.S_ISLNK(mode) else None,
    )


def _integer(text: str | None, *, limit: int = 2**32) -> int | None:
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 20:
        return None
    value = int(text)
    return value if value < limit else None


def _nanoseconds(text: str | None) -> int | None:
    """Nanoseconds of decimal seconds, exactly: a float would lose the last digits."""
    if text is None or len(text) > 40:
        return None
    seconds, _, fraction = text.strip().partition(".")
    negative = seconds.startswith("-")
    digits = seconds[1:] if negative else seconds
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 11:
        return None
    if fraction and not (fraction.isascii() and fraction.isdigit()):
        return None
    value = int(digits) * NANOSECONDS + int((fraction + "0" * 9)[:9])
    return -value if negative else value
