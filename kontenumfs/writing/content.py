# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The bytes of one file: what the store has, what is on its way, and what is here only."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import trio

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import PreconditionFailed, Unsupported, WriterConflict
from kontenumfs.store.api import Attributes, Store
from kontenumfs.store.beliefs import UNKNOWN, believed
from kontenumfs.store.proof import UNPROVEN, Capabilities
from kontenumfs.writing.execute import PlanRunner, Publication
from kontenumfs.writing.extents import Range, RemoteObject, Rope, whole
from kontenumfs.writing.memory import MemoryBudget
from kontenumfs.writing.plan import ZERO_BLOCK, Append, Bytes, Plan, Put, compile_rope, segments
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
        memory: the budget for unsent bytes.
        nursery: background uploads run here.
        chunk_size: bytes that are sent at once.
        capabilities: what the store is proven to do; asked only when it matters.
        conditional: whether it honours If-Match on append.
        policy: how the object of a key is published.
        wall_ns: the time of day in nanoseconds since the epoch.
        clock: monotonic seconds.
        wake: is called when a file has bytes that are to be sent at a certain time.
        spare: is called before an object changes: files that have ranges of it keep their bytes.
        limits: of the store.
    """

    store: Store
    runner: PlanRunner
    memory: MemoryBudget
    nursery: trio.Nursery
    chunk_size: int
    capabilities: Callable[[], Awaitable[Capabilities]]
    conditional: Callable[[], bool]
    policy: Callable[[str], FilePolicy]
    wall_ns: Callable[[], int]
    spare: Callable[[RemoteObject], Awaitable[None]]
    wake: Callable[[], None]
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
    ) -> None:
        self._env = environment
        self._owner = owner
        self._outbox = outbox
        self.policy = policy
        self.current = current
        self.rope = rope
        self.shared = False
        """Whether the last writer had O_APPEND: the end is wherever it is."""
        self._verified = False
        self._upload: StagedUpload | None = None
        self._staged: list[RemoteObject] = []

    @property
    def staging(self) -> bool:
        """Whether parts are gathered in an upload, unseen."""
        return self._upload is not None

    @property
    def stored(self) -> bool:
        """Whether the rope is the object, byte for byte."""
        current = self.current
        return current is not None and [*self.rope] == ([*whole(current)] if current.size else [])

    def borrows(self, source: RemoteObject) -> bool:
        """Whether some bytes are those of `source`."""
        return any(isinstance(extent, Range) and extent.source is source for extent in self.rope)

    async def endangered(self) -> RemoteObject | None:
        """The object that publishing will replace, which is more than an append does."""
        if self.stored or self.current is None:
            return None
        match list(segments(self.rope, inline=False)):
            case [Range() as kept, Bytes()] if kept.source is self.current and kept.whole:
                if (await self._env.capabilities()).append:
                    return None
        return self.current

    # Ahead of close

    def live_tail(self) -> Bytes | None:
        """The bytes that an append (or the first put) can publish now, where that is allowed."""
        if self._upload is not None or len(self.rope) > 10_000:
            return None
        publish = self.policy.publish
        match list(segments(self.rope, inline=False)):
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
        capabilities = await self._env.capabilities()
        tail = self.live_tail() if capabilities.append else None
        if tail is not None:
            await self._send_live(tail)
            return True
        direct = not (capabilities.append or capabilities.compose)
        short = self.rope.literal < self._env.limits.min_part
        if visible or (direct and (short or not self._is_sequential())):
            return False
        await self._send_staged(direct=direct)
        return True

    def _is_sequential(self) -> bool:
        """Whether the file is one upload, from its first byte to its last."""
        match list(segments(self.rope, inline=False)):
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
        moved = await (self._put(body) if new else self._append(start, body))
        if not moved:
            return
        assert self.current is not None
        if not self.rope.begins_with(self.current, start + body.length):
            raise WriterConflict(
                f"{self.current.key!r} was appended to by others while it was overwritten here"
            )
        self.rope.lengthen_first(moved)

    async def _put(self, body: Bytes) -> int:
        """The first bytes of a new object; returns how far others' bytes have moved them."""
        current = self.current
        assert current is not None
        snapshot, attributes = self._owner.snapshot(), self._owner.attributes(body.length)
        step = Put(current, body)
        if not self.shared:
            await self._env.runner.run(Plan(((step,),)), Publication(attributes))
        elif not await self._env.runner.create(step, attributes):
            # Two hosts have begun one log at once: the first creates it, the other appends.
            first = current.size
            return first + (await self._append(first, body) if body.length else 0)
        self._verified = True
        self._owner.carried(snapshot)
        return current.size - body.length

    async def _append(self, start: int, body: Bytes) -> int:
        """Append; returns how many bytes of others came between."""
        current = self.current
        assert current is not None
        await self._verify_base(start)
        plan = Plan(((Append(current, body, start),),))
        return await self._env.runner.run(plan, Publication(Attributes()), shared=self.shared)

    async def _verify_base(self, size: int) -> None:
        """Without If-Match, ask once whether the object is still the one that was opened."""
        if self._verified or self.shared or self._env.conditional():
            return
        info = await self._env.store.head(self._owner.key())
        if info.size != size:
            raise WriterConflict(
                f"{self._owner.key()!r} has {info.size} bytes, not {size}: "
                "another writer changed it"
            )
        self._verified = True

    async def _send_staged(self, *, direct: bool) -> None:
        """Gather every byte that is here only in an upload, where nobody sees it."""
        await self._outbox.turn(PARALLEL_PARTS)
        self._owner.check()
        upload = await self._open_upload(direct=direct)
        held = self.rope.literal
        self.rope.fill_holes(ZERO_BLOCK)
        runs = list(self.rope.literals())
        body = Bytes(tuple(piece for _, run in runs for piece in run), self.rope.literal)
        offset = upload.object.size
        for at, run in runs:
            length = sum(len(piece) for piece in run)
            self.rope.splice(at, Range(upload.object, offset, length))
            offset += length
        # Zeros take no memory, but a part that is all but zeros takes its time.
        count = max(1, body.length // max(held, self._env.chunk_size, self._env.limits.min_part))
        for part in body.split(count):
            await self._outbox.turn(PARALLEL_PARTS)
            self._outbox.send(upload.take(part.length), part, part.weight)
        if body.length < self._env.limits.min_part and not direct:
            # Only the last part may be short; the next bytes begin another upload.
            await self._outbox.idle()
            self._owner.check()
            await self._complete(upload)

    async def _open_upload(self, *, direct: bool) -> StagedUpload:
        if self._upload is None:
            # No mtime-size can be right yet; without an mtime, LastModified tells it.
            attributes = self._owner.attributes(0) if direct else Attributes()
            key = self._owner.key() if direct else self._env.runner.new_key()
            snapshot = self._owner.snapshot()
            store, journal = self._env.store, self._env.runner.journal
            self._upload = await StagedUpload.begin(store, journal, key, attributes, direct=direct)
            if direct:
                self._owner.carried(snapshot)
        return self._upload

    async def _complete(self, upload: StagedUpload) -> None:
        await upload.complete()
        self._upload = None
        if upload.direct:
            self.current = upload.object
        else:
            self._staged.append(upload.object)

    # At close

    async def publish(self) -> None:
        """Make the object what the rope says, by the cheapest plan; nothing is under way.

        Raises what the store reports; the object is then as it was, or has a part of what was to
        be appended to it.
        """
        await self._finish_upload()
        size = self.rope.size
        target = RemoteObject(self._owner.key(), size, "")
        plan = await self._plan(target)
        match plan.stages:
            case []:
                pass
            case [[Append() as step]]:
                await self._append(step.start, step.body)
            case [[Put() as step]] if self.current is None and self.shared:
                self.current = target
                await self._put(step.body)
            case _:
                await self._replace(plan, target)
        if self.current is not None:
            self.rope = whole(self.current)
        await self._retire()

    async def _plan(self, target: RemoteObject) -> Plan:
        capabilities = await self._needed_capabilities()
        plan = compile_rope(
            self.rope, target, self.current, capabilities, self._env.limits, appended=self.shared
        )
        log.debug("plan key=%r bytes=%d: %s", target.key, target.size, plan)
        return plan

    async def _replace(self, plan: Plan, target: RemoteObject) -> None:
        snapshot, attributes = self._owner.snapshot(), self._owner.attributes(target.size)
        for attempts_left in reversed(range(GROWN_TIMES)):
            sources = self._sources()
            try:
                current = self.current
                expected = UNKNOWN if current is None else believed(current.etag, current.size)
                await self._env.runner.run(plan, Publication(attributes, expected))
                break
            except (PreconditionFailed, WriterConflict):
                if not attempts_left or sources == self._sources():
                    raise
                plan = await self._plan(target)  # what is copied is a log that has grown here
        self._sources()
        self.current = target
        self._verified = True
        self._owner.carried(snapshot)

    def _sources(self) -> dict[RemoteObject, tuple[int, str]]:
        """The objects that have bytes of this file, as they are; raises WriterConflict if lost."""
        sources = [extent.source for extent in self.rope if isinstance(extent, Range)]
        for source in sources:
            if source.lost:
                raise WriterConflict(
                    f"{self._owner.key()!r} has bytes of {source.key!r}, changed meanwhile"
                )
        return {source: (source.size, source.etag) for source in sources}

    async def _needed_capabilities(self) -> Capabilities:
        """What the store is proven to do; not asked where a plain put or copy is enough."""
        match list(segments(self.rope, inline=False)):
            case [] | [Bytes()]:
                return UNPROVEN
            case [Range() as kept] if self.current is None and kept.whole:
                if kept.length <= self._env.limits.max_copy:
                    return UNPROVEN
        return await self._env.capabilities()

    async def _finish_upload(self) -> None:
        """End the upload that is open; what follows its parts goes along as the last one."""
        upload = self._upload
        if upload is None:
            return
        match list(segments(self.rope, inline=upload.direct)):
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

    async def _retire(self) -> None:
        staged, self._staged = self._staged, []
        await self._env.runner.discard(staged)

    async def capture(self, source: RemoteObject) -> None:
        """Keep the bytes of `source`, which is about to change, in an object of our own."""
        if not self.borrows(source):
            return
        await self._finish_upload()
        helper = RemoteObject(self._env.runner.new_key(), self.rope.size, "")
        plan = compile_rope(
            self.rope, helper, None, await self._env.capabilities(), self._env.limits
        )
        await self._env.runner.run(plan, Publication(Attributes()))
        self._staged.append(helper)
        self.rope = whole(helper)

    async def discard(self) -> None:
        """Forget all bytes that were not published, and drop what was gathered of them."""
        self.rope = Rope()
        upload, self._upload = self._upload, None
        if upload is not None:
            await upload.abort()
        await self._retire()
