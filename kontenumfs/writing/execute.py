# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Runs plans: what the store is told, in which order, and what is cleaned up after."""

import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Protocol

import trio

from kontenumfs.protocol.errors import (
    KontenumError,
    NotFound,
    WriterConflict,
)
from kontenumfs.protocol.xml import is_text
from kontenumfs.store.api import Attributes, ObjectInfo, Store, Written
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Version, believed, refusal
from kontenumfs.store.calls import multipart_etag
from kontenumfs.store.operation import cleaning_up, copied, operation, time_left
from kontenumfs.store.tasks import Spawner, open_flat_nursery
from kontenumfs.writing.extents import RemoteObject
from kontenumfs.writing.journal import Journal
from kontenumfs.writing.plan_run import Made, Publication, Run, Source, Sources, foreign_sources
from kontenumfs.writing.steps import Bytes, Compose, Copy, Multipart, Plan, Put, Step
from kontenumfs.writing.upload import CLEAN_UP_SECONDS, Upload

log = logging.getLogger(__name__)

PARALLEL_REQUESTS = 8
"""Requests of one plan side by side at most."""
ATTEMPTS = 32
"""How often a compose onto itself may lose an answer before it is given up."""


class Abortable(Protocol):
    """An upload that can be given up."""

    async def abort(self) -> None:
        """Drop its parts; never raises because of the store."""


class PlanRunner:
    """Runs plans: stages one after another, what stands in one stage side by side.

    Args:
        store: where they run.
        journal: has what is under way.
        prefix: of the helper objects' keys; ends with a slash and belongs to this mount alone.
        parallel: requests of one plan side by side at most.
        nursery: what is dropped because time was over is dropped here, beside who waited; else
            he waits for that, too.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        journal: Journal,
        *,
        parallel: int = PARALLEL_REQUESTS,
        nursery: Spawner | None = None,
    ) -> None:
        self.store = store
        self._nursery = nursery
        self.journal = journal
        self._prefix = prefix
        self._parallel = parallel

    def new_key(self) -> str:
        """Return a key for a helper object that nobody else has."""
        return f"{self._prefix}{secrets.token_hex(8)}"

    async def run(self, plan: Plan, publication: Publication) -> Made:
        """Make the plan's target, of one step at least; returns what it is then.

        An append is no step of this: see writing.appending.
        On failure nothing is published, and the helpers are deleted all the same.
        Raises what the store reports, one of REFUSED where the target or a source is not what was
        believed, and WriterConflict where a source has changed while it was composed.
        """
        helpers = {h: Source(self.new_key(), h.size, UNKNOWN, True) for h in plan.helpers}
        sources = foreign_sources(plan, publication) | helpers
        run = Run(sources, trio.CapacityLimiter(self._parallel))
        try:
            *stages, (step,) = plan.stages
            for stage in stages:
                async with open_flat_nursery() as nursery:
                    for helper in stage:
                        nursery.start_soon(self._make_helper, helper, run)
                await self._verify_sources(stage, run)
            await self._look_before(step, publication)
            written = await self._make(step, step.target.key, publication, run)
            return await self._verify(step, run, publication, written)
        finally:
            if helpers:
                await self._delete_beside(helper.key for helper in helpers.values())

    async def drop(self, upload: Abortable) -> None:
        """Abort an upload."""
        await self._clean_up(upload.abort)

    async def discard(self, helpers: Sequence[RemoteObject]) -> None:
        """Delete helper objects; what fails is left to the next start, and logged."""
        await self._delete_beside(helper.key for helper in helpers)

    async def _delete_beside(self, keys: Iterable[str]) -> None:
        await self._clean_up(partial(self._delete, list(keys)))

    async def _delete(self, keys: Sequence[str]) -> None:
        try:
            failed = await self.store.delete_many(dict.fromkeys(keys, UNKNOWN))
        except KontenumError as error:
            failed = dict.fromkeys(keys, str(error))
        for key, reason in failed.items():
            log.warning("helper object left behind: key=%r (%s)", key, reason)

    async def _clean_up(self, work: Callable[[], Awaitable[None]]) -> None:
        """Drop what was begun; nobody waits for that longer than his operation may take.

        At the end of the mount nobody does at all: what is left then is for the next start.
        """
        if self._nursery is None:
            with cleaning_up(CLEAN_UP_SECONDS):
                await work()
            return
        done = trio.Event()

        async def beside() -> None:
            try:
                with trio.move_on_after(CLEAN_UP_SECONDS), operation():
                    await work()
            finally:
                done.set()

        self._nursery.start_soon(beside)
        with trio.move_on_after(time_left(CLEAN_UP_SECONDS)):
            await done.wait()

    async def _make_helper(self, step: Step, run: Run) -> None:
        async with AsyncExitStack() as stack:
            if not isinstance(step, Multipart):  # whose parts are counted one by one
                await stack.enter_async_context(run.limit)
            await self._make(step, run.sources[step.target].key, Publication(Attributes()), run)

    async def _make(self, step: Step, key: str, publication: Publication, run: Run) -> Written:
        began = trio.current_time()
        if isinstance(step, Multipart):
            written = await self._make_multipart(key, step, publication, run)
        else:
            written = await self._make_one(key, step, publication, run.sources)
        if isinstance(step, Copy | Compose):
            copied(step.target.size)
        log.info(
            "stored key=%r bytes=%d by %s request_id=%s seconds=%.3f",
            key,
            step.target.size,
            step,
            written.request_id,
            trio.current_time() - began,
        )
        return written

    async def _make_one(
        self, key: str, step: Step, publication: Publication, sources: Sources
    ) -> Written:
        attributes = publication.attributes
        match step:
            case Put():
                body, expected = step.body.pieces, publication.expected
                return await self.store.put(key, body, attributes, expected=expected)
            case Copy():
                source = sources[step.source]
                return await self.store.copy(source.key, key, attributes, expected=source.belief)
            case Compose():
                return await self._compose(key, step, attributes, sources)
        raise AssertionError(f"{step} is not one request")

    async def _compose(
        self, key: str, step: Compose, attributes: Attributes, sources: Sources
    ) -> Written:
        copies: list[str] = []
        try:
            keys = [await self._sayable(sources[source], copies) for source in step.sources]
            return await self.store.compose(key, keys, attributes)
        finally:
            if copies:
                await self._delete_beside(copies)

    async def _sayable(self, source: Source, copies: list[str]) -> str:
        """Return the key of an object with these bytes that the XML of a compose can carry."""
        if is_text(source.key):
            return source.key
        copies.append(self.new_key())
        await self.store.copy(source.key, copies[-1], Attributes(), expected=source.belief)
        return copies[-1]

    async def _make_multipart(
        self, key: str, step: Multipart, publication: Publication, run: Run
    ) -> Written:
        upload = await Upload.begin(self.store, self.journal, key, publication.attributes)
        parts = iter(step.parts)

        async def send() -> None:
            for part in parts:  # shared by all who send: each part is taken once
                number = upload.next_number()
                async with run.limit:
                    if isinstance(part, Bytes):
                        await upload.send(number, part.pieces)
                    else:
                        source = run.sources[part.source]
                        await upload.copy(
                            number, source.key, part.offset, part.length, source.belief
                        )
                        copied(part.length)

        try:
            async with open_flat_nursery() as nursery:
                for _ in range(min(self._parallel, len(step.parts))):
                    nursery.start_soon(send)
            written = await upload.complete(publication.expected)
            if written.etag and written.etag == multipart_etag(upload.parts):
                run.certain.add(step.target)
            return written
        except BaseException:
            await self._clean_up(upload.abort)
            raise

    async def _look_before(self, step: Step, publication: Publication) -> None:
        """Refuse what would replace something unexpected, where no condition can say so."""
        expected = publication.expected
        if expected is UNKNOWN or not isinstance(step, Copy | Compose):
            return
        info = await self._find(step.target.key)
        found = ABSENT if info is None else believed(info.etag, info.size)
        if found != expected:
            raise refusal(str(step), step.target.key, expected, found)

    async def _find(self, key: str) -> ObjectInfo | None:
        try:
            return await self.store.head(key)
        except NotFound:
            return None

    async def _verify_sources(self, stage: Sequence[Step], run: Run) -> None:
        """Look whether what was composed was what it had been; raises WriterConflict if not.

        compose has no condition on its components: they are looked at once more after it, all of
        them side by side.
        """
        changed = await self._changed(stage, run)
        if changed:
            raise _mixture(run.sources[stage[0].target].key, stage[0], changed)

    async def _changed(self, stage: Sequence[Step], run: Run) -> list[str]:
        changed: list[str] = []

        async def look(source: Source) -> None:
            if not source.is_still(await self._find(source.key)):
                changed.append(source.key)

        composed = {s for step in stage if isinstance(step, Compose) for s in step.sources}
        looked_at = {run.sources[source] for source in composed}
        if looked_at:
            async with open_flat_nursery() as nursery:
                for source in looked_at:
                    if not source.guarded:
                        nursery.start_soon(look, source)
        return changed

    async def _verify(
        self, step: Step, run: Run, publication: Publication, written: Written
    ) -> Made:
        """Look whether what was published is what it should be; returns what it is.

        What is wrong is not left under a name that was free.
        """
        key, made = step.target.key, Made(written.etag, step.target.size)
        if isinstance(step, Put):
            return made
        wrong: list[str] = []

        async def look() -> None:
            wrong.extend(await self._changed([step], run))

        async with open_flat_nursery() as nursery:
            nursery.start_soon(look)
            if step.target not in run.certain:
                made = await self._measure(key, made)
        if made.size != step.target.size:
            wrong.append(key)
        if not wrong:
            return made
        if isinstance(step, Compose | Copy) and not isinstance(publication.expected, Version):
            await self._retract(key, made)
        raise _mixture(key, step, wrong)

    async def _measure(self, key: str, made: Made) -> Made:
        """Return how long the object has become; an ETag comes with its length."""
        info = await self._find(key)
        if info is None or (info.size != made.size and made.etag not in ("", info.etag)):
            return made  # published, and others have changed it since
        return Made(info.etag, info.size)

    async def _retract(self, key: str, made: Made) -> None:
        """Delete what was published wrongly, as long as it is that."""
        with cleaning_up(CLEAN_UP_SECONDS):
            try:
                await self.store.delete(key, expected=believed(made.etag, made.size))
            except KontenumError as error:
                log.error("wrong bytes are left: key=%r (%s)", key, error)


def _mixture(key: str, step: Step, wrong: Iterable[str]) -> WriterConflict:
    return WriterConflict(
        f"{key!r}: a {step} went wrong, for another writer has changed "
        + ", ".join(map(repr, wrong))
    )
