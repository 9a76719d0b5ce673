# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A disk whose power goes: what was not synced may be there, in part, or not at all."""

import errno
import os
import random
from pathlib import Path

from kontenumfs.store.spool.disk import LocalDisk

SECTOR = 512


class FragileDisk(LocalDisk):
    """Remembers what each file had when it was last synced.

    Args:
        fail_after: writes after which the disk is full; None: never.
        stop_after: writes and syncs after which the power goes; None: when it is told to `stop`.
    """

    def __init__(self, fail_after: int | None = None, stop_after: int | None = None) -> None:
        self._left = stop_after
        self._paths: dict[int, Path] = {}
        self._synced: dict[Path, bytes] = {}
        self._named: set[Path] = set()
        self._written: dict[Path, list[tuple[int, bytes]]] = {}
        self.fail_after = fail_after
        self.syncs = 0
        self.fail_sync = False
        self._stopped = False

    def stop(self) -> None:
        """Nothing reaches the disk any more."""
        self._stopped = True

    def _live(self) -> None:
        if self._left is not None:
            self._left -= 1
            self._stopped = self._stopped or self._left < 0
        if self._stopped:
            raise OSError(errno.EIO, "the power is gone")

    def create(self, path: Path, size: int = 0) -> int:
        """A new file whose name is not on the disk before its directory is synced."""
        if size and self.fail_after == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        descriptor = super().create(path, size)
        self._paths[descriptor] = path
        self._synced[path] = bytes(size)
        self._written[path] = []
        return descriptor

    def write(self, descriptor: int, data: bytes | memoryview, offset: int) -> None:
        """Write, and remember that it is not synced."""
        self._live()
        super().write(descriptor, data, offset)
        self._written[self._paths[descriptor]].append((offset, bytes(data)))

    def sync(self, descriptor: int) -> None:
        """What was written to this file stays."""
        self._live()
        if self.fail_sync:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync(descriptor)
        self.syncs += 1
        path = self._paths[descriptor]
        self._synced[path] = path.read_bytes()
        self._written[path].clear()

    def sync_directory(self, path: Path) -> None:
        """The names that are in the directory stay."""
        self._live()
        super().sync_directory(path)
        self._named |= {name for name in self._synced if name.parent == path}

    def unlink(self, path: Path) -> None:
        """Take a name away."""
        self._live()
        super().unlink(path)

    def cut(self, rng: random.Random) -> None:
        """What the next start finds: each sector that was not synced is there or not, at random."""
        for path, synced in self._synced.items():
            if not path.exists():
                continue
            if path not in self._named and rng.random() < 0.5:
                path.unlink()
                continue
            content = bytearray(synced)
            for offset, data in self._written[path]:
                for start in range(0, len(data), SECTOR):
                    piece = data[start : start + SECTOR]
                    if rng.random() < 0.5:
                        continue
                    end = offset + start + len(piece)
                    content.extend(bytes(max(0, end - len(content))))
                    content[offset + start : end] = piece
            path.write_bytes(content)
