# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The daemon's own files, opened so that no other user's link, pipe or directory leads it astray.

Whoever may write to a directory decides what its names mean. So the way to a file is walked by
descriptors: every directory on it belongs to root or to us, a link is followed only where one of
us has made it, and the last directory is ours to write alone. What is opened there is a regular
file of ours with one name.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

OTHERS_WRITE = 0o022
LINKS = 40
"""As many as the kernel follows (path_resolution(7))."""
DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class UnsafePlaceError(PermissionError):
    """Another user decides what is there."""

    def __init__(self, place: Path | str, why: str) -> None:
        super().__init__(errno.EPERM, why, str(place))


class SafeDirectory:
    """A directory that is ours alone to write to; a context manager that closes it.

    Args:
        path: where it is.
        create: make what is missing of it, for us alone (or `mode`).
        owner: whose it may be besides root's and ours, for those who only read there.

    Raises UnsafePlaceError for a place of another user's, and OSError.
    """

    def __init__(
        self, path: Path, *, create: bool = False, mode: int = 0o700, owner: int | None = None
    ) -> None:
        self.path = Path(os.path.abspath(path))
        self._trusted = {0, os.geteuid()} | (set() if owner is None else {owner})
        self.descriptor = self._walk(mode if create else None)
        status = os.fstat(self.descriptor)
        if owner is None and stat.S_IMODE(status.st_mode) & OTHERS_WRITE:
            os.close(self.descriptor)
            raise UnsafePlaceError(self.path, "others may write to this directory: chmod go-w")

    def __enter__(self) -> "SafeDirectory":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self.descriptor)

    def at(self, name: str) -> str:
        """Return a path to `name` in just this directory: sockets know no descriptors."""
        return f"/proc/self/fd/{self.descriptor}/{name}"

    def _walk(self, mode: int | None) -> int:
        left, links = list(reversed(self.path.parts[1:])), 0
        at = os.open("/", DIRECTORY)
        walked = ["/"]
        try:
            while left:
                part = left.pop()
                if mode is not None:
                    _make(part, mode if not left else 0o755, at)
                status = os.stat(part, dir_fd=at, follow_symlinks=False)
                if status.st_uid not in self._trusted:
                    whose = f"belongs to user {status.st_uid}"
                    raise UnsafePlaceError(os.path.join(*walked, part), whose)
                if stat.S_ISLNK(status.st_mode):
                    links += 1
                    if links > LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(self.path))
                    target = Path(os.readlink(part, dir_fd=at))
                    left += reversed(target.parts[1:] if target.is_absolute() else target.parts)
                    if not target.is_absolute():
                        continue
                    part, walked = "/", []
                following = os.open(part, DIRECTORY, dir_fd=at)
                os.close(at)
                at = following
                walked.append(part)
                if os.fstat(at).st_uid not in self._trusted:
                    raise UnsafePlaceError(os.path.join(*walked), "belongs to another user")
        except BaseException:
            os.close(at)
            raise
        return at

    def open_file(self, name: str, flags: int, mode: int = 0o600) -> int:
        """Open a file of ours, which nobody else may open once it is ours to write.

        Raises UnsafePlaceError for what is no such file, and OSError.
        """
        careful = (flags & ~os.O_TRUNC) | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(name, careful, mode, dir_fd=self.descriptor)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
                raise UnsafePlaceError(self.path / name, "is no regular file") from None
            raise
        try:
            _require_ours(descriptor, self.path / name, self._trusted)
            if flags & os.O_ACCMODE != os.O_RDONLY and flags & os.O_CREAT:
                os.fchmod(descriptor, mode)  # an earlier release was less strict
            if flags & os.O_TRUNC:
                os.ftruncate(descriptor, 0)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def read(self, name: str, limit: int) -> bytes:
        """Read a file from its beginning, `limit` bytes at most."""
        with open(self.open_file(name, os.O_RDONLY), "rb") as file:
            return file.read(limit)

    def replace(self, name: str, content: bytes, mode: int = 0o600) -> None:
        """Write a file as a whole: whoever reads it sees the old or the new one."""
        fresh = f"{name}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with open(self.open_file(fresh, flags, mode), "wb") as file:
            file.write(content)
        os.rename(fresh, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def unlink(self, name: str) -> None:
        """Take a name away, whatever it is."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)


def _make(name: str, mode: int, at: int) -> None:
    try:
        os.mkdir(name, mode, dir_fd=at)
    except (FileExistsError, PermissionError):
        pass  # the stat that follows tells
    except OSError as error:
        if error.errno != errno.EROFS:
            raise


def _require_ours(descriptor: int, path: Path, trusted: set[int]) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise UnsafePlaceError(path, "is no regular file")
    if status.st_uid not in trusted:
        raise UnsafePlaceError(path, f"belongs to user {status.st_uid}")
    if status.st_nlink != 1:
        raise UnsafePlaceError(path, "has other names too (hard links)")


def open_safely(path: Path, flags: int) -> int:
    """Open a private file, and make its directory where it is missing; returns a descriptor."""
    with SafeDirectory(path.parent, create=True) as directory:
        return directory.open_file(path.name, flags)


def open_log(path: Path) -> int:
    """Open a file to add lines to, perhaps in a directory that others write to.

    Raises UnsafePlaceError for a link, for another user's file and for one with other names.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o640)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnsafePlaceError(path, "is a link: name the file itself") from None
        raise
    status = os.fstat(descriptor)
    if stat.S_ISCHR(status.st_mode):
        return descriptor
    try:
        _require_ours(descriptor, path, {0, os.geteuid()})
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
