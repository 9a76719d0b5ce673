# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The probe's questions about multipart uploads; see trials."""

import hashlib
from collections.abc import Sequence

import trio

from kontenumfs.protocol.dialect import MAX_COMPONENTS, MIN_PART
from kontenumfs.store.api import Attributes, Part
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, Version
from kontenumfs.store.proof import Item, Proof, Verb
from kontenumfs.store.scratch import SOURCE, STALE, Answer, Findings, Said, Scratch, judged

FIRST, LAST = 1, 7
"""The range of it that is copied."""
BLOCK = b"k" * (MIN_PART // 30)
"""As many as one compose takes make a source that every store copies ranges of."""


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
        etag = true.etag
    else:
        if true.said is Said.UNABLE:
            found |= {"part_copy": Proof.DISPROVEN, **await _large_copies(scratch)}
        # A new upload: not every server takes a part again whose copy it has failed.
        upload = await scratch.begin(key)
        _, sent = await scratch.ask(lambda: scratch.store.upload_part(key, upload, 1, [b"1"]))
        if sent is None:
            return found
        etag = sent.etag
    completed = await _complete(scratch, key, upload, [Part(1, etag)], ABSENT)
    if completed.said is not Said.DONE:
        await _complete(scratch, key, upload, [Part(1, etag)], UNKNOWN)
    if completed.etag and found.get("digest"):
        version: Version | None = Version(completed.etag, LAST + 1 - FIRST)
    else:
        version = await scratch.version(key)
    if version is None:
        return found
    if true.said is Said.DONE:
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
    if said is Said.ODD:
        # rclone takes it for an UploadPart without a body, and answers like that.
        said = Said.UNABLE
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
