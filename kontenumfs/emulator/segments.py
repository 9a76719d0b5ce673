# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Immutable files that hold the objects' bytes; a reader never loses one that it has begun."""

import os
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

Extent = tuple[str, int, int]
"""Segment name, offset and length in bytes."""

_NAME_BYTES = 12
_NAME = re.compile(f"[0-9a-f]{{{2 * _NAME_BYTES}}}")

BLOCK = 1 << 20
"""Bytes read at a time where extents are joined."""


class Segments:
    """The segment files of one storage.

    Args:
        directory: made when it is missing.
        known: the segments that the storage names; others were written by a server that was
            killed before it named them, and go. Files that are no segments stay.
    """

    def __init__(self, directory: Path, known: set[str]) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        for left in directory.iterdir():
            if _NAME.fullmatch(left.name) and left.name not in known:
                left.unlink()
        self._pins: Counter[str] = Counter()
        self._doomed: set[str] = set()
        # Freeing the blocks of a large file takes a while, and nobody waits for it.
        self._remover = ThreadPoolExecutor(1, "segment-remover")

    def close(self) -> None:
        """Wait until what was removed is gone."""
        self._remover.shutdown()

    def new(self) -> tuple[str, Path]:
        """A name and a path for the bytes of one request; nobody else knows the name yet."""
        name = secrets.token_hex(_NAME_BYTES)
        return name, self._directory / name

    def path(self, name: str) -> Path:
        """Where a segment's bytes are."""
        return self._directory / name

    @contextmanager
    def pinned(self, extents: Sequence[Extent]) -> Iterator[None]:
        """Keep these segments for the block, even where their object goes meanwhile."""
        names = {name for name, _, _ in extents}
        self._pins.update(names)
        try:
            yield
        finally:
            self._pins.subtract(names)
            free = {name for name in names if not self._pins[name]}
            for name in free:
                del self._pins[name]
            self.remove(free & self._doomed)

    def remove(self, names: Iterable[str]) -> None:
        """Remove segments that no object has any more, once their last reader is done."""
        for name in list(names):
            if name in self._pins:
                self._doomed.add(name)
            else:
                self._doomed.discard(name)
                self._remover.submit(self.path(name).unlink, missing_ok=True)

    def join(self, extents: Sequence[Extent], target: Path) -> None:
        """Copy the bytes of `extents` into one new segment; blocks, so call it in a thread."""
        with open(target, "wb") as out:
            for block in self.blocks(extents, BLOCK):
                out.write(block)

    def blocks(self, extents: Sequence[Extent], size: int) -> Iterator[bytes]:
        """The bytes of `extents`, at most `size` at a time; one file is open at a time."""
        for name, offset, length in extents:
            with open(self.path(name), "rb", buffering=0) as file:
                while length > 0:
                    block = os.pread(file.fileno(), min(size, length), offset)
                    if not block:
                        raise OSError(f"segment {name} is shorter than its extent")
                    yield block
                    offset += len(block)
                    length -= len(block)


def cut(extents: Sequence[Extent], first: int, length: int) -> tuple[Extent, ...]:
    """The extents of `length` bytes from offset `first` on."""
    found: list[Extent] = []
    at = 0
    for name, offset, size in extents:
        begin, end = max(first, at), min(first + length, at + size)
        if begin < end:
            found.append((name, offset + begin - at, end - begin))
        at += size
    return tuple(found)
