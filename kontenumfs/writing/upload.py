# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Appends that take place exactly once, and multipart uploads as one thing."""

import logging
import random
from dataclasses import dataclass, field
from itertools import pairwise

import trio

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import (
    AnswerLost,
    Conflict,
    DeadlineExceeded,
    KontenumError,
    NotFound,
    OutcomeUnknown,
    PreconditionFailed,
    ServerError,
    TooManyAppends,
    WriterConflict,
)
from kontenumfs.store.api import Attributes, Body, Part, Store, Written
from kontenumfs.store.beliefs import UNKNOWN, Belief, believed
from kontenumfs.writing.extents import Range, RemoteObject
from kontenumfs.writing.journal import Journal

log = logging.getLogger(__name__)

ATTEMPTS = 32
"""How often one append may lose a race or an answer before it is given up."""
PATIENCE = 60.0
"""Seconds for which an append is tried again, unless the mount's deadline says otherwise."""
LONGEST_WAIT = 10.0
"""Seconds between two attempts at most."""
CLEAN_UP_SECONDS = 10.0
"""What was begun is dropped even when it was cancelled, if that is quick."""
DEFAULT_LIMITS = Limits()


@dataclass(slots=True)
class Target:
    """The object that appends go to, as its writer knows it.

    Args:
        key: the object key.
        size: bytes that it holds.
        etag: of the object at that size; empty where it is not known.
        shared: whether others may append too (O_APPEND): then the end is wherever it is.
        conditional: whether the store honours If-Match on append.
        contested: whether others have been seen appending; `append_once` sets it when it sees one.
    """

    key: str
    size: int
    etag: str
    shared: bool
    conditional: bool
    contested: bool = False


async def append_once(
    store: Store,
    target: Target,
    body: Body,
    journal: Journal,
    *,
    patience: float = PATIENCE,
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Add `body` to the end of `target`, exactly once, and bring `target` up to date.

    After a lost answer the object's length decides: the old length means that the bytes did not
    arrive, the old length plus theirs that they did; anything else is another writer. Another
    host's line of the same length looks like ours, and no request can tell the two apart. So once
    others have been seen appending to the object (`contested`), a growth by our length proves
    nothing, and is told as OutcomeUnknown: no line is doubled, and none is lost unheard. While
    nobody has been seen, it is ours: one host on a bad line need not fail.

    Without If-Match the store cannot refuse a request that comes late, after its repetition was
    decided on: the length is asked for twice then, the last time right before the repetition.

    Args:
        journal: has it while it is under way.
        patience: seconds after which bytes that have not arrived are not sent again.
        limits: of the store.

    Raises WriterConflict when someone else changed an object that is not shared, OutcomeUnknown
    when a lost answer cannot be decided, and whatever the store reports.
    """
    with journal.appending(target.key, target.size, body, shared=target.shared):
        await _append(store, target, body, journal, patience, limits)


async def _append(
    store: Store, target: Target, body: Body, journal: Journal, patience: float, limits: Limits
) -> None:
    length = sum(len(piece) for piece in body)
    until = trio.current_time() + patience
    lost: KontenumError | None = None
    for number in range(ATTEMPTS):
        condition = believed(target.etag, target.size) if target.conditional else UNKNOWN
        try:
            written = await store.append(target.key, body, expected=condition)
        except (PreconditionFailed, Conflict) as error:
            if lost is None:
                await _meet_other_writer(store, target, error)
            elif await _settle(store, target, length, journal, lost):
                return  # the one whose answer was lost has come late
            if isinstance(error, Conflict):
                await wait_before(number, error, until)
        except TooManyAppends:
            if lost is not None and await _settle(store, target, length, journal, lost):
                return
            await restart_appends(store, target, journal, limits)
        except (AnswerLost, ServerError, DeadlineExceeded) as error:
            if await _settle(store, target, length, journal, error):
                return
            await wait_before(number, error, until)
            if condition is UNKNOWN and await _settle(store, target, length, journal, error):
                return
            journal.answer_lost(stored=False)
            lost = error.with_traceback(None)  # or it would keep this frame, and the body
        else:
            target.size += length
            target.etag = written.etag
            log.debug(
                "appended key=%r bytes=%d size=%d request_id=%s",
                target.key,
                length,
                target.size,
                written.request_id,
            )
            return
    raise OutcomeUnknown(f"{target.key!r}: gave up after {ATTEMPTS} attempts to append")


async def wait_before(number: int, error: KontenumError, until: float) -> None:
    """A server in trouble gets time to recover; raises `error` when there is none left."""
    wait = random.uniform(0, min(LONGEST_WAIT, 0.05 * 2**number))
    if trio.current_time() + wait >= until:
        raise error
    await trio.sleep(wait)


async def _meet_other_writer(store: Store, target: Target, error: KontenumError) -> None:
    """Someone changed the object: move to its new end, or refuse.

    A Conflict may also mean that the store is busy with it: then nothing has changed.
    """
    is_busy = isinstance(error, Conflict)
    try:
        info = await store.head(target.key)
    except NotFound:
        if is_busy and not target.size:
            return
        raise WriterConflict(f"{target.key!r} was deleted while it was written") from error
    if is_busy and info.size == target.size and info.etag == (target.etag or info.etag):
        return
    if not target.shared:
        raise WriterConflict(
            f"{target.key!r} was changed by another writer: it has {info.size} bytes and "
            f"ETag {info.etag!r}, not {target.size} and {target.etag!r}"
        ) from error
    target.contested = target.contested or info.size != target.size
    target.size, target.etag = info.size, info.etag


async def _settle(
    store: Store, target: Target, length: int, journal: Journal, lost: KontenumError
) -> bool:
    """Whether the append whose answer was lost took place; raises where that cannot be known."""
    try:
        info = await store.head(target.key)
        size, etag = info.size, info.etag
    except NotFound:
        size, etag = 0, ""
    if size == target.size + length and not (target.shared and target.contested):
        log.warning("append answer lost, but stored: key=%r size=%d (%s)", target.key, size, lost)
        target.size, target.etag = size, etag
        journal.answer_lost(stored=True)
        return True
    if size == target.size:
        log.warning(
            "append answer lost, and not stored: key=%r size=%d (%s)", target.key, size, lost
        )
        target.etag = etag
        return False
    target.contested = True
    told = f"{target.key!r}: {lost}; the object has {size} bytes, not {target.size}"
    if target.shared:
        told += f", and others append to it too: look whether the last {length} bytes are there"
    else:
        told += f" or {length} more"
    raise (OutcomeUnknown if target.shared else WriterConflict)(told) from lost


@dataclass(slots=True)
class Upload:
    """One multipart upload: parts in any order, published by `complete`.

    Args:
        store: where it goes.
        journal: has it until it is completed or aborted.
        key: what it becomes.
        upload_id: as the store named it.
    """

    store: Store
    journal: Journal
    key: str
    upload_id: str
    entry: int
    numbers: int = 0
    parts: list[Part] = field(default_factory=list)

    @classmethod
    async def begin(
        cls, store: Store, journal: Journal, key: str, attributes: Attributes
    ) -> "Upload":
        """Start an upload that will carry `attributes`."""
        upload_id = await store.create_multipart(key, attributes)
        return cls(store, journal, key, upload_id, journal.upload_begins(key, upload_id))

    def next_number(self) -> int:
        """The number of the part that comes next in the file."""
        self.numbers += 1
        return self.numbers

    async def send(self, number: int, body: Body) -> None:
        """Send one part; several may be under way at once."""
        self.parts.append(await self.store.upload_part(self.key, self.upload_id, number, body))

    async def copy(self, number: int, part: Range, expected: Belief) -> None:
        """Make one part of bytes that the store has."""
        first, last = part.offset, part.offset + part.length - 1
        made = await self.store.upload_part_copy(
            self.key,
            self.upload_id,
            number,
            part.source.key,
            first=first,
            last=last,
            expected=expected,
        )
        self.parts.append(made)

    async def complete(self, expected: Belief = UNKNOWN) -> Written:
        """Publish where the key has what is `expected`; returns what the object has become."""
        self.parts.sort(key=lambda part: part.number)
        written = await self.store.complete_multipart(
            self.key, self.upload_id, self.parts, expected=expected
        )
        self.journal.upload_ended(self.entry)
        return written

    async def abort(self) -> None:
        """Drop the parts; a failure is logged, for the data was not acknowledged."""
        try:
            await self.store.abort_multipart(self.key, self.upload_id)
            self.journal.upload_ended(self.entry)
        except KontenumError as error:
            log.warning("multipart upload left behind: key=%r (%s)", self.key, error)


async def restart_appends(store: Store, target: Target, journal: Journal, limits: Limits) -> None:
    """Begin the object's count of appends anew, by copying it onto itself.

    Raises WriterConflict when someone else changed an object that is not shared.
    """
    described = await store.head(target.key)
    if target.etag and described.etag != target.etag:
        await _meet_other_writer(store, target, WriterConflict(target.key))
    attributes = described.attributes or Attributes()
    base = RemoteObject(target.key, described.size, described.etag)
    try:
        if base.size <= limits.max_copy:
            written = await store.copy(
                base.key, base.key, attributes, expected=believed(base.etag, base.size)
            )
            target.etag = written.etag
        else:
            target.etag = await _copy_in_parts(store, base, attributes, journal, limits)
    except PreconditionFailed as error:
        # It was changed, or the copy took place and its answer was lost: the length tells.
        info = await store.head(target.key)
        if info.size != target.size:
            await _meet_other_writer(store, target, error)
        target.etag = info.etag
    log.info("copied onto itself to go on appending: key=%r size=%d", target.key, target.size)


async def _copy_in_parts(
    store: Store, base: RemoteObject, attributes: Attributes, journal: Journal, limits: Limits
) -> str:
    """Copy an object onto itself that is too large for one request; returns the new ETag.

    No condition can guard the last step, so the object is looked at once more right before it.
    """
    count = -(-base.size // limits.max_part)
    borders = [base.size * at // count for at in range(count + 1)]
    upload = await Upload.begin(store, journal, base.key, attributes)
    try:
        for first, last in pairwise(borders):
            await upload.copy(
                upload.next_number(),
                Range(base, first, last - first),
                believed(base.etag, base.size),
            )
        info = await store.head(base.key)
        if (info.size, info.etag) != (base.size, base.etag):
            raise PreconditionFailed("it changed while it was copied", resource=base.key)
        return (await upload.complete()).etag
    except BaseException:
        with trio.move_on_after(CLEAN_UP_SECONDS, shield=True):
            await upload.abort()
        raise
