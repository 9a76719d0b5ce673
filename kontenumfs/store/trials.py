# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The questions of the probe: each tries one verb on scratch keys of its own.

A condition is proven by two answers: one that is false is refused, one that is true is not. Each
question says what this round has shown; an item that it does not name stays open.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import trio

from kontenumfs.protocol.dialect import MAX_COMPONENTS, MIN_PART
from kontenumfs.protocol.errors import KontenumError, PreconditionFailed, StoreError
from kontenumfs.store.api import Attributes, Part, Store, Written
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, Version
from kontenumfs.store.proof import Proof, Verb

T = TypeVar("T")
Item = Verb | str
"""A condition, or the name of another field of Capabilities."""
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
FIRST, LAST = 1, 7
"""The range of it that is copied."""
BLOCK = b"k" * (MIN_PART // 30)
"""As many as one compose takes make a source that every store copies ranges of."""


class Said(Enum):
    """What an answer says."""

    DONE = "done"
    REFUSED = "refused"
    """The condition does not hold, says the store."""
    UNABLE = "unable"
    """The store does not know this."""
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
                return Said.DONE, await call()
            except PreconditionFailed:
                return Said.REFUSED, None
            except StoreError as error:
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


async def puts(scratch: Scratch) -> Findings:
    """If-None-Match and If-Match on PutObject."""
    key = scratch.key()
    true_absent = await scratch.put(key, b"1", ABSENT)
    base = true_absent if true_absent.said is Said.DONE else await scratch.put(key, b"1")
    if base.said is not Said.DONE:
        return {}
    false_absent = await scratch.put(key, b"22", ABSENT)
    if false_absent.said is Said.DONE:
        base = false_absent
    found: dict[Item, Proof] = {Verb.PUT_ABSENT: judged(false_absent.said, true_absent.said)}
    false_match = await scratch.put(key, b"333", STALE)
    if false_match.said is Said.DONE:
        return {**found, Verb.PUT_MATCH: Proof.DISPROVEN}
    if not base.etag:
        version = await scratch.version(key)
        base = Answer(Said.DONE, version.etag if version else "")
    if not base.etag:
        return found
    true_match = await scratch.put(key, b"4444", Version(base.etag, 1))
    return {**found, Verb.PUT_MATCH: judged(false_match.said, true_match.said)}


async def appends(scratch: Scratch) -> Findings:
    """Append and its conditions: each body has a length that is one bit of the object's."""
    key, store = scratch.key(), scratch.store
    made = await scratch.append(key, b"." * 1, ABSENT)
    if made.said is not Said.DONE and (await scratch.put(key, b"." * 1)).said is not Said.DONE:
        return {}
    said: dict[int, Answer] = {}

    async def send(length: int, expected: Belief) -> None:
        body = b"." * length
        said[length] = await scratch.write(lambda: store.append(key, [body], expected=expected))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send, 2, UNKNOWN)
        nursery.start_soon(send, 4, STALE)
    if said[2].etag:
        await send(8, Version(said[2].etag, 3))
    await send(16, ABSENT)
    version = await scratch.version(key)
    if version is None:
        return {}
    appended = _appended(version.size, said)
    if not appended:
        return dict.fromkeys(("append", Verb.APPEND_ABSENT, Verb.APPEND_MATCH), appended)

    def seen(length: int) -> Said:
        """What is in the object counts, and not what was said of it."""
        if version.size & length:
            return Said.DONE
        answer = said.get(length, SILENCE).said
        return answer if answer is not Said.DONE else Said.NOTHING

    return {
        "append": appended,
        Verb.APPEND_MATCH: judged(seen(4), seen(8)),
        Verb.APPEND_ABSENT: judged(seen(16), made.said),
    }


def _appended(size: int, said: Mapping[int, Answer]) -> Proof:
    if size & 1:
        if size & 2:
            return Proof.PROVEN
        return Proof.DISPROVEN if said[2].said is Said.UNABLE else Proof.OPEN
    return Proof.DISPROVEN if size in said else Proof.OPEN


async def composes(scratch: Scratch) -> Findings:
    """Compose, of one object twice."""
    source, target, store = scratch.key(), scratch.key(), scratch.store
    if (await scratch.put(source, SOURCE)).said is not Said.DONE:
        return {}
    made = await scratch.write(lambda: store.compose(target, [source, source], Attributes()))
    version = await scratch.version(target)
    if version is None:
        return {"compose": Proof.DISPROVEN} if made.said is Said.UNABLE else {}
    return {"compose": Proof.PROVEN if version.size == 2 * len(SOURCE) else Proof.DISPROVEN}


async def copies(scratch: Scratch) -> Findings:
    """The condition of CopyObject on its source."""
    source, target, store = scratch.key(), scratch.key(), scratch.store
    made = await scratch.put(source, SOURCE)
    if not made.etag:
        return {}
    false = await scratch.write(lambda: store.copy(source, target, expected=STALE))
    belief = Version(made.etag, len(SOURCE))
    true = await scratch.write(lambda: store.copy(source, target, expected=belief))
    return {Verb.COPY_SOURCE: judged(false.said, true.said)}


async def deletes(scratch: Scratch) -> Findings:
    """If-Match on DeleteObject, where what is there shows what was done."""
    key, store = scratch.key(), scratch.store
    made = await scratch.put(key, b"1")
    if not made.etag:
        return {}
    false, _ = await scratch.ask(lambda: store.delete(key, expected=STALE))
    true, _ = await scratch.ask(lambda: store.delete(key, expected=Version(made.etag, 1)))
    return {Verb.DELETE_MATCH: judged(false, true)}


async def deletes_of_many(scratch: Scratch) -> Findings:
    """ETags in DeleteObjects: one request with a false and a true one."""
    kept, gone, store = scratch.key(), scratch.key(), scratch.store
    made: dict[str, Answer] = {}

    async def put(key: str) -> None:
        made[key] = await scratch.put(key, b"1")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(put, kept)
        nursery.start_soon(put, gone)
    if not made[gone].etag:
        return {}
    beliefs = {kept: STALE, gone: Version(made[gone].etag, 1)}
    said, failed = await scratch.ask(lambda: store.delete_many(beliefs))
    if failed is None:
        return {Verb.DELETE_MANY_MATCH: Proof.DISPROVEN} if said is Said.UNABLE else {}
    return {Verb.DELETE_MANY_MATCH: judged(_told(failed, kept), _told(failed, gone))}


def _told(failed: Mapping[str, str], key: str) -> Said:
    match failed.get(key):
        case None:
            return Said.DONE
        case "PreconditionFailed" | "412":
            return Said.REFUSED
        case code:
            return Said.UNABLE if code in UNKNOWN_VERB else Said.NOTHING


async def uploads(scratch: Scratch) -> Findings:
    """Copied parts, their digest, and the conditions of CompleteMultipartUpload."""
    key, source = scratch.key(), scratch.key()
    made = await scratch.put(source, SOURCE)
    upload = await scratch.begin(key)
    if not (made.etag and upload):
        return {}
    belief = Version(made.etag, len(SOURCE))
    true, false = await _copy_parts(scratch, key, upload, source, belief)
    found: dict[Item, Proof] = {Verb.PART_COPY_SOURCE: judged(false.said, true.said)}
    if true.said is not Said.DONE:
        true = await _copy_part(scratch, key, upload, 1, source, UNKNOWN)
    if true.said is Said.DONE:
        found["digest"] = _is_digest(true, SOURCE)
        number, etag = 1, true.etag
    else:
        if true.said is Said.UNABLE:
            found |= {"part_copy": Proof.DISPROVEN, **await _large_copies(scratch)}
        sent = await scratch.ask(lambda: scratch.store.upload_part(key, upload, 3, [b"1"]))
        if sent[1] is None:
            return found
        number, etag = 3, sent[1].etag
    completed = await _complete(scratch, key, upload, [Part(number, etag)], ABSENT)
    if completed.said is not Said.DONE:
        await _complete(scratch, key, upload, [Part(number, etag)], UNKNOWN)
    version = await scratch.version(key)
    if version is None:
        return found
    if number == 1:
        is_range = version.size == LAST + 1 - FIRST
        found["part_copy"] = Proof.PROVEN if is_range else Proof.DISPROVEN
    return {**found, **await _completions(scratch, key, version, completed.said)}


async def _completions(scratch: Scratch, key: str, version: Version, true_absent: Said) -> Findings:
    """Conditions of CompleteMultipartUpload on a key that has an object."""

    async def one_part() -> tuple[str, Part] | None:
        if not (upload := await scratch.begin(key)):
            return None
        _, part = await scratch.ask(lambda: scratch.store.upload_part(key, upload, 1, [b"22"]))
        return (upload, part) if part else None

    if (made := await one_part()) is None:
        return {}
    upload, part = made
    false = await _complete(scratch, key, upload, [part], ABSENT)
    found: dict[Item, Proof] = {Verb.COMPLETE_ABSENT: judged(false.said, true_absent)}
    if false.said is Said.DONE:
        if (made := await one_part()) is None:
            return found
        upload, part = made
        version = Version(false.etag, 2)
    false = await _complete(scratch, key, upload, [part], STALE)
    if false.said is Said.DONE:
        return {**found, Verb.COMPLETE_MATCH: Proof.DISPROVEN}
    if not version.etag:
        return found
    true = await _complete(scratch, key, upload, [part], version)
    return {**found, Verb.COMPLETE_MATCH: judged(false.said, true.said)}


async def _complete(
    scratch: Scratch, key: str, upload: str, parts: Sequence[Part], expected: Belief
) -> Answer:
    answer = await scratch.write(
        lambda: scratch.store.complete_multipart(key, upload, parts, expected=expected)
    )
    if answer.said is Said.DONE:
        scratch.uploads.discard((key, upload))
    return answer


async def _copy_part(
    scratch: Scratch, key: str, upload: str, number: int, source: str, expected: Belief
) -> Answer:
    said, part = await scratch.ask(
        lambda: scratch.store.upload_part_copy(
            key, upload, number, source, first=FIRST, last=LAST, expected=expected
        )
    )
    return Answer(said, part.etag if part else "")


async def _copy_parts(
    scratch: Scratch, key: str, upload: str, source: str, belief: Belief
) -> tuple[Answer, Answer]:
    """Copy a range with a true and with a false condition, side by side."""
    answers: dict[int, Answer] = {}

    async def copy(number: int, expected: Belief) -> None:
        answers[number] = await _copy_part(scratch, key, upload, number, source, expected)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(copy, 1, belief)
        nursery.start_soon(copy, 2, STALE)
    return answers[1], answers[2]


async def _large_copies(scratch: Scratch) -> Findings:
    """The same of a source over 5 MiB, for AWS copies ranges of no smaller ones."""
    block, source, key = scratch.key(), scratch.key(), scratch.key()
    if (await scratch.put(block, BLOCK)).said is not Said.DONE:
        return {}
    blocks = [block] * MAX_COMPONENTS
    await scratch.ask(lambda: scratch.store.compose(source, blocks, Attributes()))
    version, upload = await scratch.version(source), await scratch.begin(key)
    if version is None or not upload:
        return {}
    if version.size != len(BLOCK) * MAX_COMPONENTS:
        # Without compose the mount has no such source where it needs one.
        return {"digest": Proof.DISPROVEN}
    true, false = await _copy_parts(scratch, key, upload, source, version)
    found: dict[Item, Proof] = {Verb.PART_COPY_SOURCE: judged(false.said, true.said)}
    if true.said is not Said.DONE:
        true = await _copy_part(scratch, key, upload, 1, source, UNKNOWN)
    if true.said is Said.DONE:
        found["digest"] = _is_digest(true, BLOCK)
    return found


def _is_digest(answer: Answer, source: bytes) -> Proof:
    md5 = hashlib.md5(source[FIRST : LAST + 1], usedforsecurity=False).hexdigest()
    return Proof.PROVEN if answer.etag.lower() == md5 else Proof.DISPROVEN


TRIALS: tuple[tuple[tuple[Item, ...], Callable[[Scratch], Awaitable[Findings]]], ...] = (
    ((Verb.PUT_ABSENT, Verb.PUT_MATCH), puts),
    (("append", Verb.APPEND_ABSENT, Verb.APPEND_MATCH), appends),
    (("compose",), composes),
    ((Verb.COPY_SOURCE,), copies),
    ((Verb.DELETE_MATCH,), deletes),
    ((Verb.DELETE_MANY_MATCH,), deletes_of_many),
    (
        (
            "part_copy",
            "digest",
            Verb.PART_COPY_SOURCE,
            Verb.COMPLETE_ABSENT,
            Verb.COMPLETE_MATCH,
        ),
        uploads,
    ),
)
"""Each question, and the items that it is about."""
