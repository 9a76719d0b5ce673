# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What a plan under way knows: what it publishes, and of which objects it is made."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from kontenumfs.store.api import Attributes, ObjectInfo
from kontenumfs.store.beliefs import UNKNOWN, Belief, Version, believed
from kontenumfs.writing.extents import Range, RemoteObject
from kontenumfs.writing.steps import Compose, Copy, Multipart, Plan, Step


@dataclass(frozen=True, slots=True)
class Publication:
    """What the object that a plan publishes is stored with.

    Args:
        attributes: its headers and metadata. An append does not carry them.
        expected: what is believed of the key: the store refuses to replace anything else. Copies
            and composes take no such condition, so the key is looked at right before them.
    """

    attributes: Attributes
    expected: Belief = UNKNOWN


@dataclass(frozen=True, slots=True)
class Made:
    """What a plan has published.

    Args:
        etag: of the object; empty where the store told none.
        size: bytes.
    """

    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class Source:
    """An object that a plan copies from: as it was when the plan began, or a helper of its own.

    Args:
        belief: UNKNOWN of a helper, which nobody else touches.
        guarded: whether nobody need look at it again: it is a helper, or the condition on what the
            plan replaces is one on this object, too.
    """

    key: str
    size: int
    belief: Belief
    guarded: bool

    def is_still(self, info: ObjectInfo | None) -> bool:
        """Tell whether `info` describes the same object."""
        if info is None or info.size != self.size:
            return False
        return self.belief is UNKNOWN or self.belief == believed(info.etag, info.size)


Sources = dict[RemoteObject, Source]


@dataclass(slots=True)
class Run:
    """One plan under way.

    Args:
        sources: what it copies from, its helpers included.
        limit: of requests side by side.
        certain: what it has made of exactly these parts, as the ETag of the whole has told.
    """

    sources: Sources
    limit: trio.CapacityLimiter
    certain: set[RemoteObject] = field(default_factory=set)


def foreign_sources(plan: Plan, publication: Publication) -> Sources:
    """Return the plan's sources that are no helpers of its own."""
    (end,) = plan.stages[-1]
    expected = publication.expected

    def described(source: RemoteObject) -> Source:
        belief = believed(source.etag, source.size)
        conditional = isinstance(end, Multipart) and source.key == end.target.key
        guarded = conditional and isinstance(belief, Version) and belief == expected
        return Source(source.key, source.size, belief, guarded)

    sources = {s for stage in plan.stages for step in stage for s in sources_of(step)}
    return {source: described(source) for source in sources.difference(plan.helpers)}


def sources_of(step: Step) -> Sequence[RemoteObject]:
    match step:
        case Copy():
            return [step.source]
        case Compose():
            return step.sources
        case Multipart():
            return [part.source for part in step.parts if isinstance(part, Range)]
    return ()
