# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A rope as a plan sees it: bytes to send, ranges that the store has, and long holes."""

from collections.abc import Iterator
from itertools import islice

from kontenumfs.protocol.dialect import MIB
from kontenumfs.writing.extents import Literal, Piece, Range, RemoteObject, Rope, Zeros
from kontenumfs.writing.steps import ZERO_BLOCK, Bytes, Segment

LONGEST_INLINE = 64 * MIB
"""More zeros than these are composed wherever the store can do that."""
SHORT_HOLE = 64 * 1024
"""Holes up to this are always sent; in a file of little else than holes, longer ones are not."""
DENSE = 4
"""A file with at most so many times more holes than bytes has short ones sent up to ZERO_BLOCK."""


def segments(rope: Rope, longest: float | None = None) -> Iterator[Segment]:
    """Yield the rope with neighbouring bytes as one.

    Holes of at most `longest` bytes are bytes; by default, those that it takes no time to send.
    """
    longest = short_hole(rope) if longest is None else longest
    pieces: list[Piece] = []
    length = 0
    for extent in rope:
        if isinstance(extent, Literal):
            pieces.append(extent.data)
            length += len(extent.data)
        elif isinstance(extent, Zeros) and extent.length <= longest:
            pieces.extend(zero_pieces(extent.length))
            length += extent.length
        else:
            if length:
                yield Bytes(tuple(pieces), length)
            pieces, length = [], 0
            yield extent
    if length:
        yield Bytes(tuple(pieces), length)


def zero_pieces(length: int) -> list[Piece]:
    """Return `length` zeros that take no memory."""
    blocks, rest = divmod(length, len(ZERO_BLOCK))
    return [*[ZERO_BLOCK] * blocks, *([memoryview(ZERO_BLOCK)[:rest]] if rest else [])]


def head(rope: Rope) -> list[Segment]:
    """Return the first three segments: enough to tell an append, a put or a copy from all else."""
    return list(islice(segments(rope), 3))


def tail_behind(rope: Rope, source: RemoteObject | None) -> Bytes | None:
    """Return the bytes behind `source`, where the rope is all of that object and they."""
    match head(rope):
        case [Range() as kept, Bytes() as body] if kept.source is source and kept.whole:
            return body
    return None


def short_hole(rope: Rope) -> int:
    """Return the bytes of a hole that is sent without a thought.

    A few bytes far apart must not cost what lies between them: 1,024 of them, one a MiB, are a GiB.
    """
    if rope.holes <= max(LONGEST_INLINE, DENSE * rope.literal):
        return len(ZERO_BLOCK)
    return SHORT_HOLE
