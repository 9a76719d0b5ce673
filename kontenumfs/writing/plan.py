# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""From a rope to the cheapest requests that make the store hold it: a pure function."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice, pairwise
from math import inf

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import DeadlineExceeded, Unsupported
from kontenumfs.store.proof import JOINING, Capabilities
from kontenumfs.writing.extents import Literal, Range, RemoteObject, Rope, Zeros
from kontenumfs.writing.segments import (
    LONGEST_INLINE,
    SHORT_HOLE,
    segments,
    short_hole,
    zero_pieces,
)
from kontenumfs.writing.steps import (
    ZERO_BLOCK,
    Append,
    Bytes,
    Compose,
    Copy,
    Multipart,
    Plan,
    Put,
    Segment,
    Step,
)

FEW_HOLES = 32
"""Of so many holes the odd ends are sent as they are; else they are composed of small blocks."""
KIB = 1024
MAX_REQUESTS = 10_000
"""A file in more fragments than this would take hours: refused instead."""
REQUEST_TIME = 32 * KIB
"""Bytes that a line sends in the time of one request among many, about."""


class Ending(Enum):
    """How a plan of several pieces ends."""

    DIRECT = "direct"
    """Whatever is cheapest: nothing is replaced."""
    GUARDED = "guarded"
    """With a put or a multipart upload, which take a condition on the target."""
    VERIFIED = "verified"
    """With a copy of a helper, which was looked at before."""


def compile_rope(
    rope: Rope,
    target: RemoteObject,
    current: RemoteObject | None,
    capabilities: Capabilities,
    limits: Limits,
    *,
    appended: bool = False,
    exclusive: bool = False,
) -> Plan:
    """Return the cheapest plan after which `target` holds `rope`.

    What replaces an object is published by a request that can say which object it replaces: a put
    or the end of a multipart upload. Copies and composes cannot (S3: 501), so they make helpers
    then; only where the store copies no ranges does one of them end the plan.

    Args:
        target: stands for the object that is made; may be `current` itself.
        current: the object that is under that key now, as far as this mount knows.
        appended: other hosts append to it too, so an append is the only right way where it is one.
        exclusive: the object must not be there yet, which a condition has to say too.

    Raises Unsupported where the store has no way, which harms nothing, and DeadlineExceeded where
    it is not known whether it has.
    """
    if current is not None and len(rope) == 1 and [*rope] == [Range(current, 0, current.size)]:
        return Plan()
    if not rope.size:
        return Plan(((Put(target, Bytes((), 0)),),))
    if not appended and rope.literal == rope.size <= limits.max_put:
        pieces = tuple(extent.data for extent in rope if isinstance(extent, Literal))
        return Plan(((Put(target, Bytes(pieces, rope.size)),),))
    inlines = _inlines(rope, capabilities)
    append = _append(rope, current, capabilities, longest=inlines[0])
    if appended and append is not None:
        return append
    candidates = [append] if append is not None and current is not None and current.size else []
    cuts = [list(segments(rope, longest)) for longest in inlines]
    least = [_least_requests(cut) for cut in cuts]
    cuts = [cut for cut, count in zip(cuts, least, strict=True) if count <= MAX_REQUESTS]
    if not cuts:
        raise Unsupported(f"the file is in too many fragments: {min(least)} requests at least")
    guarded = exclusive or current is not None
    endings = (Ending.GUARDED, Ending.VERIFIED) if guarded else (Ending.DIRECT, Ending.GUARDED)
    for ending in endings:
        if ending is Ending.VERIFIED and candidates:
            break  # only where no condition can be told
        for cut in cuts:
            for whole_first in (True, False):
                groups = _groups(cut, limits, whole_first=whole_first)
                plan = _Builder(target, capabilities, limits, ending).build(groups)
                if plan is not None:
                    candidates.append(plan)
    if not candidates:
        if capabilities.open(JOINING):
            raise DeadlineExceeded("the store has not shown yet that it can join what it has")
        raise Unsupported("this store cannot join what it has with what is new")
    if inlines[0] < inf:
        best = min(candidates, key=lambda plan: plan.cost[0] + REQUEST_TIME * plan.cost[2])
    else:
        best = min(candidates, key=lambda plan: plan.cost)
    if best.cost[2] > MAX_REQUESTS:
        raise Unsupported(f"the file is in too many fragments: {best.cost[2]} requests")
    return best


def _inlines(rope: Rope, capabilities: Capabilities) -> Sequence[float]:
    """Up to which length holes are sent as bytes: the ways that are worth a plan."""
    if capabilities.compose and rope.holes > LONGEST_INLINE:
        return tuple(dict.fromkeys((short_hole(rope), len(ZERO_BLOCK))))
    return (inf, len(ZERO_BLOCK))


def _least_requests(cut: Sequence[Segment]) -> int:
    """Return how many requests that many pieces take at least."""
    return sum(
        isinstance(segment, Bytes) or (isinstance(segment, Range) and not segment.whole)
        for segment in cut
    )


def _append(
    rope: Rope, current: RemoteObject | None, capabilities: Capabilities, *, longest: float
) -> Plan | None:
    if current is None or not capabilities.append:
        return None
    match list(islice(segments(rope, longest), 3)):
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
    ending: Ending = Ending.DIRECT
    steps: list[tuple[int, Step]] = field(default_factory=list)
    depth: dict[RemoteObject, int] = field(default_factory=dict)
    zeros: list[RemoteObject] = field(default_factory=list)
    ends: dict[int, RemoteObject] = field(default_factory=dict)
    few_holes: bool = True

    def build(self, groups: Sequence[Sequence[Segment]]) -> Plan | None:
        """Return the plan for these groups, or None where the store cannot do it."""
        self.few_holes = sum(isinstance(group[0], Zeros) for group in groups) <= FEW_HOLES
        if len(groups) > 1 or isinstance(groups[0][0], Zeros):
            self._join(groups)
        else:
            self._make(groups[0], self.target)
        if not all(self._is_possible(step) for _, step in self.steps):
            return None
        deepest = max(stage for stage, _ in self.steps)
        stages = tuple(
            tuple(step for at, step in self.steps if at == stage) for stage in range(1, deepest + 1)
        )
        helpers = tuple(helper for helper in self.depth if helper is not self.target)
        return Plan(stages, helpers)

    def _is_possible(self, step: Step) -> bool:
        """Tell whether the store was shown to do this."""
        match step:
            case Compose():
                return bool(self.capabilities.compose)
            case Multipart():
                copied = any(isinstance(part, Range) for part in step.parts)
                able = not copied or bool(self.capabilities.part_copy)
                return able and len(step.parts) <= self.limits.max_parts
            case Put():
                return step.body.length <= self.limits.max_put
        return True

    def _add(self, step: Step, inputs: Sequence[RemoteObject] = ()) -> RemoteObject:
        stage = 1 + max((self.depth.get(source, 0) for source in inputs), default=0)
        self.steps.append((stage, step))
        self.depth[step.target] = stage
        return step.target

    def _helper(self, size: int) -> RemoteObject:
        return RemoteObject("", size, "")

    def _join(self, groups: Sequence[Sequence[Segment]]) -> None:
        """Make the target of several groups."""
        if self.ending is Ending.GUARDED and self._are_parts(groups):
            parts = [part for group in groups[:-1] for part in self._as_parts(group)]
            self._multipart(self.target, [*parts, *self._as_parts(groups[-1], last=True)])
            return
        components = [c for group in groups for c in self._components(group)]
        if self.ending is Ending.DIRECT:
            self._compose(components, self.target)
            return
        joined = self._helper(sum(component.size for component in components))
        self._compose(components, joined)
        self._make([Range(joined, 0, joined.size)], self.target)

    def _are_parts(self, groups: Sequence[Sequence[Segment]]) -> bool:
        """Tell whether each group but the last is long enough for a part of an upload."""
        shortest = min(sum(segment.length for segment in group) for group in groups[:-1] or groups)
        holed = any(isinstance(group[0], Zeros) for group in groups)
        return len(groups) > 1 and not holed and shortest >= self.limits.min_part

    def _as_parts(self, group: Sequence[Segment], *, last: bool = False) -> list[Bytes | Range]:
        """Return what a group adds to an upload; a short end is joined to the rest before."""
        if not last and group[-1].length < self.limits.min_part:
            helper = self._helper(sum(segment.length for segment in group))
            self._make(group, helper)
            group = [Range(helper, 0, helper.size)]
        return [part for segment in group for part in self._parts(segment)]

    def _components(self, group: Sequence[Segment]) -> list[RemoteObject]:
        """Return what a group contributes to a compose: helpers, or an object that is there."""
        match group:
            case [Zeros() as hole]:
                return self._hole(hole.length)
            case [Range() as part] if part.whole:
                return [part.source]
        helper = self._helper(sum(segment.length for segment in group))
        self._make(group, helper)
        return [helper]

    def _make(self, group: Sequence[Segment], target: RemoteObject) -> None:
        """Add the steps that make `target` of one group."""
        guarded = self.ending is Ending.GUARDED and target is self.target
        match group:
            case [Bytes() as body] if body.length <= self.limits.max_put:
                self._add(Put(target, body))
            case [Range() as part] if part.whole and not guarded:
                copied = part.length <= self.limits.max_copy
                step = Copy(target, part.source) if copied else Compose(target, (part.source,))
                self._add(step, (part.source,))
            case _:
                self._multipart(target, [p for segment in group for p in self._parts(segment)])

    def _multipart(self, target: RemoteObject, parts: list[Bytes | Range]) -> None:
        """Upload `parts`; where they are too many, runs of them become objects first."""
        limit = self.limits.max_parts
        while len(parts) > limit:
            helpers: list[Bytes | Range] = []
            for some in (parts[at : at + limit] for at in range(0, len(parts), limit)):
                helper = self._helper(sum(part.length for part in some))
                self._add(Multipart(helper, tuple(some)), _sources(some))
                helpers += self._parts(Range(helper, 0, helper.size))
            if len(helpers) >= len(parts):
                break  # parts of the longest length, and too many of them: see _is_possible
            parts = helpers
        self._add(Multipart(target, tuple(parts)), _sources(parts))

    def _parts(self, segment: Segment) -> Iterator[Bytes | Range]:
        """Yield a segment as parts of legal size."""
        assert not isinstance(segment, Zeros)
        count = -(-segment.length // self.limits.max_part)
        borders = [segment.length * at // count for at in range(count + 1)]
        for first, last in pairwise(borders):
            yield segment.cut(first, last)

    def _hole(self, length: int) -> list[RemoteObject]:
        """Return zeros as components: one block is sent, and composed into 32-fold ones."""
        blocks, rest = divmod(length, len(ZERO_BLOCK))
        out: list[RemoteObject] = []
        level = 0
        while blocks:
            blocks, digit = divmod(blocks, self.limits.max_components)
            if digit:
                out.extend([self._zero_object(level)] * digit)
            level += 1
        if rest:
            out.append(self._end_of_hole(rest))
        return out

    def _end_of_hole(self, length: int) -> RemoteObject:
        """Return an object of less than ZERO_BLOCK; of one length there is one."""
        if length not in self.ends:
            made = self.ends[length] = RemoteObject("", length, "")
            unit = next((u for u in (SHORT_HOLE // 2, KIB) if length > u), length)
            if self.few_holes or unit == length:
                self._add(Put(made, Bytes(tuple(zero_pieces(length)), length)))
            else:
                count, rest = divmod(length, unit)
                parts = [self._end_of_hole(unit)] * count
                self._compose(parts + ([self._end_of_hole(rest)] if rest else []), made)
        return self.ends[length]

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


def _sources(parts: Sequence[Bytes | Range]) -> list[RemoteObject]:
    return [part.source for part in parts if isinstance(part, Range)]
