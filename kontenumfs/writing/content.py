# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The bytes of one file: what the store has, what is on its way, and what is here only."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import inf
from typing import Protocol

import trio

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import (
    FileAlreadyExists,
    FileTooLarge,
    PreconditionFailed,
    Unsupported,
    WriterConflict,
)
from kontenumfs.store.api import Attributes, ObjectInfo, Store
from kontenumfs.store.beliefs import ABSENT, Belief, believed
from kontenumfs.store.proof import JOINING, UNPROVEN, Ask, Capabilities
from kontenumfs.store.tasks import Spawner
from kontenumfs.writing.appending import Appender, Target
from kontenumfs.writing.execute import PlanRunner, Publication
from kontenumfs.writing.extents import Range, RemoteObject, Rope, whole
from kontenumfs.writing.memory import MemoryBudget
from kontenumfs.writing.plan import (
    ZERO_BLOCK,
    Append,
    Bytes,
    Plan,
    Put,
    segments,
    shape,
    short_hole,
)
from kontenumfs.writing.planning import planned
from kontenumfs.writing.policy import FilePolicy, Publish
from kontenumfs.writing.sending import Outbox, StagedUpload

log = logging.getLogger(__name__)

PARALLEL_PARTS = 3
"""Parts of one staged upload under way at once; more would only hold more memory."""
GROWN_TIMES = 5
"""How often a copy is tried whose source this mount appends to meanwhile."""
DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Environment:
    """What the files of a mount share.

    Args:
        store: the bucket.
        runner: runs plans there.
        appender: appends there.
        memory: the budget for unsent bytes.
        nursery: background uploads run here.
        chunk_size: bytes that are sent at once.
        capabilities: what the store is proven to do; asked only when it matters.
        policy: how the object of a key is published.
        wall_ns: the time of day in nanoseconds since the epoch.
        clock: monotonic seconds.
        waiting: is called when a file has bytes that are to be sent some seconds later.
        spare: is called before an object changes: files that have ranges of it keep their bytes.
        failed: is called when a file has failed, and is nobody's way to its name any more.
        limits: of the store.
    """

    store: Store
    runner: PlanRunner
    appender: Appender
    memory: MemoryBudget
    nursery: Spawner
    chunk_size: int
    capabilities: Ask
    policy: Callable[[str], FilePolicy]
    wall_ns: Callable[[], int]
    spare: Callable[[RemoteObject], Awaitable[None]]
    waiting: Callable[[object, float], None]
    failed: Callable[[object], None]
    clock: Callable[[], float] = trio.current_time
    limits: Limits = DEFAULT_LIMITS


class Owner(Protocol):
    """The file, as its content sees it."""

    def key(self) -> str:
        """The object key."""

    def attributes(self, size: int) -> Attributes:
        """What an object of `size` bytes is stored with."""

    def snapshot(self) -> object:
        """Identifies the metadata that `attributes` carries now."""

    def carried(self, snapshot: object) -> None:
        """A request has carried the metadata of this snapshot."""

    def check(self) -> None:
        """Raise what an earlier upload failed with."""


class Content:
    """The bytes of one file, as a rope, and their ways into the store.

    Nothing here locks: the file lets one caller in at a time.

    Args:
        current: the object under the file's key, as far as this mount knows.
        rope: what the file's bytes shall be.
        exclusive: whether who created the file must be told when the name is taken (O_EXCL).
    """

    def __init__(
        self,
        environment: Environment,
        owner: Owner,
        outbox: Outbox,
        *,
        current: RemoteObject | None,
        rope: Rope,
        policy: FilePolicy,
        exclusive: bool = False,
    ) -> None:
        self._env = environment
        self._owner = owner
        self._outbox = outbox
        self.policy = policy
        self.current = current
        self.rope = rope
        self.shared = False
        """Whether the last writer had O_APPEND: the end is wherever it is."""
        self.expected: Belief = ABSENT if current is None else believed(current.etag, current.size)
        """What the key has: each request that publishes says so, and changes it."""
        self.carried: Attributes | None = None
        """What the last request that carried attributes has stored the object with; None where
        that is what it had when the file was opened, or what others have given it."""
        self._exclusive = exclusive
        self._upload: StagedUpload | None = None
        self._begun_with = Attributes()
        """What the upload was begun with."""
        self._staged: list[RemoteObject] = []

    @property
    def staging(self) -> bool:
        """Whether parts are gathered in an upload, unseen."""
        return self._upload is not None

    @property
    def stored(self) -> bool:
        """Whether the rope is the object, byte for byte."""
        current = self.current
        if current is None or len(self.rope) > 1:
            return False
        return [*self.rope] == ([*whole(current)] if current.size else [])

    @property
    def replaces(self) -> bool:
        """Whether publishing puts other bytes where an object has its own, not only behind them."""
        current = self.current
        if current is None or not current.size or (self.stored and not self.staging):
            return False
        match shape(self.rope):
            case [Range() as kept, Bytes()] if kept.source is current and kept.whole:
                return False
        return True

    def borrows(self, source: RemoteObject) -> bool:
        """Whether some bytes are those of `source`."""
        return any(isinstance(extent, Range) and extent.source is source for extent in self.rope)

    async def endangered(self) -> RemoteObject | None:
        """The object that publishing will replace, which is more than an append does."""
        if self.stored or self.current is None:
            return None
        match shape(self.rope):
            case [Range() as kept, Bytes()] if kept.source is self.current and kept.whole:
                if (await self._env.capabilities("append")).append:
                    return None
        return self.current

    # Ahead of close

    def live_tail(self) -> Bytes | None:
        """The bytes that an append (or the first put) can publish now, where that is allowed."""
        if self._upload is not None or len(self.rope) > 10_000:
            return None
        publish = self.policy.publish
        match shape(self.rope):
            case [Bytes() as body]:
                new = self.current is None or self._joins_empty()
                allowed = publish is Publish.LIVE or (new and publish is Publish.AUTO)
                return body if allowed else None
            case [Range() as kept, Bytes() as body] if kept.source is self.current and kept.whole:
                return body if publish is not Publish.ATOMIC else None
        return None

    def _joins_empty(self) -> bool:
        """Whether others may append to the empty object that we begin to append to."""
        return self.shared and self.current is not None and not self.current.size

    async def send_ahead(self, *, visible: bool = False) -> bool:
        """Send what is here only, before the file is closed: appended, or gathered unseen.

        With `visible`, only where it can be seen then. Returns whether anything was sent: where
        the store has no way to that, the bytes stay here.
        """
        tail = self.live_tail()
        if tail is not None and (await self._env.capabilities("append")).append:
            await self._send_live(tail)
            return True
        capabilities = await self._env.capabilities("append", *JOINING)
        direct = not (capabilities.append or capabilities.compose)
        short = self.rope.literal < self._env.limits.min_part
        if visible or (direct and (short or not self._is_sequential())):
            return False
        await self._send_staged(direct=direct)
        return True

    def _is_sequential(self) -> bool:
        """Whether the file is one upload, from its first byte to its last."""
        match shape(self.rope):
            case [Bytes()]:
                return self._upload is None
            case [Range() as sent, Bytes()] if self._upload is not None:
                return sent.source is self._upload.object and sent.whole
        return False

    async def _send_live(self, tail: Bytes) -> None:
        await self._outbox.turn(1)
        self._owner.check()
        new = self.current is None or not (self.borrows(self.current) or self._joins_empty())
        if new:
            if self.current is not None:
                await self._env.spare(self.current)
            self.current = RemoteObject(self._owner.key(), 0, "")
        current = self.current
        assert current is not None
        held = self.rope.literal
        start, current.size = current.size, current.size + tail.length
        self.rope = whole(current)
        self._outbox.send(partial(self._grow, start, new=new), tail, held)

    async def _grow(self, start: int, body: Bytes, *, new: bool) -> None:
        """Publish `body` behind the first `start` bytes, of which no object is there if `new`."""
        current = self.current
        assert current is not None
        if new and not (self.shared and self.expected is ABSENT):
            await self._put(body)
            return
        moved = await self._append(start, body)
        if moved and not self.rope.begins_with(current, start + body.length):
            raise WriterConflict(
                f"{current.key!r} was appended to by others while it was overwritten here"
            )
        current.size += moved
        if moved:
            self.rope.lengthen_first(moved)

    async def _put(self, body: Bytes) -> None:
        """The first bytes of an object that only this mount writes."""
        current = self.current
        assert current is not None
        snapshot, attributes = self._owner.snapshot(), self._owner.attributes(body.length)
        plan = Plan(((Put(current, body),),))
        await self._env.runner.run(plan, Publication(attributes, self.expected))
        self.expected = believed(current.etag, body.length)
        self._carried(snapshot, attributes)

    async def _append(self, start: int, body: Bytes) -> int:
        """Append to `start` bytes; returns by how many bytes others have moved the end."""
        current = self.current
        assert current is not None
        snapshot, is_new = self._owner.snapshot(), self.expected is ABSENT
        attributes = self._owner.attributes(body.length)
        target = Target(self._owner.key(), self.expected, self.shared, attributes)
        self.expected = await self._env.appender.append(target, body.pieces)
        current.etag = self.expected.etag
        if is_new and self.expected.size == body.length:
            self._carried(snapshot, attributes)
        return self.expected.size - start - body.length

    async def _send_staged(self, *, direct: bool) -> None:
        """Gather every byte that is here only in an upload, where nobody sees it."""
        await self._outbox.turn(PARALLEL_PARTS)
        self._owner.check()
        await self._make_room_for_parts()
        upload = await self._open_upload(direct=direct)
        held = self.rope.literal
        self.rope.fill_holes(ZERO_BLOCK, short_hole(self.rope))
        length = self.rope.literal
        body = Bytes(tuple(self.rope.gather(upload.object, upload.object.size)), length)
        # Zeros take no memory, but a part that is all but zeros takes its time.
        count = max(1, body.length // max(held, self._env.chunk_size, self._env.limits.min_part))
        count = min(count, self._env.limits.max_parts - upload.parts)
        for part in body.split(count):
            await self._outbox.turn(PARALLEL_PARTS)
            self._outbox.send(upload.take(part.length), part, part.weight)
        if body.length < self._env.limits.min_part and not direct:
            # Only the last part may be short; the next bytes begin another upload.
            await self._outbox.idle()
            self._owner.check()
            await self._complete(upload)

    async def _make_room_for_parts(self) -> None:
        """Begin another upload before one has too many parts; they are joined at the end."""
        upload = self._upload
        if upload is None or upload.parts < self._env.limits.max_parts // 2:
            return
        if not upload.direct:
            await self._outbox.idle()
            self._owner.check()
            await self._complete(upload)
        elif upload.parts >= self._env.limits.max_parts - 1:
            raise FileTooLarge(
                f"{self._owner.key()!r}: this store joins no uploads, and one has at most "
                f"{self._env.limits.max_parts} parts: mount with a larger chunk_size"
            )

    async def _open_upload(self, *, direct: bool) -> StagedUpload:
        if self._upload is None:
            # No mtime-size can be right yet; without an mtime, LastModified tells it.
            attributes = self._owner.attributes(0) if direct else Attributes()
            key = self._owner.key() if direct else self._env.runner.new_key()
            snapshot = self._owner.snapshot()
            store, journal = self._env.store, self._env.runner.journal
            self._upload = await StagedUpload.begin(store, journal, key, attributes, direct=direct)
            self._begun_with = attributes
            if direct:
                self._owner.carried(snapshot)
        return self._upload

    async def _complete(self, upload: StagedUpload) -> None:
        if not upload.direct:
            await upload.complete(ABSENT)
            self._staged.append(upload.object)
        else:
            await upload.complete(self.expected)
            self.current = upload.object
            self.expected = believed(upload.object.etag, upload.object.size)
            self.carried = self._begun_with
        self._upload = None

    # At close

    async def publish(self) -> None:
        """Make the object what the rope says, by the cheapest plan; nothing is under way.

        Raises what the store reports; the object is then as it was, or has a part of what was to
        be appended to it. Raises FileAlreadyExists or WriterConflict when the key has something
        else than what was opened: that is not touched.
        """
        try:
            await self._finish_upload()
            await self._publish()
        except PreconditionFailed as error:
            key = self._owner.key()
            if self._exclusive and self.expected is ABSENT:
                raise FileAlreadyExists(f"{key!r} was made by another host meanwhile") from error
            raise WriterConflict(f"{key!r} was changed by another host: {error}") from error
        if self.current is not None:
            self.rope = whole(self.current)
        await self._retire()

    async def _publish(self) -> None:
        target = RemoteObject(self._owner.key(), self.rope.size, "")
        plan = await self._plan(target)
        match plan.stages:
            case []:
                pass
            case [[Append() as step]]:
                step.target.size += step.body.length + await self._append(step.start, step.body)
            case [[Put() as step]] if self.current is None and self.shared:
                self.current = target
                try:
                    target.size += await self._append(0, step.body)
                except BaseException:
                    self.current = None
                    raise
            case _:
                await self._replace(plan, target)

    async def _plan(self, target: RemoteObject) -> Plan:
        capabilities = await self._needed_capabilities()
        # What was gathered unseen is bytes of our own: a new name gets them with a condition, too.
        while True:
            sources = self._versions()
            plan = await planned(
                self.rope,
                target,
                self.current,
                capabilities,
                self._env.limits,
                appended=self.shared,
                exclusive=bool(self._staged),
            )
            if sources == self._versions():
                break  # else one of them has grown here while it was planned
        log.debug("plan key=%r bytes=%d: %s", target.key, target.size, plan)
        return plan

    async def _replace(self, plan: Plan, target: RemoteObject) -> None:
        snapshot, attributes = self._owner.snapshot(), self._owner.attributes(target.size)
        for attempts_left in reversed(range(GROWN_TIMES)):
            sources = self._sources()
            try:
                await self._env.runner.run(plan, Publication(attributes, self.expected))
                break
            except (PreconditionFailed, WriterConflict):
                if not attempts_left or sources == self._sources():
                    raise
                plan = await self._plan(target)  # what is copied is a log that has grown here
        self._sources()
        self.current = target
        self.expected = believed(target.etag, target.size)
        self._carried(snapshot, attributes)

    def _carried(self, snapshot: object, attributes: Attributes) -> None:
        self.carried = attributes
        self._owner.carried(snapshot)

    def _sources(self) -> dict[RemoteObject, tuple[int, str]]:
        """The objects that have bytes of this file, as they are; raises WriterConflict if lost."""
        sources = [extent.source for extent in self.rope if isinstance(extent, Range)]
        for source in sources:
            if source.lost:
                raise WriterConflict(
                    f"{self._owner.key()!r} has bytes of {source.key!r}, changed meanwhile"
                )
        return self._versions()

    def _versions(self) -> dict[RemoteObject, tuple[int, str]]:
        found = {extent.source for extent in self.rope if isinstance(extent, Range)}
        return {source: (source.size, source.etag) for source in found}

    async def _needed_capabilities(self) -> Capabilities:
        """What the store is proven to do; not asked where a plain put or copy is enough."""
        match shape(self.rope):
            case [] | [Bytes()]:
                return UNPROVEN
            case [Range() as kept] if self.current is None and kept.whole and not self._staged:
                if kept.length <= self._env.limits.max_copy:
                    return UNPROVEN
            case [Range() as kept, Bytes()] if kept.whole and kept.source is self.current:
                known = await self._env.capabilities("append")
                if known.append:
                    return known
        return await self._env.capabilities("append", *JOINING)

    async def _finish_upload(self) -> None:
        """End the upload that is open; what follows its parts goes along as the last one."""
        upload = self._upload
        if upload is None:
            return
        match list(islice(segments(self.rope, inf if upload.direct else None), 3)):
            case [Range() as sent] if sent.source is upload.object and sent.whole:
                pass
            case [Range() as sent, Bytes() as body] if sent.source is upload.object and sent.whole:
                await upload.take(body.length)(body)
                self.rope = whole(upload.object)
            case _ if upload.direct:
                raise Unsupported(
                    f"{self._owner.key()!r}: bytes that were sent already were written again, and "
                    "this store cannot join them; the object is unchanged"
                )
        await self._complete(upload)

    def taken(self, info: ObjectInfo) -> None:
        """The object was copied onto itself, as `info` says: the file goes on from that."""
        assert self.current is not None
        self.current.size, self.current.etag = info.size, info.etag
        self.rope = whole(self.current) if info.size else Rope()
        self.expected = believed(info.etag, info.size)

    async def _retire(self) -> None:
        staged, self._staged = self._staged, []
        await self._env.runner.discard(staged)

    async def capture(self, source: RemoteObject) -> None:
        """Keep the bytes of `source`, which is about to change, in an object of our own."""
        if not self.borrows(source):
            return
        await self._finish_upload()
        helper = RemoteObject(self._env.runner.new_key(), self.rope.size, "")
        plan = await planned(
            self.rope, helper, None, await self._env.capabilities(*JOINING), self._env.limits
        )
        await self._env.runner.run(plan, Publication(Attributes()))
        self._staged.append(helper)
        self.rope = whole(helper)

    async def discard(self) -> None:
        """Forget all bytes that were not published, and drop what was gathered of them."""
        self.rope = Rope()
        upload, self._upload = self._upload, None
        if upload is not None:
            await self._env.runner.drop(upload)
        await self._retire()
