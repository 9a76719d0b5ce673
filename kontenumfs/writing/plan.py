# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""From a rope to the cheapest requests that make the store hold it: a pure function."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from kontenumfs.protocol.dialect import MIB, Limits
from kontenumfs.protocol.errors import Unsupported
from kontenumfs.store.proof import Capabilities
from kontenumfs.writing.extents import Literal, Piece, Range, RemoteObject, Rope, Zeros

ZERO_BLOCK = bytes(MIB)
"""Shorter holes are sent as they are; longer ones are composed of this block."""
REQUEST_BYTES = 1024
"""What a request and its answer weigh beside the body, about."""
LONGEST_INLINE = 64 * MIB
"""More zeros than these are composed wherever the store can do that."""
MAX_REQUESTS = 10_000
"""A file in more fragments than this would take hours: refused instead."""


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
        """The bytes from `first` up to `last`, without a copy."""
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
        """The same bytes in `count` pieces of about one length."""
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


def compile_rope(
    rope: Rope,
    target: RemoteObject,
    current: RemoteObject | None,
    capabilities: Capabilities,
    limits: Limits,
    *,
    appended: bool = False,
) -> Plan:
    """The cheapest plan after which `target` holds `rope`.

    Args:
        target: stands for the object that is made; may be `current` itself.
        current: the object that is under that key now, as far as this mount knows.
        appended: other hosts append to it too, so an append is the only right way where it is one.

    Raises Unsupported where the store has no way, which harms nothing.
    """
    if current is not None and [*rope] == [Range(current, 0, current.size)]:
        return Plan()
    if not rope.size:
        return Plan(((Put(target, Bytes((), 0)),),))
    inlines = _inlines(rope, capabilities)
    append = _append(rope, current, capabilities, inline=True in inlines)
    if appended and append is not None:
        return append
    candidates = [append] if append is not None and current is not None and current.size else []
    for inline in inlines:
        cut = list(segments(rope, inline=inline))
        for whole_first in (True, False):
            groups = _groups(cut, limits, whole_first=whole_first)
            builder = _Builder(target, capabilities, limits)
            plan = builder.build(groups)
            if plan is not None:
                candidates.append(plan)
    if not candidates:
        raise Unsupported("this store cannot join what it has with what is new")
    best = min(candidates, key=lambda plan: plan.cost)
    if best.cost[2] > MAX_REQUESTS:
        raise Unsupported(f"the file is in too many fragments: {best.cost[2]} requests")
    return best


def segments(rope: Rope, *, inline: bool) -> Iterator[Segment]:
    """The rope with neighbouring bytes as one; short holes are bytes, with `inline` all are."""
    pieces: list[Piece] = []
    length = 0
    for extent in rope:
        if isinstance(extent, Literal):
            pieces.append(extent.data)
            length += extent.length
        elif isinstance(extent, Zeros) and (inline or extent.length <= len(ZERO_BLOCK)):
            pieces.extend(_zero_pieces(extent.length))
            length += extent.length
        else:
            if length:
                yield Bytes(tuple(pieces), length)
            pieces, length = [], 0
            yield extent
    if length:
        yield Bytes(tuple(pieces), length)


def _zero_pieces(length: int) -> list[Piece]:
    blocks, rest = divmod(length, len(ZERO_BLOCK))
    return [*[ZERO_BLOCK] * blocks, *([memoryview(ZERO_BLOCK)[:rest]] if rest else [])]


def _inlines(rope: Rope, capabilities: Capabilities) -> Sequence[bool]:
    """Whether long holes may be sent as bytes: the ways that are worth a plan."""
    if capabilities.compose and rope.holes > LONGEST_INLINE:
        return (False,)
    return (True, False)


def _append(
    rope: Rope, current: RemoteObject | None, capabilities: Capabilities, *, inline: bool
) -> Plan | None:
    if current is None or not capabilities.append:
        return None
    match list(segments(rope, inline=inline)):
        case [Range() as kept, Bytes() as body] if kept.source is current and kept.whole:
            return Plan(((Append(current, body, current.size),),))
        case [Bytes() as body] if not current.size:
            return Plan(((Append(current, body, 0),),))
    return None


def _groups(cut: Sequence[Segment], limits: Limits, *, whole_first: bool) -> list[list[Segment]]:
    """Cut into what can be one object each: only its last part may be short.

    With `whole_first`, a whole object stands alone, for then it need not be touched.
    """
    groups: list[list[Segment]] = []
    current: list[Segment] = []
    for segment in cut:
        alone = isinstance(segment, Zeros) or (
            whole_first and isinstance(segment, Range) and segment.whole
        )
        if alone:
            groups.extend([current] if current else [])
            groups.append([segment])
            current = []
            continue
        current.append(segment)
        if segment.length < limits.min_part:
            groups.append(current)
            current = []
    return [*groups, current] if current else groups


@dataclass
class _Builder:
    """Builds one plan; `depth` says in which stage a helper is made (existing objects: 0)."""

    target: RemoteObject
    capabilities: Capabilities
    limits: Limits
    steps: list[tuple[int, Step]] = field(default_factory=list)
    depth: dict[RemoteObject, int] = field(default_factory=dict)
    zeros: list[RemoteObject] = field(default_factory=list)

    def build(self, groups: Sequence[Sequence[Segment]]) -> Plan | None:
        """The plan for these groups, or None where the store cannot do it."""
        extended = self.capabilities.append or self.capabilities.compose
        ranged = any(isinstance(s, Range) and not s.whole for group in groups for s in group)
        if len(groups) > 1 or isinstance(groups[0][0], Zeros):
            if not self.capabilities.compose:
                return None
            components = [c for group in groups for c in self._components(group)]
            self._compose(components, self.target)
        elif (ranged or len(groups[0]) > 1) and not extended:
            return None  # plain servers take a copied part for an empty one (measured)
        elif not self._make(groups[0], self.target):
            return None
        for _, step in self.steps:
            if isinstance(step, Multipart) and len(step.parts) > self.limits.max_parts:
                return None
        deepest = max(stage for stage, _ in self.steps)
        stages = tuple(
            tuple(step for at, step in self.steps if at == stage) for stage in range(1, deepest + 1)
        )
        helpers = tuple(helper for helper in self.depth if helper is not self.target)
        return Plan(stages, helpers)

    def _add(self, step: Step, inputs: Sequence[RemoteObject] = ()) -> RemoteObject:
        stage = 1 + max((self.depth.get(source, 0) for source in inputs), default=0)
        self.steps.append((stage, step))
        self.depth[step.target] = stage
        return step.target

    def _helper(self, group: Sequence[Segment]) -> RemoteObject:
        return RemoteObject("", sum(segment.length for segment in group), "")

    def _components(self, group: Sequence[Segment]) -> list[RemoteObject]:
        """What a group contributes to a compose: helpers, or an object that is there."""
        match group:
            case [Zeros() as hole]:
                return self._hole(hole.length)
            case [Range() as part] if part.whole:
                return [part.source]
        helper = self._helper(group)
        self._make(group, helper)
        return [helper]

    def _make(self, group: Sequence[Segment], target: RemoteObject) -> bool:
        """Add the step that makes `target` of one group; False where there is none."""
        match group:
            case [Bytes() as body] if body.length <= self.limits.max_put:
                self._add(Put(target, body))
            case [Range() as part] if part.whole and part.length <= self.limits.max_copy:
                self._add(Copy(target, part.source))
            case [Range() as part] if part.whole and self.capabilities.compose:
                self._add(Compose(target, (part.source,)))
            case _:
                parts = [p for segment in group for p in self._parts(segment)]
                self._add(Multipart(target, tuple(parts)))
        return True

    def _parts(self, segment: Segment) -> Iterator[Bytes | Range]:
        """A segment as parts of legal size."""
        assert not isinstance(segment, Zeros)
        count = -(-segment.length // self.limits.max_part)
        borders = [segment.length * at // count for at in range(count + 1)]
        for first, last in pairwise(borders):
            yield segment.cut(first, last)

    def _hole(self, length: int) -> list[RemoteObject]:
        """Zeros as components: one block is sent, and composed into 32-fold ones."""
        blocks, rest = divmod(length, len(ZERO_BLOCK))
        out: list[RemoteObject] = []
        level = 0
        while blocks:
            blocks, digit = divmod(blocks, self.limits.max_components)
            if digit:
                out.extend([self._zero_object(level)] * digit)
            level += 1
        if rest:
            body = Bytes(tuple(_zero_pieces(rest)), rest)
            out.append(self._add(Put(RemoteObject("", rest, ""), body)))
        return out

    def _zero_object(self, level: int) -> RemoteObject:
        while len(self.zeros) <= level:
            if not self.zeros:
                body = Bytes((ZERO_BLOCK,), len(ZERO_BLOCK))
                self.zeros.append(self._add(Put(RemoteObject("", body.length, ""), body)))
                continue
            below = [self.zeros[-1]] * self.limits.max_components
            helper = RemoteObject("", sum(part.size for part in below), "")
            self.zeros.append(self._add(Compose(helper, tuple(below)), below))
        return self.zeros[level]

    def _compose(self, components: list[RemoteObject], target: RemoteObject) -> None:
        """Join any number of objects, in a tree where they are too many for one request."""
        limit = self.limits.max_components
        while len(components) > limit:
            joined = []
            for at in range(0, len(components), limit):
                some = components[at : at + limit]
                if len(some) == 1:
                    joined.extend(some)
                    continue
                helper = RemoteObject("", sum(part.size for part in some), "")
                joined.append(self._add(Compose(helper, tuple(some)), some))
            components = joined
        self._add(Compose(target, tuple(components)), components)
