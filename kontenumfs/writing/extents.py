# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The content of a file that cannot be read: a rope of bytes that arrived, ranges and zeros."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol
from weakref import WeakKeyDictionary

COALESCE = 64 * 1024
"""Writes below this many bytes are joined, so that a million short lines stay cheap."""
OVERHEAD = 256
"""Bytes of memory that an extent takes beside its data, about."""

Piece = bytes | bytearray | memoryview


class Borrower(Protocol):
    """A file that has ranges of an object other than its own."""

    def borrows(self, source: "RemoteObject") -> bool:
        """Tell whether some bytes are those of `source`, which is not the file's own object."""

    async def keep(self, source: "RemoteObject") -> None:
        """Copy what is borrowed of `source`, which is about to change; may give up."""


@dataclass(eq=False, slots=True, weakref_slot=True)
class RemoteObject:
    """An object in the store as this mount knows it; ropes refer to ranges of it.

    It is one thing for life: an append gives it a new ETag and size, a rename a new key, and every
    range that refers to it stays true.

    Args:
        key: the object key.
        size: bytes.
        etag: of the object at that size; empty where it is not known.
        lost: whether it was changed under a file that has ranges of it and could not keep them.
    """

    key: str
    size: int
    etag: str
    lost: bool = False
    _borrowers: "WeakKeyDictionary[Borrower, None] | None" = field(default=None, repr=False)

    def lend(self, borrower: Borrower) -> None:
        """Remember that `borrower` is given ranges of this object."""
        if self._borrowers is None:  # of a million objects few are lent
            self._borrowers = WeakKeyDictionary()
        self._borrowers[borrower] = None

    async def recall(self) -> None:
        """Have every borrower keep what it has of this object, which is about to change."""
        for borrower in list(self._borrowers or ()):
            if borrower.borrows(self):
                await borrower.keep(self)
                self.lost |= borrower.borrows(self)


@dataclass(frozen=True, slots=True)
class Literal:
    """Bytes that are here only."""

    data: Piece

    @property
    def length(self) -> int:
        """Bytes."""
        return len(self.data)

    def cut(self, first: int, last: int) -> "Literal":
        """Return the bytes from `first` up to `last`; a small cut lets go of the large buffer."""
        length = last - first
        if length == len(self.data):
            return self
        view = memoryview(self.data)[first:last]
        backing = len(view.obj) if isinstance(view.obj, bytes | bytearray) else 0
        keep = isinstance(view.obj, bytes) and 2 * length > backing
        return Literal(view if keep else bytearray(view))


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes `offset` to `offset` + `length` of an object that the store has."""

    source: RemoteObject
    offset: int
    length: int

    def cut(self, first: int, last: int) -> "Range":
        """Return the part from `first` up to `last`, relative to this range."""
        return Range(self.source, self.offset + first, last - first)

    @property
    def whole(self) -> bool:
        """Whether this is all of its object."""
        return self.offset == 0 and self.length == self.source.size


@dataclass(frozen=True, slots=True)
class Zeros:
    """A hole: bytes that were never written and read as zeros."""

    length: int

    def cut(self, first: int, last: int) -> "Zeros":
        """Return the part from `first` up to `last`."""
        return Zeros(last - first)


Extent = Literal | Range | Zeros


def _joined(left: Extent, right: Extent) -> Extent | None:
    """Return one extent for two neighbours, or None."""
    if isinstance(left, Zeros) and isinstance(right, Zeros):
        return Zeros(left.length + right.length)
    match left, right:
        case Range(), Range() if left.source is right.source:
            if left.offset + left.length == right.offset:
                return Range(left.source, left.offset, left.length + right.length)
    return None


class Rope:
    """The bytes of one file as extents in order; holes are zeros.

    Sequential writes are O(1) and copy nothing above 64 KiB; any other change finds its place in
    O(log n) and moves the extents behind it by one memmove.
    """

    def __init__(self, *extents: Extent) -> None:
        self.size = 0
        """Bytes, from the first to the last."""
        self.literal = 0
        """Bytes that are here only."""
        self.holes = 0
        """Bytes of zeros that were never written."""
        self._starts: list[int] = []
        self._extents: list[Extent] = []
        for extent in extents:
            self._push(extent)

    def __len__(self) -> int:
        return len(self._extents)

    def __iter__(self) -> Iterator[Extent]:
        return iter(self._extents)

    def snapshot(self) -> "Rope":
        """Return the same extents, in a rope that stays as it is."""
        same = Rope()
        same.size, same.literal, same.holes = self.size, self.literal, self.holes
        same._starts, same._extents = self._starts.copy(), self._extents.copy()
        return same

    @property
    def weight(self) -> int:
        """Bytes of memory that the rope holds, about."""
        return self.literal + OVERHEAD * max(0, len(self._extents) - 1)

    def _push(self, extent: Extent) -> None:
        """Add at the end."""
        if not extent.length:
            return
        joined = _joined(self._extents[-1], extent) if self._extents else None
        if joined is not None:
            self._extents[-1] = joined
        else:
            self._starts.append(self.size)
            self._extents.append(extent)
        self.size += extent.length
        self._count([extent], 1)

    def write(self, offset: int, data: bytes) -> None:
        """Put `data` at `offset` bytes; what lies between the end and there becomes zeros."""
        if not data:
            return
        if offset > self.size:
            self._push(Zeros(offset - self.size))
        if offset == self.size:
            self._append(data)
        elif not self._overwrite(offset, data):
            self.splice(offset, Literal(self._owned(data)))

    @staticmethod
    def _owned(data: bytes) -> Piece:
        return bytearray(data) if len(data) < COALESCE else data

    def _append(self, data: bytes) -> None:
        last = self._extents[-1] if self._extents else None
        if len(data) < COALESCE and isinstance(last, Literal):
            tail = last.data
            if isinstance(tail, bytearray) and len(tail) < COALESCE:
                tail += data
                self.size += len(data)
                self.literal += len(data)
                return
        self._push(Literal(self._owned(data)))

    def _overwrite(self, offset: int, data: bytes) -> bool:
        """Write inside one buffer of our own, where there is one."""
        at = self._find(offset)
        extent, start = self._extents[at], offset - self._starts[at]
        if not isinstance(extent, Literal) or not isinstance(extent.data, bytearray):
            return False
        if start + len(data) > len(extent.data):
            return False
        extent.data[start : start + len(data)] = data
        return True

    def splice(self, offset: int, extent: Extent) -> None:
        """Put `extent` at `offset`, over what was there; a gap before it becomes zeros."""
        if offset > self.size:
            self._push(Zeros(offset - self.size))
        if offset == self.size:
            self._push(extent)
            return
        end = min(self.size, offset + extent.length)
        first = self._split(offset)
        last = self._split(end)
        self._replace(first, last, [extent])

    def _replace(self, first: int, last: int, extents: list[Extent]) -> None:
        """Put `extents` where those from index `first` up to `last` were."""
        start = self._starts[first] if first < len(self._starts) else self.size
        before = sum(extent.length for extent in self._extents[first:last])
        after = sum(extent.length for extent in extents)
        self._count(extents, 1)
        self._count(self._extents[first:last], -1)
        starts = []
        for extent in extents:
            starts.append(start)
            start += extent.length
        self._extents[first:last] = extents
        self._starts[first:last] = starts
        self.size += after - before  # these differ at the end of the rope only
        self._join_at(first + len(extents))
        self._join_at(first)

    def _join_at(self, index: int) -> None:
        if not 0 < index < len(self._extents):
            return
        joined = _joined(self._extents[index - 1], self._extents[index])
        if joined is not None:
            self._extents[index - 1 : index + 1] = [joined]
            del self._starts[index]

    def truncate(self, size: int) -> None:
        """Cut to `size` bytes, or add zeros up to there."""
        if size >= self.size:
            self._push(Zeros(size - self.size))
            return
        first = self._split(size)
        self._count(self._extents[first:], -1)
        del self._extents[first:], self._starts[first:]
        self.size = size

    def lengthen(self, size: int) -> None:
        """Add zeros up to `size` bytes, where the rope is shorter."""
        if size > self.size:
            self._push(Zeros(size - self.size))

    def _find(self, offset: int) -> int:
        """Return the index of the extent that `offset` lies in."""
        return bisect_right(self._starts, offset) - 1

    def _split(self, offset: int) -> int:
        """Make `offset` a border; returns the index of the extent that begins there."""
        if offset >= self.size:
            return len(self._extents)
        at = self._find(offset)
        start, extent = self._starts[at], self._extents[at]
        if start == offset:
            return at
        inner = offset - start
        halves = [extent.cut(0, inner), extent.cut(inner, extent.length)]
        self._extents[at : at + 1] = halves
        self._starts[at : at + 1] = [start, offset]
        return at + 1

    def _count(self, extents: Iterable[Extent], sign: int) -> None:
        for extent in extents:
            if isinstance(extent, Literal):
                self.literal += sign * extent.length
            elif isinstance(extent, Zeros):
                self.holes += sign * extent.length

    def fill_holes(self, zeros: bytes, longest: int) -> None:
        """Make bytes of every hole of at most `longest`, for they are about to be sent."""
        for at, extent in enumerate(self._extents):
            if isinstance(extent, Zeros) and extent.length <= longest:
                filled = Literal(memoryview(zeros)[: extent.length])
                self._count([extent], -1)
                self._count([filled], 1)
                self._extents[at] = filled

    def gather(self, source: RemoteObject, offset: int) -> list[Piece]:
        """Take all bytes that are here only out; they become those of `source` from `offset` on."""
        taken: list[Piece] = []
        extents, self._extents, self._starts = self._extents, [], []
        self.size = self.literal = self.holes = 0
        for extent in extents:
            if isinstance(extent, Literal):
                taken.append(extent.data)
                self._push(Range(source, offset, extent.length))
                offset += extent.length
            else:
                self._push(extent)
        return taken

    def begins_with(self, source: RemoteObject, length: int) -> bool:
        """Tell whether the first `length` bytes are still those of `source`."""
        match self._extents:
            case [Range() as first, *_] if first.source is source and not first.offset:
                return first.length >= length
        return False

    def lengthen_first(self, count: int) -> None:
        """Take up that the object which the rope begins with has grown by `count` bytes."""
        first = self._extents[0]
        assert isinstance(first, Range), "only what was appended to can have grown"
        self._extents[0] = Range(first.source, first.offset, first.length + count)
        self._starts[1:] = [start + count for start in self._starts[1:]]
        self.size += count


def whole(source: RemoteObject) -> Rope:
    """Return the rope that is all of an object."""
    return Rope(Range(source, 0, source.size))
