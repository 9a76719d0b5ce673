# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the probe's questions are put with: scratch keys, and what an answer says."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import trio

from kontenumfs.protocol.errors import (
    KontenumError,
    PreconditionFailed,
    ServerError,
    StoreError,
    Throttled,
    UnexpectedAnswer,
)
from kontenumfs.store.api import Attributes, Store, Written
from kontenumfs.store.beliefs import UNKNOWN, Belief, Version
from kontenumfs.store.proof import Item, Proof

T = TypeVar("T")
Findings = Mapping[Item, Proof]

UNKNOWN_VERB = frozenset(
    {
        "NotImplemented",
        "XNotImplemented",
        "InvalidRequest",
        "InvalidArgument",
        "InvalidRange",
        "MalformedXML",
        "NotSupported",
        "UnsupportedOperation",
        "ObjectNotAppendable",
        "PositionNotEqualToLength",
    }
)
"""The codes by which servers say that they lack it; the last two are radosgw's, which has another
append. An answer without a code is a gateway's, and says nothing."""
STALE = Version("0" * 32, 1)
"""A belief that is false of every key."""
SOURCE = b"0123456789"


class Said(Enum):
    """What an answer says."""

    DONE = "done"
    REFUSED = "refused"
    """The condition does not hold, says the store."""
    UNABLE = "unable"
    """The store does not know this."""
    ODD = "odd"
    """A success that is not what S3 answers."""
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, and the ETag that came with it."""

    said: Said
    etag: str = ""


SILENCE = Answer(Said.NOTHING)


class Scratch:
    """Keys and uploads that were made for the probe, and how long one request may take."""

    def __init__(self, store: Store, base: str, request_seconds: float) -> None:
        self.store = store
        self.base = base
        self.keys: dict[str, Belief] = {}
        self.uploads: set[tuple[str, str]] = set()
        self.has_lost_uploads = False
        self.was_heard = False
        """Whether the store has answered anything: else an outage is all that was found."""
        self._request_seconds = request_seconds

    def key(self) -> str:
        """A key that nobody else has, and nothing was done to."""
        key = f"{self.base}{len(self.keys)}"
        self.keys[key] = UNKNOWN
        return key

    async def ask(self, call: Callable[[], Awaitable[T]]) -> tuple[Said, T | None]:
        """Send one request; returns what the answer says, and what it holds."""
        with trio.move_on_after(self._request_seconds):
            try:
                done = await call()
                self.was_heard = True
                return Said.DONE, done
            except (ServerError, Throttled):
                return Said.NOTHING, None
            except PreconditionFailed:
                self.was_heard = True
                return Said.REFUSED, None
            except UnexpectedAnswer:
                self.was_heard = True
                return Said.ODD, None
            except StoreError as error:
                self.was_heard = True
                is_said = error.code in UNKNOWN_VERB and (error.status < 500 or error.status == 501)
                return (Said.UNABLE if is_said else Said.NOTHING), None
            except KontenumError:
                return Said.NOTHING, None
        return Said.NOTHING, None

    async def write(self, call: Callable[[], Awaitable[Written]]) -> Answer:
        """Send one request that writes."""
        said, written = await self.ask(call)
        return Answer(said, written.etag if written else "")

    async def put(self, key: str, body: bytes, expected: Belief = UNKNOWN) -> Answer:
        """Store an object."""
        return await self.write(
            lambda: self.store.put(key, [body], Attributes(), expected=expected)
        )

    async def append(self, key: str, body: bytes, expected: Belief = UNKNOWN) -> Answer:
        """Append to an object."""
        return await self.write(lambda: self.store.append(key, [body], expected=expected))

    async def version(self, key: str) -> Version | None:
        """What a HEAD says of a key; None where that cannot be known."""
        _, info = await self.ask(lambda: self.store.head(key))
        return Version(info.etag, info.size) if info else None

    async def begin(self, key: str) -> str:
        """Begin an upload; empty where that failed."""
        said, upload = await self.ask(lambda: self.store.create_multipart(key, Attributes()))
        if not upload:
            self.has_lost_uploads = self.has_lost_uploads or said is Said.NOTHING
            return ""
        self.uploads.add((key, upload))
        return upload


def judged(false: Said, true: Said) -> Proof:
    """What the answers to a false and to a true condition show together."""
    if false is Said.DONE or Said.UNABLE in (false, true):
        return Proof.DISPROVEN
    if false is Said.REFUSED and true is Said.DONE:
        return Proof.PROVEN
    return Proof.DISPROVEN if false is true is Said.REFUSED else Proof.OPEN
