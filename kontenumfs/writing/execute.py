# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Runs plans: what the store is told, in which order, and what is cleaned up after."""

import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
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
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, Version, believed, refusal
from kontenumfs.store.calls import multipart_etag
from kontenumfs.store.operation import cleaning_up, copied, operation, time_left
from kontenumfs.store.tasks import Spawner, open_flat_nursery
from kontenumfs.writing.extents import Range, RemoteObject
from kontenumfs.writing.journal import Journal
from kontenumfs.writing.steps import Bytes, Compose, Copy, Multipart, Plan, Put, Step
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
        expected: what is believed of the key: the store refuses to replace anything else. Copies
            and composes take no such condition, so the key is looked at right before them.
    """

    attributes: Attributes
    expected: Belief = UNKNOWN


@dataclass(frozen=True, slots=True)
class Source:
    """An object that a plan copies from and has not made, as it was when the plan began.

    Args:
        guarded: whether the condition on what the plan replaces is one on this object, too.
    """

    key: str
    size: int
    belief: Belief
    guarded: bool

    def is_still(self, info: ObjectInfo | None) -> bool:
        """Whether `info` describes the same object."""
        if info is None or info.size != self.size:
            return False
        return self.belief is UNKNOWN or self.belief == believed(info.etag, info.size)


Known = dict[RemoteObject, Source]


class Droppable(Protocol):
    """An upload that can be given up."""

    async def abort(self) -> None:
        """Drop its parts; never raises because of the store."""


@dataclass(slots=True)
class Run:
    """One plan under way.

    Args:
        known: what it copies from and has not made.
        limit: of requests side by side.
        certain: what it has made of exactly these parts, as the ETag of the whole has told.
    """

    known: Known
    limit: trio.CapacityLimiter
    certain: set[RemoteObject] = field(default_factory=set)


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
        """A key for a helper object that nobody else has."""
        return f"{self._prefix}{secrets.token_hex(8)}"

    async def run(self, plan: Plan, publication: Publication) -> None:
        """Make the plan's target; its ETag is set, and that of every helper.

        An append is no step of this: see writing.appending.
        On failure nothing is published, and the helpers are deleted all the same.
        Raises what the store reports, one of REFUSED where the target or a source is not what was
        believed, and WriterConflict where a source has changed while it was composed.
        """
        for helper in plan.helpers:
            helper.key = self.new_key()
        run = Run(_foreign(plan, publication), trio.CapacityLimiter(self._parallel))
        try:
            for number, stage in enumerate(plan.stages, 1):
                last = number == len(plan.stages)
                if last:
                    await self._look_before(stage[0], publication)
                async with open_flat_nursery() as nursery:
                    for step in stage:
                        carried = publication if last else Publication(Attributes())
                        nursery.start_soon(self._make, step, carried, run)
                await self._verify(stage, run, publication if last else None)
        finally:
            await self.discard(plan.helpers)

    async def drop(self, upload: Droppable) -> None:
        """Abort an upload."""
        await self._clean_up(upload.abort)

    async def discard(self, helpers: Sequence[RemoteObject]) -> None:
        """Delete helper objects; what fails is left to the next start, and logged."""
        keys = [helper.key for helper in helpers if helper.key]
        if not keys:
            return
        await self._clean_up(partial(self._delete, keys))

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

    async def _make(self, step: Step, publication: Publication, run: Run) -> None:
        target, began = step.target, trio.current_time()
        if isinstance(step, Multipart):
            written = await self._make_multipart(step, publication, run)
        else:
            async with run.limit:
                written = await self._make_one(step, publication, run.known)
        target.etag = written.etag
        if isinstance(step, Copy | Compose):
            copied(target.size)
        log.info(
            "stored key=%r bytes=%d by %s request_id=%s seconds=%.3f",
            target.key,
            target.size,
            step,
            written.request_id,
            trio.current_time() - began,
        )

    async def _make_one(self, step: Step, publication: Publication, known: Known) -> Written:
        key, attributes = step.target.key, publication.attributes
        match step:
            case Put():
                body, expected = step.body.pieces, publication.expected
                return await self.store.put(key, body, attributes, expected=expected)
            case Copy():
                source, condition = _asked(step.source, known)
                return await self.store.copy(source, key, attributes, expected=condition)
            case Compose():
                return await self._compose(step, attributes, known)
        raise AssertionError(f"{step} is not one request")

    async def _compose(self, step: Compose, attributes: Attributes, known: Known) -> Written:
        copies: list[RemoteObject] = []
        try:
            sources = [await self._sayable(source, known, copies) for source in step.sources]
            return await self.store.compose(step.target.key, sources, attributes)
        finally:
            await self.discard(copies)

    async def _sayable(self, source: RemoteObject, known: Known, copies: list[RemoteObject]) -> str:
        """The key of an object with these bytes that the XML of a compose can carry."""
        key, condition = _asked(source, known)
        if is_text(key):
            return key
        copy = RemoteObject(self.new_key(), source.size, "")
        copies.append(copy)
        await self.store.copy(key, copy.key, Attributes(), expected=condition)
        return copy.key

    async def _make_multipart(self, step: Multipart, publication: Publication, run: Run) -> Written:
        key, attributes = step.target.key, publication.attributes
        upload = await Upload.begin(self.store, self.journal, key, attributes)
        parts = iter(step.parts)

        async def send() -> None:
            for part in parts:  # shared by all who send: each part is taken once
                number = upload.next_number()
                async with run.limit:
                    if isinstance(part, Bytes):
                        await upload.send(number, part.pieces)
                    else:
                        await upload.copy(number, part, _asked(part.source, run.known)[1])
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

    async def _verify(
        self, stage: Sequence[Step], run: Run, publication: Publication | None
    ) -> None:
        """What was made of other objects is made of what they were when they were named.

        compose has no condition on its components: they are looked at once more after it, all of
        them side by side. What is wrong is not left under a name that was free.

        Args:
            publication: of the last stage; what the others make is nobody's to see.
        """
        wrong: list[str] = []

        async def look(source: Source) -> None:
            if not source.is_still(await self._find(source.key)):
                wrong.append(source.key)

        made = stage[0]
        async with open_flat_nursery() as nursery:
            for source in _composed(stage, run.known):
                nursery.start_soon(look, source)
            sure = isinstance(made, Put) or made.target in run.certain
            if publication is not None and not sure:
                nursery.start_soon(self._measure, made.target, wrong)
        if not wrong:
            return
        replaced = publication is None or isinstance(publication.expected, Version)
        if isinstance(made, Compose | Copy) and not replaced:
            await self._retract(made.target)
        raise WriterConflict(
            f"{made.target.key!r}: a {made} went wrong, for another writer has changed "
            + ", ".join(map(repr, wrong))
        )

    async def _measure(self, target: RemoteObject, wrong: list[str]) -> None:
        """What was published has the length that it should have; an ETag comes with its length."""
        info = await self._find(target.key)
        if info is None or (info.size != target.size and target.etag not in ("", info.etag)):
            return  # published, and others have changed it since
        if info.size != target.size:
            wrong.append(target.key)
        target.etag, target.size = info.etag, info.size  # what a retraction may delete

    async def _retract(self, target: RemoteObject) -> None:
        """Delete what was published wrongly, as long as it is that."""
        with cleaning_up(CLEAN_UP_SECONDS):
            try:
                await self.store.delete(target.key, expected=believed(target.etag, target.size))
            except KontenumError as error:
                log.error("wrong bytes are left: key=%r (%s)", target.key, error)


def _foreign(plan: Plan, publication: Publication) -> Known:
    """The plan's sources that are no helpers of its own."""
    if not plan.stages:
        return {}
    helpers, end, expected = set(plan.helpers), plan.stages[-1][0], publication.expected

    def described(source: RemoteObject) -> Source:
        belief = believed(source.etag, source.size)
        conditional = isinstance(end, Multipart) and source.key == end.target.key
        guarded = conditional and isinstance(belief, Version) and belief == expected
        return Source(source.key, source.size, belief, guarded)

    sources = {source for step in plan.steps for source in _sources(step)}
    return {source: described(source) for source in sources - helpers}


def _composed(stage: Sequence[Step], known: Known) -> set[Source]:
    """The objects that this stage composes and that nothing else guards."""
    composed = {s for step in stage if isinstance(step, Compose) for s in step.sources}
    return {known[source] for source in composed if source in known and not known[source].guarded}


def _sources(step: Step) -> Sequence[RemoteObject]:
    match step:
        case Copy():
            return [step.source]
        case Compose():
            return step.sources
        case Multipart():
            return [part.source for part in step.parts if isinstance(part, Range)]
    return ()


def _asked(source: RemoteObject, known: Known) -> tuple[str, Belief]:
    """The key of a source and the condition on it; nobody else touches our own helpers."""
    found = known.get(source)
    return (source.key, UNKNOWN) if found is None else (found.key, found.belief)
