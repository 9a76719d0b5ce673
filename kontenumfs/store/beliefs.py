# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the mount holds of a key: the one value that every request that changes something takes.

A belief becomes the strongest condition of the request (If-None-Match: *, If-Match: RFC 9110,
section 13.1; x-amz-copy-source-if-match: AWS, CopyObject), so that the store refuses what rests
on a state that has passed. A size and an ETag travel together, or not at all.
"""

from dataclasses import dataclass
from enum import Enum

from kontenumfs.protocol.errors import (
    NoSuchBucket,
    NoSuchUpload,
    NotFound,
    ObjectVanished,
    PreconditionFailed,
)


@dataclass(frozen=True, slots=True)
class Version:
    """The key has exactly this object.

    Args:
        etag: as the store told it together with `size`; not empty.
        size: bytes.
    """

    etag: str
    size: int

    def __str__(self) -> str:
        return f"{self.size} bytes with ETag {self.etag!r}"


class Nothing(Enum):
    """What can be believed of a key without an object in mind."""

    ABSENT = "absent"
    """There is no object."""
    UNKNOWN = "unknown"
    """Whatever is there may be replaced."""


ABSENT = Nothing.ABSENT
UNKNOWN = Nothing.UNKNOWN
Belief = Version | Nothing

REFUSED = PreconditionFailed
"""The one way to say that a belief is wrong; its subclass ObjectVanished: and nothing is there."""


def believed(etag: str, size: int) -> Belief:
    """The belief in an object that the store has described; UNKNOWN where it gave no ETag."""
    return Version(etag, size) if etag else UNKNOWN


def plain_etag(etag: str) -> str:
    """An ETag without quotes and without the mark of a weak one, which proxies add."""
    return etag.removeprefix("W/").strip('"')


def refusal(operation: str, key: str, expected: Belief, found: Belief) -> PreconditionFailed:
    """What a store with conditions would say of a request that expects what is not there."""
    kind = ObjectVanished if found is ABSENT else PreconditionFailed
    error = kind(
        f"expected {_told(expected)}, found {_told(found)}",
        code="PreconditionFailed",
        status=412,
        operation=operation,
        resource=key,
    )
    if isinstance(found, Version):
        error.found = (found.etag, found.size)
    return error


def found_instead(error: PreconditionFailed) -> Belief:
    """What is there instead of what was believed; UNKNOWN where nobody has looked."""
    if isinstance(error, ObjectVanished):
        return ABSENT
    return believed(*error.found) if error.found else UNKNOWN


def vanished(error: NotFound, expected: Belief) -> NotFound | PreconditionFailed:
    """The same of a 404: where an object is expected, its absence is a belief that is wrong."""
    if not isinstance(expected, Version) or isinstance(error, NoSuchBucket | NoSuchUpload):
        return error
    return ObjectVanished(
        error.message,
        code=error.code,
        status=error.status,
        request_id=error.request_id,
        operation=error.operation,
        resource=error.resource,
    )


def _told(belief: Belief) -> str:
    match belief:
        case Version():
            return str(belief)
        case Nothing.ABSENT:
            return "no object"
        case _:
            return "anything"
