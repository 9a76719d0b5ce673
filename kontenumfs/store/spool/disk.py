# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the journal asks of the file system, so that a test can take the power away."""

import os
from pathlib import Path
from typing import Protocol

NO_LINKS = os.O_NOFOLLOW | os.O_CLOEXEC


class Disk(Protocol):
    """Files in one directory. Every method raises OSError."""

    def create(self, path: Path, size: int = 0) -> int:
        """A descriptor of a new file of ours; with `size`, room for so many bytes is taken."""

    def write(self, descriptor: int, data: bytes | memoryview, offset: int) -> None:
        """Write all of `data`."""

    def sync(self, descriptor: int) -> None:
        """Return when what was written is on the disk."""

    def sync_directory(self, path: Path) -> None:
        """Return when the names in a directory are on the disk."""

    def unlink(self, path: Path) -> None:
        """Take a name away; one that is missing is no error."""


class LocalDisk:
    """The file system of this machine."""

    def create(self, path: Path, size: int = 0) -> int:
        """See Disk."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_LINKS, 0o600)
        try:
            if size:
                os.posix_fallocate(descriptor, 0, size)
        except BaseException:
            os.close(descriptor)
            os.unlink(path)
            raise
        return descriptor

    def write(self, descriptor: int, data: bytes | memoryview, offset: int) -> None:
        """See Disk."""
        rest = memoryview(data)
        while rest:
            written = os.pwrite(descriptor, rest, offset)
            rest, offset = rest[written:], offset + written

    def sync(self, descriptor: int) -> None:
        """See Disk."""
        os.fdatasync(descriptor)

    def sync_directory(self, path: Path) -> None:
        """See Disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def unlink(self, path: Path) -> None:
        """See Disk."""
        path.unlink(missing_ok=True)
