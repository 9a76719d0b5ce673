# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One request that rests on a belief, to its end: done, refused, or out of time.

The store's condition decides where it is honoured. Where it is proven that it is not, a look
right before the request takes its place; before a deletion also where nothing is proven yet.
Where an answer was lost, or a refusal is strange, the object itself is asked.
"""

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count

import trio

from kontenumfs.protocol.errors import (
    AnswerLost,
    Conflict,
    DeadlineExceeded,
    InvalidRequest,
    KontenumError,
    NoSuchBucket,
    NoSuchUpload,
    NotFound,
    NotImplementedByStore,
    PreconditionFailed,
    ServerError,
    StoreError,
    Throttled,
    UnexpectedAnswer,
)
from kontenumfs.store.api import ObjectInfo, Store, Written
from kontenumfs.store.beliefs import (
    ABSENT,
    UNKNOWN,
    Belief,
    Nothing,
    Version,
    plain_etag,
    refusal,
)
from kontenumfs.store.capabilities import ProvenCapabilities
from kontenumfs.store.observer import RESENT
from kontenumfs.store.proof import Proof, Verb

log = logging.getLogger(__name__)

RESERVED_SHARE = 0.2
"""Of the deadline, kept for the question whether a request without an answer was done."""
RESERVED_SECONDS = 5.0
FIRST_WAIT = 0.1
LONGEST_WAIT = 5.0
FALSE_REFUSALS = 2
"""Of one request, after which the probe is asked whether the store knows the condition at all."""
DOUBT_SECONDS = 3.0
"""After which it counts as unknown where the probe cannot tell. A look that is out of date makes a
true refusal appear false: it must not be believed at once."""
LOST = (AnswerLost, ServerError, DeadlineExceeded, Throttled, UnexpectedAnswer)
"""After these the effect is unknown; SlowDown too, for a gateway says it when all was done."""
CONFLICT = "ConditionalRequestConflict"
"""The code that asks for the same again: a delete or another write met this one (AWS)."""

Done = Callable[[ObjectInfo | None], Awaitable[bool]]
"""Whether what is there now, or that nothing is, shows that the request was done."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What a request rests on, and how it is known afterwards that it was done.

    Args:
        verb: the condition that says it.
        key: what the belief is of: the target, or the source of a copy.
        expected: the belief; not UNKNOWN.
        done: asked after a lost answer; None leaves that to the caller.
        always: whether `done` is asked after a refusal too, though no answer was lost.
    """

    verb: Verb
    key: str
    expected: Belief
    done: Done | None = None
    always: bool = False


class Settler:
    """Brings requests to their end within a deadline.

    Args:
        store: where they go.
        capabilities: which conditions it is proven to honour, or not to.
        deadline: seconds that one request may take with everything around it.
        uniform: a random number between two others.
    """

    def __init__(
        self,
        store: Store,
        capabilities: ProvenCapabilities,
        *,
        deadline: float,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.store = store
        self.capabilities = capabilities
        self.deadline = deadline
        self._uniform = uniform

    async def settle(self, intent: Intent, send: Callable[[Belief], Awaitable[Written]]) -> Written:
        """Send until it is clear what has happened; `send` takes the belief that goes along.

        Raises PreconditionFailed where the belief is wrong, and what `send` raises where that
        cannot be known or helped.
        """
        request = _Request(self.store, self.capabilities, intent, send)
        with trio.move_on_after(self.deadline):
            for number in count():
                token = RESENT.set(number)
                try:
                    written = await request.attempt()
                except StoreError as error:
                    if (told := request.told(error)) is not error:
                        raise told from error
                    raise
                finally:
                    RESENT.reset(token)
                if written is not None:
                    return written
                await self._wait(number, request.trouble)
        raise request.told_late(self.deadline)

    async def look(self, key: str, expected: Belief) -> ObjectInfo | None:
        """What is there now; raises PreconditionFailed where that is not what is expected."""
        info = await _head(self.store, key)
        if not holds(expected, info):
            raise refusal("HeadObject", key, expected, _belief(info))
        return info

    async def _wait(self, number: int, trouble: KontenumError | None) -> None:
        """Jitter, for whoever met here would meet again; `trouble` when there is no time left."""
        wait = self._uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(number, 10)))
        if isinstance(trouble, StoreError) and trouble.retry_after is not None:
            wait = max(wait, trouble.retry_after)
        if trouble and trio.current_time() + wait >= trio.current_effective_deadline():
            raise trouble
        await trio.sleep(wait)


class _Request:
    """What one intent has met so far."""

    def __init__(
        self,
        store: Store,
        capabilities: ProvenCapabilities,
        intent: Intent,
        send: Callable[[Belief], Awaitable[Written]],
    ) -> None:
        self._store = store
        self._capabilities = capabilities
        self._intent = intent
        self._send = send
        self._lost: KontenumError | None = None
        """How the first answer was lost: what the store says later does not undo it."""
        self._doubts: list[float] = []
        self._is_late = False
        """Whether what time is left is kept for the question what has happened."""
        """When the store has refused what a look showed to be true."""
        self.trouble: KontenumError | None = None

    def told(self, error: StoreError) -> KontenumError:
        """What is raised for a refusal: after a lost answer it does not tell what has happened."""
        if self._lost is None or isinstance(error, (*LOST, PreconditionFailed)):
            return error
        return self._lost

    def told_late(self, deadline: float) -> KontenumError:
        """What is raised when time is up."""
        return self._undecided(
            DeadlineExceeded(f"{self._intent.key!r}: not decided within {deadline:g} s")
        )

    def _undecided(self, error: KontenumError) -> KontenumError:
        """What is raised where the key cannot be asked: no refusal after an answer was lost.

        The store may refuse the second attempt because of the first one.
        """
        return self._lost or self.trouble or error

    async def attempt(self) -> Written | None:
        """Send once, and find out what it did; None asks for another attempt."""
        proof = self._capabilities.known.condition(self._intent.verb)
        is_blind = proof is Proof.DISPROVEN or self._has_no_condition()
        # A condition that is passed over unheard would cost bytes that nobody has any more.
        is_unsure = proof is Proof.OPEN and self._intent.verb is Verb.DELETE_MATCH
        if (is_blind or is_unsure) and (written := await self._settled()):
            return written
        try:
            written = await self._in_time(UNKNOWN if is_blind else self._intent.expected)
        except Conflict as error:
            if error.code != CONFLICT:
                raise
            self._note(error)
            return None
        except PreconditionFailed as error:
            self._note(error)
            if (written := await self._settled()) is None:
                await self._doubt()
            return written
        except NoSuchUpload:
            # It was completed by the attempt whose answer was lost, or somebody has aborted it.
            if self._lost and (written := await self._settled()):
                return written
            raise
        except (InvalidRequest, NotImplementedByStore) as error:
            if is_blind or proof or type(error) not in (InvalidRequest, NotImplementedByStore):
                raise
            # It may be the condition that the store does not know: that can be found out.
            known = await self._capabilities.get(self._intent.verb)
            if known.condition(self._intent.verb):
                raise
            self._note(error)
            if (written := await self._settled()) is None:
                await self._doubt()
            return written
        except LOST as error:
            if self._intent.done is None:
                raise
            self._note(error)
            self._lost = self._lost or self.trouble
            written = await self._settled()
            if written is None and (isinstance(error, UnexpectedAnswer) or self._is_late):
                raise
            return written
        return written

    def _note(self, error: KontenumError) -> None:
        self.trouble = error.with_traceback(None)  # or it would hold the body

    def _has_no_condition(self) -> bool:
        """Whether no header can say what is believed: there is no ETag."""
        expected = self._intent.expected
        return isinstance(expected, Version) and not expected.etag

    async def _doubt(self) -> None:
        """The key is what was believed: a race that is over, or a server that refuses always."""
        verb, now = self._intent.verb, trio.current_time()
        self._doubts.append(now)
        if len(self._doubts) < FALSE_REFUSALS:
            return
        known = await self._capabilities.get(verb)
        if known.condition(verb) is Proof.OPEN and now - self._doubts[0] >= DOUBT_SECONDS:
            self._capabilities.disprove(verb)

    async def _in_time(self, belief: Belief) -> Written:
        reserved = 0.0
        if self._intent.done is not None:
            left = trio.current_effective_deadline() - trio.current_time()
            reserved = max(0.0, min(RESERVED_SECONDS, left * RESERVED_SHARE))
        with trio.CancelScope(deadline=trio.current_effective_deadline() - reserved):
            return await self._send(belief)
        self._is_late = True
        raise DeadlineExceeded(f"{self._intent.key!r}: no answer in time")

    async def _settled(self) -> Written | None:
        """The receipt, where what is there shows that the request was done.

        None where it was not, and what is there is what was believed; else raises
        PreconditionFailed.
        """
        intent = self._intent
        try:
            info = await _head(self._store, intent.key)
        except KontenumError as error:
            raise self._undecided(error) from error
        ask = intent.done if self._lost or intent.always else None
        if ask is not None and await ask(info):
            log.info("no answer, but done: key=%r (%s)", intent.key, self.trouble)
            return Written(info.etag if info else "", "")
        if not holds(intent.expected, info):
            refused = refusal(intent.verb.value, intent.key, intent.expected, _belief(info))
            refused.lost = self._lost
            raise refused from self.trouble
        return None


async def _head(store: Store, key: str) -> ObjectInfo | None:
    """What is there; None where nothing is."""
    try:
        return await store.head(key)
    except NoSuchBucket:
        raise
    except NotFound:
        return None


def holds(expected: Belief, info: ObjectInfo | None) -> bool:
    """Whether a key has what is expected."""
    match expected:
        case Version():
            if info is None or info.size != expected.size:
                return False
            if not (info.etag and expected.etag):
                return True
            return plain_etag(info.etag) == plain_etag(expected.etag)
        case Nothing.ABSENT:
            return info is None
        case _:
            return True


def _belief(info: ObjectInfo | None) -> Belief:
    return ABSENT if info is None else Version(info.etag, info.size)
