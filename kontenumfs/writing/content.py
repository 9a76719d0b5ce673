# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The bytes of one file: what the store has, what is on its way, and what is here only."""

import logging
from functools import partial

from kontenumfs.protocol.errors import (
    FileAlreadyExists,
    PreconditionFailed,
    WriterConflict,
)
from kontenumfs.store.api import Attributes, ObjectInfo
from kontenumfs.store.beliefs import ABSENT, Belief, Version, believed
from kontenumfs.store.proof import JOINING
from kontenumfs.writing.appending import Target
from kontenumfs.writing.environment import Environment
from kontenumfs.writing.extents import Range, RemoteObject, Rope, whole
from kontenumfs.writing.metadata import Carried, Draft
from kontenumfs.writing.plan_run import Publication
from kontenumfs.writing.planning import plan_publication, planned, versions_of
from kontenumfs.writing.policy import FilePolicy, Publish
from kontenumfs.writing.segments import head, tail_behind
from kontenumfs.writing.staged import Gathering
from kontenumfs.writing.steps import Append, Bytes, Plan, Put
from kontenumfs.writing.transfers import Batch, Route, Transfer

log = logging.getLogger(__name__)

GROWN_TIMES = 5
"""How often a copy is tried whose source this mount appends to meanwhile."""
MANY_EXTENTS = 10_000
"""A rope of more is not looked through for a tail that can be appended."""


class Content:
    """The bytes of one file, as a rope, and the requests that make the store hold them.

    It knows neither file nor tasks: what a request stores beside the bytes comes in as a draft,
    what it has carried goes out as a value, and what shall be sent in the background goes out as
    transfers. Nothing here locks: the file lets one caller in at a time.

    Args:
        current: the object under the file's key, as far as this mount knows.
        rope: what the file's bytes shall be.
        exclusive: whether who created the file must be told when the name is taken (O_EXCL).
    """

    def __init__(
        self,
        environment: Environment,
        *,
        current: RemoteObject | None,
        rope: Rope,
        policy: FilePolicy,
        exclusive: bool = False,
    ) -> None:
        self._env = environment
        self.policy = policy
        self.current = current
        self.rope = rope
        self.shared = False
        """Whether the last writer had O_APPEND: the end is wherever it is."""
        self.expected: Belief = ABSENT if current is None else believed(current.etag, current.size)
        """What the key has: each request that publishes says so, and changes it."""
        self._exclusive = exclusive
        self.gathering = Gathering(
            environment.runner, environment.limits, chunk_size=environment.chunk_size
        )

    @property
    def stored(self) -> bool:
        """Whether the rope is the object, byte for byte."""
        current, rope = self.current, self.rope
        if current is None or rope.size != current.size or len(rope) > 1:
            return False
        return not current.size or rope.begins_with(current, current.size)

    @property
    def unchanged(self) -> bool:
        """Whether there is nothing to publish: the object is the rope, and no upload is open."""
        return self.gathering.upload is None and self.stored

    @property
    def replaces(self) -> bool:
        """Whether publishing puts other bytes where an object has its own, not only behind them."""
        current = self.current
        if current is None or not current.size or self.unchanged:
            return False
        return tail_behind(self.rope, current) is None

    def borrows(self, source: RemoteObject) -> bool:
        """Tell whether some bytes are those of `source`."""
        return any(isinstance(extent, Range) and extent.source is source for extent in self.rope)

    async def replaced_object(self) -> RemoteObject | None:
        """Return the object that publishing will replace, which is more than an append does."""
        if self.current is None or self.stored:
            return None
        if tail_behind(self.rope, self.current) is None:
            return self.current
        can_append = (await self._env.capabilities("append")).append
        return None if can_append else self.current

    # Ahead of close

    def appendable_tail(self) -> Bytes | None:
        """Return the bytes that an append (or the first put) may publish now, if any."""
        publish = self.policy.publish
        if (
            self.gathering.upload is not None
            or publish is Publish.ATOMIC
            or len(self.rope) > MANY_EXTENTS
        ):
            return None
        match head(self.rope):
            case [Bytes() as body]:
                new = self.current is None or self._joins_empty()
                return body if new or publish is Publish.LIVE else None
            case [Range() as kept, Bytes() as body] if kept.source is self.current and kept.whole:
                return body
        return None

    def _joins_empty(self) -> bool:
        """Tell whether others may append to the empty object that we begin to append to."""
        return self.shared and self.current is not None and not self.current.size

    async def route_ahead(self, *, visible: bool = False) -> Route | None:
        """Return how what is here only can leave now; None where it must wait for the close.

        Args:
            visible: whether it shall leave only where it can be seen then.
        """
        if self.appendable_tail() is not None and (await self._env.capabilities("append")).append:
            return Route.APPEND
        capabilities = await self._env.capabilities("append", *JOINING)
        direct = not (capabilities.append or capabilities.compose)
        short = self.rope.literal < self._env.limits.min_part
        if visible or (direct and (short or not self._is_sequential())):
            return None
        return Route.DIRECT if direct else Route.STAGED

    def _is_sequential(self) -> bool:
        """Tell whether the file is one upload, from its first byte to its last."""
        if self.gathering.upload is not None:
            return tail_behind(self.rope, self.gathering.upload.object) is not None
        match head(self.rope):
            case [Bytes()]:
                return True
        return False

    async def take(self, route: Route, draft: Draft) -> Batch:
        """Take every byte that is here only out of memory, to be sent by `route`.

        Fewer transfers are under way than the route allows, and none has failed.
        """
        if route is Route.APPEND:
            return Batch([await self._take_tail(draft)])
        return await self.gathering.take(self.rope, route, draft)

    async def _take_tail(self, draft: Draft) -> Transfer:
        tail = self.appendable_tail()
        assert tail is not None, "nobody else changes the file"
        new = self.current is None or not (self.borrows(self.current) or self._joins_empty())
        if new:
            if self.current is not None:
                await self.current.recall()
            self.current = RemoteObject(draft.key, 0, "")
        current = self.current
        assert current is not None
        held = self.rope.literal
        start, current.size = current.size, current.size + tail.length
        self.rope = whole(current)
        return Transfer(partial(self._grow, current, start, tail, draft, new=new), held)

    async def _grow(
        self, current: RemoteObject, start: int, body: Bytes, draft: Draft, *, new: bool
    ) -> Carried | None:
        """Publish `body` behind the first `start` bytes, of which no object is there if `new`."""
        if new and not (self.shared and self.expected is ABSENT):
            return await self._put(current, body, draft)
        version, carried = await self._append(current, body, draft)
        moved = version.size - start - body.length
        if moved and not self.rope.begins_with(current, start + body.length):
            raise WriterConflict(
                f"{current.key!r} was appended to by others while it was overwritten here"
            )
        current.size += moved
        if moved:
            self.rope.lengthen_first(moved)
        return carried

    async def _put(self, current: RemoteObject, body: Bytes, draft: Draft) -> Carried:
        """Store the first bytes of an object that only this mount writes."""
        carried = draft.carry(body.length)
        plan = Plan(((Put(current, body),),))
        made = await self._env.runner.run(plan, Publication(carried.attributes, self.expected))
        self.expected, current.etag = believed(made.etag, made.size), made.etag
        return carried

    async def _append(
        self, current: RemoteObject, body: Bytes, draft: Draft
    ) -> tuple[Version, Carried | None]:
        """Append to the object; returns what it is then, and what was carried if that made it."""
        carried, is_new = draft.carry(body.length), self.expected is ABSENT
        target = Target(draft.key, self.expected, self.shared, carried.attributes)
        version = await self._env.appender.append(target, body.pieces)
        self.expected, current.etag = version, version.etag
        return version, carried if is_new and version.size == body.length else None

    async def end_upload(self) -> Carried | None:
        """Make an object of the upload, whose parts are all sent; returns what it has carried."""
        upload = await self.gathering.end(self.expected)
        if upload.direct is not None:
            self.current = upload.object
            self.expected = believed(upload.object.etag, upload.object.size)
        return upload.direct

    # At close

    async def publish(self, draft: Draft) -> Carried | None:
        """Make the object what the rope says, by the cheapest plan; nothing is under way.

        Returns what was carried; None where the object keeps what it has. Raises what the store
        reports; the object is then as it was, or has a part of what was to be appended to it.
        Raises FileAlreadyExists or WriterConflict when the key has something else than what was
        opened: that is not touched.
        """
        try:
            carried = await self._finish_upload(draft)
            carried = await self._publish(draft) or carried
        except PreconditionFailed as error:
            key = draft.key
            if self._exclusive and self.expected is ABSENT:
                raise FileAlreadyExists(f"{key!r} was made by another host meanwhile") from error
            raise WriterConflict(f"{key!r} was changed by another host: {error}") from error
        if self.current is not None:
            self.rope = whole(self.current)
        if self.gathering.helpers:
            await self.gathering.drop_helpers()
        return carried

    async def _publish(self, draft: Draft) -> Carried | None:
        target = RemoteObject(draft.key, self.rope.size, "")
        plan = await self._plan(target)
        match plan.stages:
            case []:
                return None
            case [[Append() as step]]:
                version, carried = await self._append(step.target, step.body, draft)
                step.target.size = version.size
                return carried
            case [[Put() as step]] if self.current is None and self.shared:
                version, carried = await self._append(target, step.body, draft)
                self.current, target.size = target, version.size
                return carried
            case [[Put() as step]]:
                carried = await self._put(target, step.body, draft)
                self.current = target
                return carried
        return await self._replace(plan, target, draft)

    async def _plan(self, target: RemoteObject) -> Plan:
        return await plan_publication(
            self.rope,
            target,
            self.current,
            self._env.capabilities,
            self._env.limits,
            appended=self.shared,
            # What was gathered unseen is bytes of our own: a new name gets them with a condition.
            exclusive=bool(self.gathering.helpers),
        )

    async def _replace(self, plan: Plan, target: RemoteObject, draft: Draft) -> Carried:
        """Run a plan that makes the object anew."""
        carried = draft.carry(target.size)
        for attempts_left in reversed(range(GROWN_TIMES)):
            sources = versions_of(self.rope, draft.key)
            try:
                publication = Publication(carried.attributes, self.expected)
                made = await self._env.runner.run(plan, publication)
                break
            except (PreconditionFailed, WriterConflict):
                if not attempts_left or sources == versions_of(self.rope, draft.key):
                    raise
                plan = await self._plan(target)  # what is copied is a log that has grown here
        versions_of(self.rope, draft.key)
        target.etag, target.size = made.etag, made.size
        self.current = target
        self.expected = believed(made.etag, made.size)
        return carried

    async def _finish_upload(self, draft: Draft) -> Carried | None:
        if self.gathering.upload is None:
            return None
        self.rope = await self.gathering.send_rest(self.rope, draft.key)
        return await self.end_upload()

    def rebase(self, info: ObjectInfo) -> None:
        """Go on from `info`: the object, whose bytes the rope was, copied onto itself."""
        assert self.current is not None
        self.current.size, self.current.etag = info.size, info.etag
        self.rope = whole(self.current) if info.size else Rope()
        self.expected = believed(info.etag, info.size)

    async def keep(self, source: RemoteObject, draft: Draft) -> Carried | None:
        """Keep the bytes of `source`, which is about to change, in an object of our own.

        Returns what was carried, if the file's own upload had to be ended for it.
        """
        if not self.borrows(source):
            return None
        carried = await self._finish_upload(draft)
        helper = RemoteObject(self._env.runner.new_key(), self.rope.size, "")
        capabilities = await self._env.capabilities(*JOINING)
        plan = await planned(self.rope, helper, None, capabilities, self._env.limits)
        made = await self._env.runner.run(plan, Publication(Attributes()))
        helper.etag = made.etag
        self.gathering.helpers.append(helper)
        self.rope = whole(helper)
        return carried

    async def discard(self) -> None:
        """Forget all bytes that were not published, and drop what was gathered of them."""
        self.rope, gathering = Rope(), self.gathering
        if gathering.upload is not None or gathering.helpers:
            await gathering.discard()
