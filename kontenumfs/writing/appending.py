# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Appends that take place exactly once, whoever else appends and whatever answer is lost."""

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from kontenumfs.protocol.errors import (
    Conflict,
    DeadlineExceeded,
    KontenumError,
    NoSuchKey,
    OutcomeUnknown,
    PreconditionFailed,
    TooManyAppends,
    Unsupported,
    WriterConflict,
)
from kontenumfs.store.api import Attributes, Body, Store
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, Version, found_instead
from kontenumfs.store.operation import joined
from kontenumfs.store.proof import Ask, Capabilities, Item, Proof, Verb
from kontenumfs.store.settling import LOST
from kontenumfs.writing.contention import Contention
from kontenumfs.writing.digest import Search, places
from kontenumfs.writing.journal import Journal
from kontenumfs.writing.patience import LONGEST_WAIT, PATIENCE, Uniform, wait_before

log = logging.getLogger(__name__)

FREE_AFTER = 3
"""Lost races after which the store puts the bytes wherever the end is: its append is atomic."""
LARGE = 256 * 1024
"""A body of more bytes is not sent twice for nothing: it looks first, and may lose one race."""


@dataclass(frozen=True, slots=True)
class Target:
    """What bytes are appended to, as its writer knows it.

    Args:
        key: the object key.
        base: what is under the key: an object, or ABSENT.
        shared: whether others may append too (O_APPEND): then the end is wherever it is.
        attributes: what the object is stored with where this creates it.
    """

    key: str
    base: Belief
    shared: bool
    attributes: Attributes


class Appender:
    """Appends to the objects of one mount.

    Args:
        store: keeps the conditions of requests, or looks before where the store does not.
        journal: has each append while it is under way.
        capabilities: what the store is proven to do.
        restart: begins an object's count of appends anew; returns what the object is then.
        new_key: a key for a helper object that nobody else has.
        patience: seconds that one append may take, all told.
        uniform: a random number between two others; injected by tests.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        *,
        capabilities: Ask,
        restart: Callable[[str, Belief], Awaitable[Version]],
        new_key: Callable[[], str],
        patience: float = PATIENCE,
        uniform: Uniform = random.uniform,
    ) -> None:
        self.store = store
        self.journal = journal
        self.capabilities = capabilities
        self.restart = restart
        self.search = Search(store, new_key)
        self.patience = patience
        self.uniform = uniform
        self.contention = Contention()

    async def append(self, target: Target, body: Body) -> Version:
        """Add `body` to the end of `target`, exactly once; returns what the object is then.

        A base with an ETag goes along as If-Match, so a lost answer leaves two cases: the bytes
        stand right behind the base, or they are not stored and never will be. Which of them is
        told by the digest of that range (writing.digest) where the store has one, else by the
        length. A shared object that others keep changing gets the bytes without a condition.

        Raises WriterConflict when someone else changed an object that is not shared,
        OutcomeUnknown when a lost answer cannot be decided, DeadlineExceeded, and whatever the
        store reports. A cancelled append may or may not have taken place.
        """
        size = target.base.size if isinstance(target.base, Version) else 0
        with self.journal.appending(target.key, size, body, shared=target.shared):
            attempt = _Attempt(self, target, body, await self.capabilities(*_needed(target)))
            with joined() as operation, operation.limited(self.patience):
                return await attempt.run()
            raise attempt.last_error or DeadlineExceeded(
                f"AppendObject {target.key!r}: not settled within {self.patience:g} s"
            )

    async def require_append(self, key: str) -> None:
        """Raise Unsupported where the store does not append; DeadlineExceeded where none knows."""
        can_append = (await self.capabilities("append")).append
        if can_append is Proof.DISPROVEN:
            raise Unsupported(
                f"{key!r}: this store does not append, and the object's own bytes cannot be read "
                "to be sent again"
            )
        if not can_append:
            raise DeadlineExceeded(f"{key!r}: the store has not shown yet that it can append")


def _needed(target: Target) -> tuple[Item, ...]:
    """Return the capabilities that decide the way of the bytes."""
    if target.base is ABSENT and target.shared:
        return "append", Verb.APPEND_MATCH, Verb.PUT_ABSENT
    return "append", Verb.APPEND_MATCH


@dataclass(slots=True)
class _Lost:
    """An append whose answer was lost: to what, whether only to that, and how."""

    base: Belief
    bound: bool
    error: KontenumError


class _Attempt:
    """One body on its way to the end of one object."""

    def __init__(
        self, appender: Appender, target: Target, body: Body, capabilities: Capabilities
    ) -> None:
        self._appender = appender
        self._store = appender.store
        self._target = target
        self._key = target.key
        self._body = body
        self._length = sum(len(piece) for piece in body)
        self._capabilities = capabilities
        self._base = target.base
        self._races = 0
        self._waits = 0
        self._lost: _Lost | None = None
        self.last_error: KontenumError | None = None
        """What went wrong last, for who runs out of time."""

    async def run(self) -> Version:
        """Try until the bytes are there, or nothing more can be done."""
        if self._base is UNKNOWN or (self._length > LARGE and self._is_contested):
            self._base = await self._look()
        while True:
            landed: Version | None = None
            try:
                return await self._send()
            except PreconditionFailed as error:
                if error.lost is not None:
                    landed = await self._answer_lost(error.lost)
                else:
                    landed = await self._refused(error)
            except Conflict as error:
                landed = await self._busy(error)
            except TooManyAppends as error:
                landed = await self._count_anew(error)
            except LOST as error:
                landed = await self._answer_lost(error)
            if landed is not None:
                return landed

    @property
    def _is_contested(self) -> bool:
        return self._target.shared and self._appender.contention.is_known(self._key)

    @property
    def _is_bound(self) -> bool:
        """Whether the next append can only land on what is believed to be there."""
        if not isinstance(self._base, Version) or not self._base.etag:
            return False
        if not self._capabilities.condition(Verb.APPEND_MATCH):
            return False
        races = 1 if self._length > LARGE else FREE_AFTER
        return not self._target.shared or self._races < races

    @property
    def _creates(self) -> bool:
        """Whether the next request makes the object, and lands nowhere if others have made it."""
        if self._base is not ABSENT:
            return False
        is_conditional = self._capabilities.condition(Verb.PUT_ABSENT)
        return bool(is_conditional or not (self._target.shared and self._capabilities.append))

    async def _send(self) -> Version:
        if self._creates:
            return await self._create()
        await self._appender.require_append(self._key)
        bound = self._is_bound
        written = await self._store.append(
            self._key,
            self._body,
            # Who is alone with the object is told of a change by looking, where nothing else can.
            expected=self._base if bound or not self._target.shared else UNKNOWN,
            attributes=self._target.attributes if self._target.shared else None,
        )
        log.debug(
            "appended key=%r bytes=%d request_id=%s", self._key, self._length, written.request_id
        )
        if bound and written.etag and isinstance(self._base, Version):
            return Version(written.etag, self._base.size + self._length)
        return await self._landed()

    async def _create(self) -> Version:
        """Put the first bytes, where two hosts may begin one log at once."""
        written = await self._store.put(
            self._key, self._body, self._target.attributes, expected=ABSENT
        )
        log.info(
            "stored key=%r bytes=%d request_id=%s", self._key, self._length, written.request_id
        )
        return Version(written.etag, self._length)

    async def _landed(self) -> Version:
        """Find out what the object is after an append of which only the success is known."""
        expected = self._length + (self._base.size if isinstance(self._base, Version) else 0)
        state = await self._look()
        if not isinstance(state, Version):
            # Stored, and deleted by another host since: the next bytes begin it anew.
            return Version("", self._length)
        if state.size != expected and isinstance(self._base, Version):
            if not self._target.shared:
                raise self._changed(state)
            self._appender.contention.note(self._key)
        return state

    async def _look(self) -> Belief:
        """Ask what is under the key now."""
        try:
            info = await self._store.head(self._key)
        except NoSuchKey:
            return ABSENT
        return Version(info.etag, info.size)

    def _changed(self, state: Belief, cause: object = "") -> WriterConflict:
        found = f"{state}" if isinstance(state, Version) else "no object"
        return WriterConflict(
            f"{self._key!r} was changed by another writer: {found}, not {self._base} {cause}"
        )

    # What the store says instead of yes

    async def _refused(self, error: PreconditionFailed) -> Version | None:
        """Go to the new end of an object that is not what was believed, or tell the writer."""
        if self._lost is not None:
            landed = await self._settle(moved=True)
            if landed is not None:
                return landed
        state = found_instead(error)
        if state is UNKNOWN:
            state = await self._look()
        if not self._target.shared:
            raise self._changed(state) from error
        self._races += 1
        self._appender.contention.note(self._key)
        self._base = state
        if self._is_bound or self._base is ABSENT:
            await self._wait(error, longest=0.2)
        return None

    async def _busy(self, error: Conflict) -> Version | None:
        """409: somebody else was faster, or the store is busy with the object."""
        before = self._base
        if self._lost is not None and (landed := await self._settle(moved=False)) is not None:
            return landed
        self._base = await self._look()
        if self._base != before and not self._target.shared:
            raise self._changed(self._base) from error
        await self._wait(error)
        return None

    async def _count_anew(self, error: TooManyAppends) -> Version | None:
        if self._lost is not None and (landed := await self._settle(moved=False)) is not None:
            return landed
        try:
            self._base = await self._appender.restart(self._key, self._base)
        except PreconditionFailed as refused:
            return await self._refused(refused)
        return None

    async def _answer_lost(self, error: KontenumError) -> Version | None:
        self.last_error = error.with_traceback(None)  # or it would keep this frame, and the body
        is_conditional = self._capabilities.condition(Verb.PUT_ABSENT)
        bound = self._is_bound or bool(self._creates and is_conditional)
        if self._lost is None:
            self._lost = _Lost(self._base, bound, self.last_error)
        elif not bound:
            self._lost.bound = False
        landed = await self._settle(moved=False)
        if landed is None:
            await self._wait(error)
            if self._lost is not None and not self._lost.bound:
                # Nothing refuses a request that comes late: look once more, right before.
                landed = await self._settle(moved=False)
        if landed is None:
            self._appender.journal.answer_lost(stored=False)
        return landed

    async def _wait(self, error: KontenumError, *, longest: float = LONGEST_WAIT) -> None:
        """Give a server in trouble time to recover, and a rival time to be done."""
        until, uniform = trio.current_effective_deadline(), self._appender.uniform
        self._waits += 1
        await wait_before(self._waits - 1, error, until, longest=longest, uniform=uniform)

    # After a lost answer

    async def _settle(self, *, moved: bool) -> Version | None:
        """Find out whether the lost append took place; returns None where it may be repeated.

        Args:
            moved: whether the store has said since that the object is not what it was.

        Raises where neither can be known.
        """
        lost = self._lost
        assert lost is not None
        state = await self._look()
        while moved and state == lost.base:
            # A HEAD that lags behind what the store has said already.
            await self._wait(lost.error)
            state = await self._look()
        if state == lost.base:
            log.warning("append answer lost, and not stored: key=%r (%s)", self._key, lost.error)
            self._base = state
            return None
        stored = await self._is_stored(lost, state)
        if stored and isinstance(state, Version):
            log.warning("append answer lost, but stored: key=%r (%s)", self._key, lost.error)
            self._appender.journal.answer_lost(stored=True)
            return state
        if not self._target.shared:
            raise self._changed(state, lost.error) from lost.error
        self._appender.contention.note(self._key)
        if stored is None:
            raise OutcomeUnknown(
                f"{self._key!r}: {lost.error}; others append to it too: look whether the last "
                f"{self._length} bytes are there"
            ) from lost.error
        self._base = state
        if lost.bound:
            self._lost = None  # its base has passed, so it never can take place
        return None

    async def _is_stored(self, lost: _Lost, state: Belief) -> bool | None:
        """Tell whether the bytes are behind the lost append's base; None where nothing tells."""
        start = lost.base.size if isinstance(lost.base, Version) else 0
        if not isinstance(state, Version) or state.size < start + self._length:
            return None  # deleted, replaced or renamed since, with our bytes or without
        if not (await self._appender.capabilities("digest")).digest:
            alone = state.size == start + self._length and not self._appender.contention.is_known(
                self._key
            )
            return True if alone else None
        offsets, all_of_them = ([start], True)
        if not lost.bound:
            offsets, all_of_them = places(start, state.size, self._length)
        found = await self._appender.search.has(self._key, self._body, offsets)
        return None if found is False and not all_of_them else found
