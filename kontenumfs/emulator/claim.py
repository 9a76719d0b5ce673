# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Whose a data directory is: nothing in one that is not an emulator's is written or deleted."""

import fcntl
import os
import stat
from pathlib import Path

MARKER = "kontenum-emulator"
"""The file that makes a directory an emulator's, and that the running one has locked."""

_FORMAT = "kontenumfs emulator, format "
_VERSION = 3
_OF_FILE_SYSTEMS = frozenset({"lost+found"})
"""What even a new directory may have."""


class DataDirectoryError(OSError):
    """The data directory cannot be used; the message says why, in one line."""


def claim(directory: Path) -> int:
    """Take a directory, new or empty or an emulator's of this version, until the file is closed.

    Returns:
        The open marker file.

    Raises:
        DataDirectoryError: it is somebody else's, or in use; then it stays as it is.
    """
    directory.mkdir(parents=True, exist_ok=True)
    marker = directory / MARKER
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        opened = os.open(marker, flags)
    except FileNotFoundError:
        _check_empty(directory)
        opened = os.open(marker, flags | os.O_CREAT, 0o666)
    try:
        _lock(opened, directory)
        _check_format(opened, directory)
    except BaseException:
        os.close(opened)
        raise
    return opened


def _check_empty(directory: Path) -> None:
    if {entry.name for entry in directory.iterdir()} - _OF_FILE_SYSTEMS - {MARKER}:
        raise DataDirectoryError(
            f"{directory} is neither empty nor an emulator's; nothing was changed in it"
        )


def _lock(opened: int, directory: Path) -> None:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataDirectoryError(f"{directory} is in use by another emulator") from None


def _check_format(opened: int, directory: Path) -> None:
    is_file = stat.S_ISREG(os.fstat(opened).st_mode)
    told = os.pread(opened, 100, 0).decode(errors="replace") if is_file else "something else"
    if told == f"{_FORMAT}{_VERSION}\n":
        return
    if told.startswith(_FORMAT):
        raise DataDirectoryError(f"{directory} was made by another version; remove it")
    if told:
        raise DataDirectoryError(f"{directory / MARKER} is not an emulator's")
    # New, or its emulator was killed before it could write this.
    _check_empty(directory)
    os.write(opened, f"{_FORMAT}{_VERSION}\n".encode())
