# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""How entries and bodies lie in a segment of the journal, and how they are found again.

A segment is a row of frames: a header with a checksum, and bytes. The checksum covers the place of
the frame, too, so that bytes of a body are never taken for a frame. Each header says up to where
the segment was on the disk when the frame was written: what comes before is whole, or has been
damaged; what comes after may have been cut by the end of the power.
"""

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

HEADER = struct.Struct("<4scxxxIQI")
MAGIC = b"kSp1"
SEGMENT, BODY, RECORD = b"S", b"B", b"R"
LONGEST = 1 << 26
"""Bytes that a frame can have at most."""

Bytes = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame is: the spool, the number of the segment, and the offset there."""

    spool: str
    segment: int
    offset: int

    def seed(self) -> int:
        """What every checksum of the frame begins with."""
        return zlib.crc32(f"{self.spool} {self.segment} {self.offset}".encode())


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that was found whole.

    Args:
        kind: SEGMENT, BODY or RECORD.
        offset: of the header.
        length: of the payload.
        payload: its bytes.
        flushed: up to where the segment was on the disk when this was written.
    """

    kind: bytes
    offset: int
    length: int
    payload: Bytes
    flushed: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes that are no frame."""

    offset: int
    length: int


def build(kind: bytes, place: Place, payload: Sequence[Bytes], flushed: int) -> list[Bytes]:
    """A frame, as buffers."""
    length = sum(len(piece) for piece in payload)
    crc = zlib.crc32(kind + struct.pack("<IQ", length, flushed), place.seed())
    for piece in payload:
        crc = zlib.crc32(piece, crc)
    return [HEADER.pack(MAGIC, kind, length, flushed, crc), *payload]


def document(told: Any) -> bytes:
    """The payload of a frame that is no body."""
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def scan(data: memoryview, spool: str, segment: int) -> Iterator[Frame | Gap]:
    """Everything in a segment, in order; zeros at the end are nothing."""
    offset = 0
    while offset < len(data):
        frame = _frame_at(data, Place(spool, segment, offset))
        if frame is not None:
            yield frame
            offset += HEADER.size + frame.length
            continue
        following = _next_frame(data, spool, segment, offset + 1)
        end = len(data) if following is None else following
        length = _without_zeros(data[offset:end]) if following is None else end - offset
        if length:
            yield Gap(offset, length)
        offset = end


def _frame_at(data: memoryview, place: Place) -> Frame | None:
    start = place.offset + HEADER.size
    if start > len(data):
        return None
    magic, kind, length, flushed, crc = HEADER.unpack_from(data, place.offset)
    if magic != MAGIC or length > LONGEST or start + length > len(data):
        return None
    payload = data[start : start + length]
    told = zlib.crc32(kind + struct.pack("<IQ", length, flushed), place.seed())
    if zlib.crc32(payload, told) != crc:
        return None
    return Frame(kind, place.offset, length, payload, flushed)


def _next_frame(data: memoryview, spool: str, segment: int, start: int) -> int | None:
    """Where the next frame begins, for what is here is none."""
    at = bytes(data[start:])
    found = at.find(MAGIC)
    while found >= 0:
        if _frame_at(data, Place(spool, segment, start + found)) is not None:
            return start + found
        found = at.find(MAGIC, found + 1)
    return None


def _without_zeros(data: memoryview) -> int:
    return len(bytes(data).rstrip(b"\0"))
