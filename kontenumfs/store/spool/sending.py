# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One entry on its way to the store, exactly once, whatever was sent of it before."""

import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import count

import trio

from kontenumfs.protocol.errors import (
    NoSuchBucket,
    NotFound,
    ObjectVanished,
    OutcomeUnknown,
    PreconditionFailed,
    TooManyAppends,
)
from kontenumfs.store.api import Attributes, ObjectInfo, Store, Written
from kontenumfs.store.beliefs import (
    ABSENT,
    UNKNOWN,
    Belief,
    Version,
    believed,
    found_instead,
    plain_etag,
    refusal,
)
from kontenumfs.store.calls import multipart_etag
from kontenumfs.store.settling import holds
from kontenumfs.store.spool.entries import After, Entry, Kind
from kontenumfs.store.wire import hashed

log = logging.getLogger(__name__)

LONGEST_WAIT = 0.5
"""Seconds between two attempts to append where others do the same."""
RACES = 50
"""Attempts of one turn to append beside others; then all else has its turn."""

Body = Sequence[bytes]
Placed = Callable[[str, Body, int], Awaitable[bool | None]]
"""Whether an object has these bytes at this offset; None where the store cannot tell."""
Rebased = Callable[[Entry], Awaitable[None]]
"""Is told what an append rests on now, and returns when the disk knows."""


class Sender:
    """Brings entries into the store.

    Args:
        store: keeps the conditions of requests, or looks before where the store does not.
        rebased: called before an append is sent that rests on something else than it was queued
            with: after a crash, that decides whether it is there.
        placed: tells the bytes of an append from others' of the same length.
    """

    def __init__(self, store: Store, rebased: Rebased, placed: Placed | None = None) -> None:
        self._store = store
        self._rebased = rebased
        self._placed = placed

    async def send(self, entry: Entry, body: Body, *, doubtful: bool) -> Belief:
        """Do what an entry says, once; returns what its key has then.

        Args:
            doubtful: whether it may have been done already.

        Raises what the store reports: PreconditionFailed where another writer was there.
        """
        assert not isinstance(entry.expected, After)
        assert not isinstance(entry.source_expected, After)
        if entry.kind is Kind.APPEND:
            return await self._append(entry, body, doubtful=doubtful)
        if doubtful and (made := await self._done(entry, body, surely=True)) is not None:
            return made
        try:
            return await self._send(entry, body, entry.expected, entry.source_expected)
        except (PreconditionFailed, NotFound) as error:
            # The upload is gone for it was completed, the key has changed for this was done.
            if not doubtful or isinstance(error, NoSuchBucket):
                raise
            made = await self._done(entry, body, surely=False)
            if made is None:
                raise
            return made

    async def _send(
        self, entry: Entry, body: Body, expected: Belief, source_expected: Belief
    ) -> Belief:
        store, key, attributes = self._store, entry.key, entry.attributes or Attributes()
        match entry.kind:
            case Kind.DELETE:
                await store.delete(key, expected=expected)
                return ABSENT
            case Kind.PUT:
                written = await store.put(key, body, attributes, expected=expected)
            case Kind.COPY:
                written = await self._copy(entry, expected, source_expected)
            case Kind.COMPOSE:
                written = await store.compose(key, entry.sources, attributes)
            case _:
                written = await store.complete_multipart(
                    key, entry.upload_id, entry.parts, expected=expected
                )
        return await self._receipt(entry.key, written, entry.size)

    async def _copy(self, entry: Entry, expected: Belief, source_expected: Belief) -> Written:
        """Copy; no store has a condition on the target, so that is looked at right before."""
        (source,) = entry.sources
        if expected is not UNKNOWN and source != entry.key:
            info = await self._find(entry.key)
            if not holds(expected, info):
                found = ABSENT if info is None else Version(info.etag, info.size)
                raise refusal("CopyObject", entry.key, expected, found)
        try:
            return await self._store.copy(
                source, entry.key, entry.attributes, expected=source_expected
            )
        except (NotFound, ObjectVanished):
            if entry.size or not source.endswith("/"):
                raise
            # Some servers keep markers and cannot copy them; there is nothing in one to lose.
            return await self._store.put(entry.key, [], entry.attributes or Attributes())

    async def _receipt(self, key: str, written: Written, size: int) -> Belief:
        if written.etag:
            return Version(written.etag, size)
        info = await self._find(key)
        return ABSENT if info is None else believed(info.etag, info.size)

    async def _find(self, key: str) -> ObjectInfo | None:
        try:
            return await self._store.head(key)
        except NoSuchBucket:
            raise
        except NotFound:
            return None

    async def _done(self, entry: Entry, body: Body, *, surely: bool) -> Belief | None:
        """What the key has, where that shows that the entry was done before; else None.

        Args:
            surely: only where nothing else can have made it so. Else it is known already that what
                the entry rests on is there no more, and that its result can be.
        """
        info = await self._find(entry.key)
        if entry.kind is Kind.DELETE:
            return ABSENT if info is None else None
        if info is None or info.size != entry.size:
            return None
        stored, wanted = info.attributes or Attributes(), entry.attributes or Attributes()
        is_like = wanted.metadata.items() <= stored.metadata.items()
        etag = plain_etag(info.etag)
        if surely:
            match entry.kind:
                case Kind.PUT:
                    is_like = is_like and etag == (await hashed("md5", body)).hex()
                case Kind.COMPLETE:
                    is_like = is_like and etag == multipart_etag(entry.parts)
                case _:
                    # What is copied again is the same again, unless it is made of itself.
                    is_like = is_like and entry.key in entry.sources
                    is_like = is_like and wanted.headers.items() <= stored.headers.items()
        if not is_like:
            return None
        log.info("stored before: key=%r %s", entry.key, entry.kind.value)
        return Version(info.etag, info.size)

    # Appends

    async def _append(self, entry: Entry, body: Body, *, doubtful: bool) -> Belief:
        """Put bytes behind what is believed to be there, or, where others append too, behind all.

        What it rests on is on the disk before it is sent: what the key has afterwards tells
        whether it was done.
        """
        base: Belief = entry.expected if not isinstance(entry.expected, After) else UNKNOWN
        if doubtful and base is not UNKNOWN:
            made = await self._landed(entry, body, base)
            if isinstance(made, Version):
                log.info("appended before: key=%r", entry.key)
                return made
            base = base if made is None else UNKNOWN
        for races in count():
            if base is UNKNOWN or (isinstance(base, Version) and not base.etag):
                info = await self._find(entry.key)
                base = ABSENT if info is None else Version(info.etag, info.size)
                await self._rebased(replace(entry, expected=base))
            try:
                return await self._append_to(entry, body, base)
            except TooManyAppends:
                await self._count_anew(entry.key, base)
                base = UNKNOWN
            except PreconditionFailed as error:
                if error.lost is not None:
                    raise error.lost from error
                if not entry.shared or races >= RACES:
                    raise
                log.info("others append too: key=%r", entry.key)
                base = UNKNOWN if found_instead(error) is UNKNOWN else found_instead(error)
                await self._rebased(replace(entry, expected=base))
                await trio.sleep(random.uniform(0, LONGEST_WAIT))
        raise AssertionError("count() does not end")

    async def _append_to(self, entry: Entry, body: Body, base: Belief) -> Belief:
        if not isinstance(base, Version):
            attributes = entry.attributes or Attributes()
            written = await self._store.put(entry.key, body, attributes, expected=ABSENT)
            return await self._receipt(entry.key, written, entry.length)
        written = await self._store.append(entry.key, body, expected=base)
        return await self._receipt(entry.key, written, base.size + entry.length)

    async def _count_anew(self, key: str, base: Belief) -> None:
        """An object takes so many appends; copied onto itself it takes as many again."""
        info = await self._store.head(key)
        if isinstance(base, Version) and not holds(base, info):
            raise refusal("CopyObject", key, base, Version(info.etag, info.size))
        belief = believed(info.etag, info.size)
        await self._store.copy(key, key, info.attributes or Attributes(), expected=belief)

    async def _landed(self, entry: Entry, body: Body, base: Belief) -> Belief | None:
        """What the key has, where an append was done before; else what is true of its base.

        Returns None where the base is still there, and UNKNOWN where it has passed, so that the
        append can never take place as it was sent. Raises PreconditionFailed where another writer
        was there, and OutcomeUnknown where nothing tells whose bytes are there.
        """
        info = await self._find(entry.key)
        if holds(base, info):
            return None
        start = base.size if isinstance(base, Version) else 0
        end = start + entry.length
        if info is None or info.size < end:
            if entry.shared:
                return UNKNOWN
            found = ABSENT if info is None else Version(info.etag, info.size)
            raise refusal("AppendObject", entry.key, base, found)
        told = None if self._placed is None else await self._placed(entry.key, body, start)
        if told or (told is None and info.size == end):
            return Version(info.etag, info.size)
        if not entry.shared:
            raise refusal("AppendObject", entry.key, base, Version(info.etag, info.size))
        if told is None:
            raise OutcomeUnknown(f"{entry.key!r}: others append to it too: look for the bytes")
        return UNKNOWN
