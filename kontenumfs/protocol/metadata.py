# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A file's mode, owner and time as user metadata, in the names that s3fs and rclone read.

``mtime`` is decimal seconds, ``mode`` the whole st_mode in decimal (s3fs), ``uid`` and ``gid``
decimal. rclone writes the mode in octal, which is read, too: no text means one thing in decimal
and another in octal, but for types that no object is. ``mtime-size`` is ours: the object's length
when the mtime was written. An append changes the bytes and keeps the metadata, so an mtime counts
only while that length holds.
``symlink-target`` is ours too: the body, where s3fs keeps it, cannot be read.
"""

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field

NANOSECONDS = 1_000_000_000
MAX_SECONDS = 2**63
"""Of times, either side of the epoch: what a kernel can be told."""
MAX_ID = 2**32 - 1
"""Of users and groups: what is said to be nobody's number is not one."""
MODES = 0o200000
"""One more than the largest st_mode: a type of four bits over twelve bits of permissions."""
MAX_TARGET = 4095
"""Bytes of what a symbolic link points to (PATH_MAX without its NUL)."""
MAX_USER_METADATA = 2048
"""Bytes of an object's user metadata, names and values (AWS)."""


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
    mode = _mode(metadata.get("mode", ""))
    mtime_ns = _nanoseconds(metadata.get("mtime", ""))
    written_for = _integer(metadata.get("mtime-size"), limit=2**63)
    if written_for is not None and written_for != size:
        mtime_ns = None
    is_link = mode is not None and stat.S_ISLNK(mode)
    return FileMetadata(
        mode=None if mode is None else stat.S_IMODE(mode),
        uid=_integer(metadata.get("uid"), limit=MAX_ID),
        gid=_integer(metadata.get("gid"), limit=MAX_ID),
        mtime_ns=mtime_ns,
        target=_target(metadata.get("symlink-target")) if is_link else None,
    )


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20


def _integer(text: str | None, *, limit: int) -> int | None:
    if text is None or not _is_digits(text):
        return None
    value = int(text)
    return value if value < limit else None


def _mode(text: str) -> int | None:
    """A st_mode, or permissions alone: s3fs writes it in decimal, rclone in octal."""
    if not _is_digits(text):
        return None
    # s3fs writes 0 where it knows nothing: a file that nobody may touch is never meant.
    decimal = int(text)
    if not text.startswith("0") and decimal < MODES:
        is_whole = stat.S_ISREG(decimal) or stat.S_ISDIR(decimal)
        if is_whole or decimal == stat.S_IFLNK | 0o777:
            return decimal
    octal = 0 if set(text) & {"8", "9"} else int(text, 8)
    if not 0 < octal < MODES:
        return None
    return octal if stat.S_IFMT(octal) in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK) else None


def _nanoseconds(text: str) -> int | None:
    """Nanoseconds of decimal seconds, exactly: a float would lose the last digits."""
    seconds, _, fraction = text.strip().partition(".")
    negative = seconds.startswith("-")
    digits = seconds.removeprefix("-")
    if not _is_digits(digits) or (fraction and not _is_digits(fraction)):
        return None
    if int(digits) >= MAX_SECONDS:
        return None
    value = int(digits) * NANOSECONDS + int((fraction + "0" * 9)[:9])
    return -value if negative else value


def _target(text: str | None) -> str | None:
    """What a link points to, where that can be a path."""
    if not text or "\0" in text:
        return None
    try:
        return text if len(text.encode()) <= MAX_TARGET else None
    except UnicodeEncodeError:
        return None


def metadata_size(metadata: Mapping[str, str]) -> int:
    """Bytes of user metadata as it is sent: names, and values in the form that headers take."""
    return sum(len(name) + _sent(value) for name, value in metadata.items())


def _sent(text: str) -> int:
    if text.isascii():
        return len(text)
    # RFC 2047's base64 (see store.wire): some servers count that, others the shorter UTF-8.
    return len("=?UTF-8?B??=") + -(-len(text.encode("utf-8", "surrogatepass")) // 3) * 4


OWN_ROOM = metadata_size(
    {
        "mode": str(0o177777),
        "uid": str(MAX_ID),
        "gid": str(MAX_ID),
        "mtime": f"-{MAX_SECONDS}.{NANOSECONDS - 1}",
        "mtime-size": str(2**63),
    }
)
"""Bytes that are kept free for what this mount may write, whatever it is."""


def leaves_room(metadata: Mapping[str, str]) -> bool:
    """Whether `metadata`, ours in it not counted, leaves room for ours."""
    users = {name: value for name, value in metadata.items() if name not in OWN_NAMES}
    return metadata_size(users) + OWN_ROOM <= MAX_USER_METADATA


def fitting(users: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Both, less what of `own` does not fit: others may have filled an object's metadata.

    Its content shall not be refused because of that. A time goes without its size or not at all.
    """
    found = dict(users)
    for names in (("symlink-target", "mode"), ("mtime", "mtime-size"), ("uid",), ("gid",)):
        more = {name: own[name] for name in names if name in own}
        if metadata_size(found) + metadata_size(more) <= MAX_USER_METADATA:
            found |= more
    return found
