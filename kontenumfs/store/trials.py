# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The questions of the probe: each tries one verb on scratch keys of its own.

A condition is proven by two answers: one that is false is refused, one that is true is not. Each
question says what this round has shown; an item that it does not name stays open.
"""

from collections.abc import Awaitable, Callable, Mapping

import trio

from kontenumfs.store.api import Attributes
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, Version
from kontenumfs.store.proof import Item, Proof, Verb
from kontenumfs.store.scratch import (
    SILENCE,
    SOURCE,
    STALE,
    UNKNOWN_VERB,
    Answer,
    Findings,
    Said,
    Scratch,
    judged,
)
from kontenumfs.store.upload_trials import uploads


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
