# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The spool of a mount that does not run: looked at, and changed in nothing."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kontenumfs.admin.spool_place import spool_base, spools_in, told_mountpoint
from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit
from kontenumfs.store.spool.entries import Entry
from kontenumfs.store.spool.recovery import read_piece, recover


class LeftSpool:
    """What a mount has left on the disk.

    Args:
        directory: of its spool.
        spool: what tells it from others.
    """

    def __init__(self, directory: Path, spool: str) -> None:
        self._directory = directory
        self._spool = spool

    @classmethod
    def of(
        cls, mountpoint: Path, option: str | None, environment: Mapping[str, str]
    ) -> "LeftSpool | None":
        """Find the spool of a mountpoint; None where there is none.

        Args:
            option: spool_dir, or None for the usual place.
        """
        base = spool_base(option, environment)
        for directory, told in spools_in(base, "spool", "mountpoint"):
            if told["mountpoint"] == told_mountpoint(mountpoint):
                return cls(directory, told["spool"])
        return None

    def _entries(self) -> list[Entry]:
        try:
            return list(recover(self._directory, self._spool).entries.values())
        except OSError as error:
            raise UserError(f"spool {self._directory}: {error.strerror}", Exit.SPOOL) from None

    def list(self, key: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield a line for each request, of one key or of all, in order; raises UserError."""
        for entry in self._entries():
            if key in (None, entry.key):
                yield {"entry": entry.told()}

    def read(self, key: str) -> Iterator[bytes]:
        """Yield the bytes that wait for a key; raises UserError where there are none."""
        found = [entry for entry in self._entries() if entry.key == key and entry.pieces]
        if not found:
            raise UserError(f"{key!r}: no bytes of it are in the spool", Exit.FAILED)
        for piece in found[-1].pieces:
            try:
                yield read_piece(self._directory, piece)
            except (OSError, ValueError) as error:
                raise UserError(f"{key!r}: damaged in the spool: {error}", Exit.FAILED) from None
