# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of a store's abilities: item by item, proven, disproven, or still open."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

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

    @property
    def is_complete(self) -> bool:
        """Whether nothing is open."""
        items = [self.append, self.compose, self.part_copy, self.digest]
        return Proof.OPEN not in (*items, *(self.condition(verb) for verb in Verb))

    def __str__(self) -> str:
        items = {name: getattr(self, name) for name in ("append", "compose", "part_copy", "digest")}
        items |= {verb.value.replace(" ", "_"): self.condition(verb) for verb in Verb}
        return " ".join(f"{name}={proof.value}" for name, proof in items.items())


UNPROVEN = Capabilities()
"""What is known before anything was asked."""
CAPABLE = Capabilities(
    Proof.PROVEN, Proof.PROVEN, Proof.PROVEN, Proof.PROVEN, dict.fromkeys(Verb, Proof.PROVEN)
)
"""A store that can do everything, as Kontenum promises."""


def target_condition(expected: Belief, absent: Verb, match: Verb) -> Verb | None:
    """The condition that a belief becomes, of the two that a request can have."""
    if expected is ABSENT:
        return absent
    return match if isinstance(expected, Version) else None
