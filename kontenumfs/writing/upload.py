# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Appends that take place exactly once, and multipart uploads as one thing."""

import logging
from dataclasses import dataclass, field

from kontenumfs.protocol.dialect import MAX_COPY
from kontenumfs.protocol.errors import (
    AnswerLost,
    DeadlineExceeded,
    FileTooLarge,
    KontenumError,
    NotFound,
    OutcomeUnknown,
    PreconditionFailed,
    ServerError,
    TooManyAppends,
    WriterConflict,
)
from kontenumfs.store.api import Attributes, Body, Part, Store
from kontenumfs.writing.extents import Range

log = logging.getLogger(__name__)

ATTEMPTS = 32
"""How often one append may lose a race or an answer before it is given up."""


@dataclass(slots=True)
class Target:
    """The object that appends go to, as its writer knows it.

    Args:
        key: the object key.
        size: bytes that it holds.
        etag: of the object at that size; empty where it is not known.
        shared: whether others may append too (O_APPEND): then the end is wherever it is.
        conditional: whether the store honours If-Match on append.
    """

    key: str
    size: int
    etag: str
    shared: bool
    conditional: bool


async def append_once(store: Store, target: Target, body: Body) -> None:
    """Add `body` to the end of `target`, exactly once, and bring `target` up to date.

    After a lost answer the object's length decides: the old length means that the bytes did not
    arrive, the old length plus theirs that they did; anything else is another writer.

    Raises WriterConflict when someone else changed an object that is not shared, OutcomeUnknown
    when a lost answer cannot be decided, and whatever the store reports.
    """
    length = sum(len(piece) for piece in body)
    for _ in range(ATTEMPTS):
        condition = target.etag if target.conditional and target.etag else None
        try:
            written = await store.append(target.key, body, if_match=condition)
        except PreconditionFailed as error:
            await _meet_other_writer(store, target, error)
        except TooManyAppends:
            await restart_appends(store, target)
        except (AnswerLost, ServerError, DeadlineExceeded) as error:
            if await _settle(store, target, length, error):
                return
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


async def _meet_other_writer(store: Store, target: Target, error: KontenumError) -> None:
    """Someone changed the object: move to its new end, or refuse."""
    try:
        info = await store.head(target.key)
    except NotFound:
        raise WriterConflict(f"{target.key!r} was deleted while it was written") from error
    if not target.shared:
        raise WriterConflict(
            f"{target.key!r} was changed by another writer: it has {info.size} bytes and "
            f"ETag {info.etag!r}, not {target.size} and {target.etag!r}"
        ) from error
    target.size, target.etag = info.size, info.etag


async def _settle(store: Store, target: Target, length: int, lost: KontenumError) -> bool:
    """Whether the append whose answer was lost took place."""
    try:
        info = await store.head(target.key)
        size, etag = info.size, info.etag
    except NotFound:
        size, etag = 0, ""
    if size == target.size + length:
        log.warning("append answer lost, but stored: key=%r size=%d (%s)", target.key, size, lost)
        target.size, target.etag = size, etag
        return True
    if size == target.size:
        log.warning("append answer lost, sent again: key=%r size=%d (%s)", target.key, size, lost)
        target.etag = etag
        return False
    told = (
        f"{target.key!r}: {lost}; the object has {size} bytes, not {target.size} or {length} more"
    )
    raise (OutcomeUnknown if target.shared else WriterConflict)(told) from lost


async def restart_appends(store: Store, target: Target) -> None:
    """Begin the object's count of appends anew, by copying it onto itself."""
    if target.size > MAX_COPY:
        raise FileTooLarge(
            f"{target.key!r} has taken every append that the store allows, and at "
            f"{target.size} bytes it is too large to be copied"
        )
    described = await store.head(target.key)
    if target.etag and described.etag != target.etag:
        await _meet_other_writer(store, target, WriterConflict(target.key))
    written = await store.copy(
        target.key, target.key, described.attributes or Attributes(), if_match=described.etag
    )
    log.info("copied onto itself to go on appending: key=%r size=%d", target.key, target.size)
    target.etag = written.etag


@dataclass(slots=True)
class Upload:
    """One multipart upload: parts in any order, published by `complete`.

    Args:
        store: where it goes.
        key: what it becomes.
        upload_id: as the store named it.
    """

    store: Store
    key: str
    upload_id: str
    numbers: int = 0
    parts: list[Part] = field(default_factory=list)

    @classmethod
    async def begin(cls, store: Store, key: str, attributes: Attributes) -> "Upload":
        """Start an upload that will carry `attributes`."""
        return cls(store, key, await store.create_multipart(key, attributes))

    def next_number(self) -> int:
        """The number of the part that comes next in the file."""
        self.numbers += 1
        return self.numbers

    async def send(self, number: int, body: Body) -> None:
        """Send one part; several may be under way at once."""
        self.parts.append(await self.store.upload_part(self.key, self.upload_id, number, body))

    async def copy(self, number: int, part: Range, if_match: str | None) -> None:
        """Make one part of bytes that the store has."""
        first, last = part.offset, part.offset + part.length - 1
        made = await self.store.upload_part_copy(
            self.key,
            self.upload_id,
            number,
            part.source.key,
            first=first,
            last=last,
            if_match=if_match,
        )
        self.parts.append(made)

    async def complete(self) -> str:
        """Publish; returns the object's ETag."""
        parts = sorted(self.parts, key=lambda part: part.number)
        written = await self.store.complete_multipart(self.key, self.upload_id, parts)
        return written.etag

    async def abort(self) -> None:
        """Drop the parts; a failure is logged, for the data was not acknowledged."""
        try:
            await self.store.abort_multipart(self.key, self.upload_id)
        except KontenumError as error:
            log.warning("multipart upload left behind: key=%r (%s)", self.key, error)
