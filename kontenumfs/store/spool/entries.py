# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One request that was acknowledged and is not stored yet: what it does, and to what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from kontenumfs.store.api import Attributes, Part
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, Nothing, Version


class Kind(Enum):
    """What a request does to its key."""

    PUT = "put"
    APPEND = "append"
    COMPOSE = "compose"
    COPY = "copy"
    DELETE = "delete"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class After:
    """The belief in whatever the entry `number` makes of its key."""

    number: int


Link = Belief | After
"""What an entry believes of a key: something that is known, or the result of an earlier entry."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a body, in a file of the spool.

    Args:
        file: its name within the spool's directory.
        offset: where they begin.
        length: how many they are.
        crc32: of them.
    """

    file: str
    offset: int
    length: int
    crc32: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One acknowledged request.

    Args:
        number: its place among all that were acknowledged; never used twice.
        kind: what it does.
        key: the key that it changes.
        expected: what `key` must have; of a composition: anything.
        sources: keys that it reads.
        source_expected: what a copy's source must be.
        attributes: what the object is stored with; None keeps what is there.
        pieces: the body.
        size: bytes that the object has afterwards.
        upload_id: of a completion.
        parts: of a completion.
        shared: of an append: whether the end may be elsewhere, for others append too.
        promised: whether somebody was told that just this version gets stored.
        created: seconds since the epoch.
        parked: why the store has refused it for good; empty while it has not.
    """

    number: int
    kind: Kind
    key: str
    expected: Link = UNKNOWN
    sources: tuple[str, ...] = ()
    source_expected: Link = UNKNOWN
    attributes: Attributes | None = None
    pieces: tuple[Piece, ...] = ()
    size: int = 0
    upload_id: str = ""
    parts: tuple[Part, ...] = ()
    shared: bool = False
    promised: bool = False
    created: float = 0.0
    parked: str = ""

    @property
    def length(self) -> int:
        """Bytes of its body."""
        return sum(piece.length for piece in self.pieces)

    def told(self) -> dict[str, Any]:
        """What people are told of it."""
        return {
            "number": self.number,
            "kind": self.kind.value,
            "key": self.key,
            "bytes": self.length,
            "created": self.created,
            "parked": self.parked,
        }


_DEFAULTS = Entry(0, Kind.PUT, "")


def to_json(entry: Entry) -> dict[str, Any]:
    """What is written of an entry; what has its usual value is left out."""
    told: dict[str, Any] = {"n": entry.number, "kind": entry.kind.value, "key": entry.key}
    if entry.expected is not UNKNOWN:
        told["expected"] = _link_to_json(entry.expected)
    if entry.source_expected is not UNKNOWN:
        told["source_expected"] = _link_to_json(entry.source_expected)
    if entry.attributes is not None:
        told["metadata"] = dict(entry.attributes.metadata)
        told["headers"] = dict(entry.attributes.headers)
    if entry.pieces:
        told["pieces"] = [[p.file, p.offset, p.length, p.crc32] for p in entry.pieces]
    if entry.parts:
        told["parts"] = [[part.number, part.etag] for part in entry.parts]
    if entry.sources:
        told["sources"] = list(entry.sources)
    for name in ("size", "upload_id", "shared", "promised", "created", "parked"):
        if getattr(entry, name) != getattr(_DEFAULTS, name):
            told[name] = getattr(entry, name)
    return told


def from_json(told: Mapping[str, Any]) -> Entry:
    """The entry that was written; raises ValueError, TypeError or KeyError for what is none."""
    attributes = None
    if "metadata" in told or "headers" in told:
        attributes = Attributes(_texts(told["metadata"]), _texts(told["headers"]))
    return Entry(
        number=_integer(told["n"]),
        kind=Kind(told["kind"]),
        key=_text(told["key"]),
        expected=_link_from_json(told.get("expected", "unknown")),
        sources=tuple(_text(source) for source in told.get("sources", ())),
        source_expected=_link_from_json(told.get("source_expected", "unknown")),
        attributes=attributes,
        pieces=tuple(
            Piece(_text(file), _integer(offset), _integer(length), _integer(crc))
            for file, offset, length, crc in told.get("pieces", ())
        ),
        size=_integer(told.get("size", 0)),
        upload_id=_text(told.get("upload_id", "")),
        parts=tuple(Part(_integer(n), _text(etag)) for n, etag in told.get("parts", ())),
        shared=bool(told.get("shared", False)),
        promised=bool(told.get("promised", False)),
        created=float(told.get("created", 0.0)),
        parked=_text(told.get("parked", "")),
    )


def _link_to_json(link: Link) -> Any:
    match link:
        case After(number):
            return number
        case Version(etag, size):
            return [etag, size]
        case _:
            return link.value


def _link_from_json(told: Any) -> Link:
    match told:
        case int():
            return After(told)
        case [etag, size]:
            return Version(_text(etag), _integer(size))
        case _:
            return Nothing(told)


def _text(told: Any) -> str:
    if not isinstance(told, str):
        raise TypeError(f"{told!r} is no text")
    told.encode()  # lone surrogates: UnicodeEncodeError is a ValueError
    return told


def _texts(told: Any) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in dict(told).items()}


def _integer(told: Any) -> int:
    if type(told) is not int or told < 0:
        raise TypeError(f"{told!r} is no count")
    return told


@dataclass(frozen=True, slots=True)
class State:
    """What a key has, as far as the spool tells.

    Args:
        entry: the last one that changes it.
        size: bytes; None where there is no object.
        attributes: None where only the store knows them.
    """

    entry: Entry
    size: int | None
    attributes: Attributes | None = field(default=None)


def result(entry: Entry) -> int | None:
    """Bytes that the key has after an entry; None where it has no object then."""
    return None if entry.kind is Kind.DELETE else entry.size


__all__ = ["ABSENT", "After", "Entry", "Kind", "Link", "Piece", "State", "from_json", "to_json"]
