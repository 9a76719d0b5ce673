# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One object gets another key, while other hosts append to it, rename it or take that key."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

import trio

from kontenumfs.protocol.errors import (
    Conflict,
    FileAlreadyExists,
    FileMissing,
    KontenumError,
    NotFound,
    OutcomeUnknown,
    PreconditionFailed,
    WriterConflict,
)
from kontenumfs.store.api import Attributes, ObjectInfo
from kontenumfs.store.beliefs import ABSENT, REFUSED, UNKNOWN, Belief, Version, believed
from kontenumfs.writing.copying import Copier
from kontenumfs.writing.extents import Range, RemoteObject
from kontenumfs.writing.patience import wait_before

log = logging.getLogger(__name__)

FREE_LOSSES = 3
"""Races that a move may lose before it waits between two attempts."""
BETWEEN_APPENDS = 0.2
"""Seconds of such a wait at most: appenders make no pause for it, so it needs many attempts."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a move has made.

    Args:
        source: the object that was moved, as it was at the end.
        made: what it is now: the same bytes, and behind them what others have appended to it.
        stays: whether the old name has another object, which somebody has begun there since.
    """

    source: ObjectInfo
    made: ObjectInfo
    stays: bool = False


async def move(
    copier: Copier,
    source: ObjectInfo,
    target: str,
    described: Callable[[ObjectInfo], Attributes | None],
    *,
    expected: Belief = UNKNOWN,
) -> Moved:
    """Give an object another key; what others do to it meanwhile comes along.

    The source is deleted as what was copied and as nothing else: where others have appended
    to it or replaced it, that is copied anew, until it is whole or the patience has ended.
    What they have appended under the new key by then stays behind that.

    Args:
        described: what a source, as HEAD has described it, shall be stored with there.
        expected: what the new key must be before.

    Raises FileMissing where others have deleted or moved the source, FileAlreadyExists where
    the new key must be free and is not, and OutcomeUnknown where the source was perhaps
    deleted, and has become another: it stays then.
    """
    return await _Move(copier, target, described, expected).run(source)


class _Move:
    """One move: copy, delete what was copied, and begin anew where others were faster."""

    def __init__(
        self,
        copier: Copier,
        target: str,
        described: Callable[[ObjectInfo], Attributes | None],
        expected: Belief,
    ) -> None:
        self._copier = copier
        self._target = target
        self._described = described
        self._expected = expected
        self._moved: Moved | None = None
        self._tail: Range | None = None

    async def run(self, source: ObjectInfo) -> Moved:
        """Move `source`; see `move`."""
        until = trio.current_time() + self._copier.patience
        for losses in count():
            try:
                return await self._once(source)
            except (REFUSED, NotFound, Conflict, WriterConflict) as error:
                lost: KontenumError = error
            if losses >= FREE_LOSSES:
                await wait_before(losses - FREE_LOSSES, lost, until, longest=BETWEEN_APPENDS)
            # After the wait: what was seen before it has passed where others append all the time.
            found = await self._copier.find(source.key)
            is_same = found is not None and (found.size, found.etag) == (source.size, source.etag)
            if not is_same and isinstance(lost, PreconditionFailed) and lost.lost:
                # Deleted by this perhaps, and begun anew by others: nothing may go over the copy.
                message = f"{source.key!r} was copied to {self._target!r}, and may still be there"
                raise OutcomeUnknown(f"{message}: {lost.lost}") from lost
            if found is None:
                # A copy stays: by its ETag it cannot be told from one that others have made there.
                raise FileMissing(source.key) from lost
            if is_same:
                await self._on_target(found, lost)
            elif self._moved is not None and found.size < self._moved.source.size:
                log.info("moved key=%r, which others have begun anew", source.key)
                return replace(self._moved, stays=True)
            source = found
        raise AssertionError("count() does not end")

    async def _once(self, source: ObjectInfo) -> Moved:
        attributes = self._described(source)
        made = await self._copier.copy(
            source, self._target, attributes, expected=self._expected, tail=self._tail
        )
        self._expected = believed(made.etag, made.size)
        self._moved = Moved(source, made)
        self._tail = _behind(source, made)
        await self._copier.delete(source)
        return self._moved

    async def _on_target(self, source: ObjectInfo, lost: KontenumError) -> None:
        """Judge a refusal that is not for the source; returns where it may be tried again."""
        if isinstance(lost, Conflict):
            return  # busy: tried again
        if self._moved is not None and (grown := await self._grown(source, self._moved)):
            self._tail = _behind(self._moved.source, grown)
            self._expected = believed(grown.etag, grown.size)
            return
        if self._expected is ABSENT:
            raise FileAlreadyExists(self._target) from lost
        if isinstance(self._expected, Version):
            message = f"{self._target!r} was changed by another writer meanwhile"
            raise WriterConflict(message) from lost
        raise lost

    async def _grown(self, source: ObjectInfo, moved: Moved) -> ObjectInfo | None:
        """Describe the copy, if others have appended to it since; None if not, or unclear."""
        found = await self._copier.find(self._target)
        if found is None or found.size <= moved.made.size:
            return None
        length = moved.source.size
        return found if await self._copier.is_begun_by(source, found, length) else None


def _behind(source: ObjectInfo, made: ObjectInfo) -> Range | None:
    """Return what an object, which begins with a copy of `source`, has behind that."""
    remote, length = RemoteObject(made.key, made.size, made.etag), made.size - source.size
    return Range(remote, source.size, length) if length else None
