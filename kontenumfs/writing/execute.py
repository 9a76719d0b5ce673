# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Runs plans: what the store is told, in which order, and what is cleaned up after."""

import logging
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from kontenumfs.protocol.errors import (
    AnswerLost,
    DeadlineExceeded,
    KontenumError,
    OutcomeUnknown,
    ServerError,
    WriterConflict,
)
from kontenumfs.protocol.xml import is_text
from kontenumfs.store.api import Attributes, Store, Written
from kontenumfs.store.beliefs import UNKNOWN, Belief, believed
from kontenumfs.store.tasks import open_flat_nursery
from kontenumfs.writing.appending import LONGEST_WAIT, PATIENCE
from kontenumfs.writing.extents import Range, RemoteObject
from kontenumfs.writing.journal import Journal
from kontenumfs.writing.plan import Bytes, Compose, Copy, Multipart, Plan, Put, Step
from kontenumfs.writing.upload import CLEAN_UP_SECONDS, Upload

log = logging.getLogger(__name__)

PARALLEL_REQUESTS = 8
"""Requests of one plan side by side at most."""
ATTEMPTS = 32
"""How often a compose onto itself may lose an answer before it is given up."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What the object that a plan publishes is stored with.

    Args:
        attributes: its headers and metadata. An append does not carry them.
        expected: what the key has, as far as it matters.
    """

    attributes: Attributes
    expected: Belief = UNKNOWN


class PlanRunner:
    """Runs plans: stages one after another, what stands in one stage side by side.

    Args:
        store: where they run.
        journal: has what is under way.
        prefix: of the helper objects' keys; ends with a slash and belongs to this mount alone.
        parallel: requests of one plan side by side at most.
        patience: seconds for which an append is tried again.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        journal: Journal,
        *,
        parallel: int = PARALLEL_REQUESTS,
        patience: float = PATIENCE,
    ) -> None:
        self.store = store
        self.journal = journal
        self._prefix = prefix
        self._parallel = parallel
        self._patience = patience

    def new_key(self) -> str:
        """A key for a helper object that nobody else has."""
        return f"{self._prefix}{secrets.token_hex(8)}"

    async def run(self, plan: Plan, publication: Publication) -> None:
        """Make the plan's target; its ETag is set, and that of every helper.

        An append is no step of this: see writing.appending.
        On failure nothing is published, and the helpers are deleted all the same.
        Raises what the store reports, and WriterConflict where a source has changed.
        """
        for helper in plan.helpers:
            helper.key = self.new_key()
        limit = trio.CapacityLimiter(self._parallel)
        try:
            for number, stage in enumerate(plan.stages, 1):
                last = number == len(plan.stages)
                async with open_flat_nursery() as nursery:
                    for step in stage:
                        carried = publication if last else Publication(Attributes())
                        nursery.start_soon(self._make, step, carried, limit)
            if plan.stages and not isinstance(plan.stages[-1][0], Put):
                await self._verify(plan.stages[-1][0])
        finally:
            await self.discard(plan.helpers)

    async def discard(self, helpers: Sequence[RemoteObject]) -> None:
        """Delete helper objects; what fails is left to the next start, and logged."""
        keys = [helper.key for helper in helpers if helper.key]
        if not keys:
            return
        with trio.move_on_after(CLEAN_UP_SECONDS, shield=True):
            try:
                failed = await self.store.delete_many(dict.fromkeys(keys, UNKNOWN))
            except KontenumError as error:
                failed = dict.fromkeys(keys, str(error))
            for key, reason in failed.items():
                log.warning("helper object left behind: key=%r (%s)", key, reason)

    async def _make(
        self, step: Step, publication: Publication, limit: trio.CapacityLimiter
    ) -> None:
        target, began = step.target, trio.current_time()
        if isinstance(step, Multipart):
            written = await self._make_multipart(step, publication, limit)
        else:
            async with limit:
                written = await self._make_one(step, publication)
        target.etag = written.etag
        log.info(
            "stored key=%r bytes=%d by %s request_id=%s seconds=%.3f",
            target.key,
            target.size,
            step,
            written.request_id,
            trio.current_time() - began,
        )

    async def _make_one(self, step: Step, publication: Publication) -> Written:
        key, attributes = step.target.key, publication.attributes
        match step:
            case Put():
                expected = publication.expected
                return await self.store.put(key, step.body.pieces, attributes, expected=expected)
            case Copy():
                return await self.store.copy(
                    step.source.key, key, attributes, expected=self._condition(step.source)
                )
            case Compose():
                return await self._compose(step, attributes)
        raise AssertionError(f"{step} is not one request")

    async def _compose(self, step: Compose, attributes: Attributes) -> Written:
        copies: list[RemoteObject] = []
        try:
            sources = [await self._sayable(source, copies) for source in step.sources]
            return await self._compose_of(step, sources, attributes)
        finally:
            await self.discard(copies)

    async def _sayable(self, source: RemoteObject, copies: list[RemoteObject]) -> str:
        """The key of an object with these bytes that the XML of a compose can carry."""
        if is_text(source.key):
            return source.key
        copy = RemoteObject(self.new_key(), source.size, "")
        copies.append(copy)
        condition = self._condition(source)
        await self.store.copy(source.key, copy.key, Attributes(), expected=condition)
        return copy.key

    async def _compose_of(
        self, step: Compose, sources: Sequence[str], attributes: Attributes
    ) -> Written:
        """Compose; one whose own target is a component must not take place twice."""
        key = step.target.key
        if key not in sources:
            return await self.store.compose(key, sources, attributes)
        before = next(source.size for source in step.sources if source.key == key)
        until = trio.current_time() + self._patience
        for number in range(ATTEMPTS):
            try:
                return await self.store.compose(key, sources, attributes)
            except (AnswerLost, ServerError, DeadlineExceeded) as error:
                info = await self.store.head(key)
                if info.size == step.target.size:
                    log.warning("compose answer lost, but stored: key=%r (%s)", key, error)
                    return Written(info.etag, "")
                if info.size != before:
                    raise OutcomeUnknown(f"{key!r}: {error}; it has {info.size} bytes") from error
                await _wait_before(number, error, until)
        raise OutcomeUnknown(f"{key!r}: gave up after {ATTEMPTS} attempts to compose")

    async def _make_multipart(
        self, step: Multipart, publication: Publication, limit: trio.CapacityLimiter
    ) -> Written:
        upload = await Upload.begin(
            self.store, self.journal, step.target.key, publication.attributes
        )

        async def send(number: int, part: Bytes | Range) -> None:
            async with limit:
                if isinstance(part, Bytes):
                    await upload.send(number, part.pieces)
                else:
                    await upload.copy(number, part, self._condition(part.source))

        try:
            async with open_flat_nursery() as nursery:
                for part in step.parts:
                    nursery.start_soon(send, upload.next_number(), part)
            return await upload.complete(publication.expected)
        except BaseException:
            with trio.move_on_after(CLEAN_UP_SECONDS, shield=True):
                await upload.abort()
            raise

    def _condition(self, source: RemoteObject) -> Belief:
        return believed(source.etag, source.size)

    async def _verify(self, step: Step) -> None:
        """What was made of other objects has the length that they had when they were named."""
        target = step.target
        info = await self.store.head(target.key)
        if info.size != target.size:
            raise WriterConflict(
                f"{target.key!r} has {info.size} bytes after a {step}, not {target.size}: "
                "a source was changed by another writer meanwhile"
            )
        target.etag = info.etag


async def _wait_before(number: int, error: KontenumError, until: float) -> None:
    """A server in trouble gets time to recover; raises `error` when there is none left."""
    wait = random.uniform(0, min(LONGEST_WAIT, 0.05 * 2**number))
    if trio.current_time() + wait >= until:
        raise error
    await trio.sleep(wait)
