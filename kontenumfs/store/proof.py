# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of a store's abilities: item by item, proven, disproven, or still open."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Protocol

from kontenumfs.store.beliefs import ABSENT, Belief, Version


class Proof(Enum):
    """How sure it is that a store can do something; true only where it was shown."""

    PROVEN = "proven"
    DISPROVEN = "disproven"
    OPEN = "open"
    """Not asked yet, or no answer that proves or disproves it: to be asked again."""

    def __bool__(self) -> bool:
        return self is Proof.PROVEN


class Verb(Enum):
    """A condition of one request, honoured or not by itself (AWS: "conditional requests")."""

    PUT_ABSENT = "put absent"
    """If-None-Match: * on PutObject."""
    PUT_MATCH = "put match"
    COMPLETE_ABSENT = "complete absent"
    COMPLETE_MATCH = "complete match"
    APPEND_ABSENT = "append absent"
    APPEND_MATCH = "append match"
    COPY_SOURCE = "copy source"
    """x-amz-copy-source-if-match on CopyObject."""
    PART_COPY_SOURCE = "part copy source"
    DELETE_MATCH = "delete match"
    DELETE_MANY_MATCH = "delete many match"
    """An ETag beside a key of DeleteObjects."""


Item = Verb | str
"""A condition, or the name of another field of Capabilities."""
ITEMS: tuple[Item, ...] = ("append", "compose", "part_copy", "digest", *Verb)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a store can do beyond plain writes, as far as it is known.

    Args:
        append: ``PUT ?append`` adds to an object.
        compose: ``PUT ?compose`` joins objects.
        part_copy: UploadPartCopy of a range of a small object gives exactly these bytes.
        digest: the ETag of UploadPartCopy is the MD5 of the copied bytes.
        conditions: what is known of each request's condition; what is not in it is open.
    """

    append: Proof = Proof.OPEN
    compose: Proof = Proof.OPEN
    part_copy: Proof = Proof.OPEN
    digest: Proof = Proof.OPEN
    conditions: Mapping[Verb, Proof] = field(default_factory=lambda: MappingProxyType({}))

    def condition(self, verb: Verb) -> Proof:
        """What is known of the condition of one request."""
        return self.conditions.get(verb, Proof.OPEN)

    def proof(self, item: Item) -> Proof:
        """What is known of an item."""
        if isinstance(item, Verb):
            return self.condition(item)
        known: Proof = getattr(self, item)
        return known

    def open(self, items: Collection[Item]) -> set[Item]:
        """Which of `items` are not known."""
        return {item for item in items if self.proof(item) is Proof.OPEN}

    def __str__(self) -> str:
        names = {item: item.value if isinstance(item, Verb) else item for item in ITEMS}
        told = {name.replace(" ", "_"): self.proof(item) for item, name in names.items()}
        return " ".join(f"{name}={proof.value}" for name, proof in told.items())


UNPROVEN = Capabilities()
"""What is known before anything was asked."""
CAPABLE = Capabilities(
    Proof.PROVEN, Proof.PROVEN, Proof.PROVEN, Proof.PROVEN, dict.fromkeys(Verb, Proof.PROVEN)
)
"""A store that can do everything, as Kontenum promises."""


JOINING: tuple[Item, ...] = ("compose", "part_copy")
"""The ways to make an object of others."""


class Ask(Protocol):
    """Tells what the store is proven to do; see ProvenCapabilities.get."""

    async def __call__(self, *wanted: Item) -> Capabilities:
        """Find out what of `wanted` is open, and tell all that is known."""


def target_condition(expected: Belief, absent: Verb, match: Verb) -> Verb | None:
    """The condition that a belief becomes, of the two that a request can have."""
    if expected is ABSENT:
        return absent
    return match if isinstance(expected, Version) else None
