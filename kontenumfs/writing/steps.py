# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The requests that a plan is made of, and what they cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from kontenumfs.protocol.dialect import MIB
from kontenumfs.writing.extents import Piece, Range, RemoteObject, Zeros

ZERO_BLOCK = bytes(MIB)
"""Shorter holes are sent as they are; longer ones are composed of this block."""
REQUEST_BYTES = 1024
"""What a request and its answer weigh beside the body, about."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes that must be sent.

    Args:
        pieces: buffers in order.
        length: bytes, all told.
    """

    pieces: tuple[Piece, ...]
    length: int

    def cut(self, first: int, last: int) -> "Bytes":
        """Return the bytes from `first` up to `last`, without a copy."""
        if (first, last) == (0, self.length):
            return self
        out: list[Piece] = []
        start = 0
        for piece in self.pieces:
            low, high = max(first - start, 0), min(last - start, len(piece))
            if low < high:
                out.append(memoryview(piece)[low:high])
            start += len(piece)
        return Bytes(tuple(out), last - first)

    @property
    def weight(self) -> int:
        """Bytes of memory that they hold: the zeros of holes are all the same ones."""
        return sum(
            len(piece)
            for piece in self.pieces
            if not (isinstance(piece, memoryview) and piece.obj is ZERO_BLOCK)
        )

    def split(self, count: int) -> "Iterator[Bytes]":
        """Yield the same bytes in `count` pieces of about one length."""
        borders = [self.length * at // count for at in range(count + 1)]
        for first, last in pairwise(borders):
            yield self.cut(first, last)


Segment = Bytes | Range | Zeros


@dataclass(frozen=True, slots=True)
class Put:
    """PutObject."""

    target: RemoteObject
    body: Bytes
    round_trips = requests = 1

    @property
    def wire(self) -> int:
        """Bytes of object data that are sent."""
        return self.body.length

    def __str__(self) -> str:
        return f"put {self.body.length}"


@dataclass(frozen=True, slots=True)
class Append:
    """PutObject with the append subresource, to an object of `start` bytes: exactly once."""

    target: RemoteObject
    body: Bytes
    start: int
    round_trips = requests = 1

    @property
    def wire(self) -> int:
        """Bytes of object data that are sent."""
        return self.body.length

    def __str__(self) -> str:
        return f"append {self.body.length}"


@dataclass(frozen=True, slots=True)
class Copy:
    """CopyObject of a whole object, up to 5 GiB."""

    target: RemoteObject
    source: RemoteObject
    round_trips = requests = 1
    wire = 0

    def __str__(self) -> str:
        return f"copy {self.source.size}"


@dataclass(frozen=True, slots=True)
class Compose:
    """PutObject with the compose subresource: whole objects in order, up to 32."""

    target: RemoteObject
    sources: tuple[RemoteObject, ...]
    round_trips = requests = 1
    wire = 0

    def __str__(self) -> str:
        return f"compose of {len(self.sources)}"


@dataclass(frozen=True, slots=True)
class Multipart:
    """A multipart upload of new parts and copied ranges."""

    target: RemoteObject
    parts: tuple[Bytes | Range, ...]
    round_trips = 3

    @property
    def requests(self) -> int:
        """Requests, all told."""
        return 2 + len(self.parts)

    @property
    def wire(self) -> int:
        """Bytes of object data that are sent."""
        return sum(part.length for part in self.parts if isinstance(part, Bytes))

    def __str__(self) -> str:
        copied = sum(isinstance(part, Range) for part in self.parts)
        return f"multipart of {copied} copied and {len(self.parts) - copied} sent"


Step = Put | Append | Copy | Compose | Multipart


@dataclass(frozen=True)
class Plan:
    """Steps in stages: what stands in one stage may run side by side; the last one publishes.

    Args:
        stages: of steps. None at all: the store has it already.
        helpers: objects that only this plan needs; whoever runs it names and deletes them.
    """

    stages: tuple[tuple[Step, ...], ...] = ()
    helpers: tuple[RemoteObject, ...] = ()

    @property
    def steps(self) -> Iterator[Step]:
        """Every step, in order."""
        for stage in self.stages:
            yield from stage

    @cached_property
    def cost(self) -> tuple[int, int, int]:
        """Bytes on the wire, then round trips, then requests: less is better."""
        requests = sum(step.requests for step in self.steps) + bool(self.helpers)
        wire = sum(step.wire for step in self.steps) + REQUEST_BYTES * requests
        trips = sum(max(step.round_trips for step in stage) for stage in self.stages)
        return wire, trips, requests

    def __str__(self) -> str:
        if not self.stages:
            return "nothing to do"
        shown = "; ".join(", ".join(str(step) for step in stage) for stage in self.stages)
        return shown + ("; delete helpers" if self.helpers else "")
