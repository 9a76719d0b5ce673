# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One file's bytes on their way to the store: when they leave, and how that ends."""

from collections.abc import Callable
from dataclasses import replace

from kontenumfs.protocol.errors import DeadlineExceeded, KontenumError, reported
from kontenumfs.protocol.incidents import Incident, report
from kontenumfs.store.api import Attributes, ObjectInfo
from kontenumfs.store.operation import operation
from kontenumfs.tree.node import File
from kontenumfs.writing.content import Content
from kontenumfs.writing.environment import Environment
from kontenumfs.writing.extents import RemoteObject
from kontenumfs.writing.memory import Share
from kontenumfs.writing.metadata import Carried, Draft, OpenMetadata
from kontenumfs.writing.policy import Publish
from kontenumfs.writing.state import ENDED, Progress, State, Unsaved
from kontenumfs.writing.transfers import InFlight, Route, Transfer

GROWTH = 64
"""A chunk is at least this fraction of the file, so that 1,023 appends reach far."""
NEVER = float("inf")


class WriteBack:
    """The bytes of one file, in memory, in flight and in the store.

    Nothing here locks: but for what runs in the background, the file lets one caller in at a time.
    The first failed request ends the file.

    Args:
        node: the name of the file.
        share: its part of the mount's memory.
        temporary: whether the name is a temporary one: a short file waits for the name it shall
            have.
        on_failure: is called once, when the file has failed.
    """

    def __init__(
        self,
        environment: Environment,
        node: File,
        content: Content,
        metadata: OpenMetadata,
        share: Share,
        *,
        temporary: bool,
        on_failure: Callable[[], None],
    ) -> None:
        self._env = environment
        self._node = node
        self._share = share
        self._on_failure = on_failure
        self._in_flight = InFlight()
        self._attributes: Attributes | None = None
        """What a request has stored since the node was last told; None: what it had before."""
        self.content = content
        self.metadata = metadata
        self.temporary = temporary
        self.progress = Progress(node)

    @property
    def pending(self) -> int:
        """Bytes that the store has not taken yet."""
        return self.content.rope.literal + self._in_flight.held

    @property
    def waits_for_rename(self) -> bool:
        """Whether all of it waits here for its final name."""
        waits = self.temporary and self.content.current is None
        return waits and self.progress.state in (State.FRESH, State.BUFFERED)

    @property
    def due(self) -> float:
        """When a slow writer's bytes are to be appended, on the mount's clock."""
        since, interval = self.progress.waiting_since, self.content.policy.append_interval
        if since is None or not interval or self.waits_for_rename:
            return NEVER
        return since + interval

    @property
    def needs_close(self) -> bool:
        """Whether what is unsaved must not be seen before whoever wrote it says so.

        What replaces an object is published by its writer's own close or fsync; what is new or
        appended may be seen at any time, unless the file is published as a whole.
        """
        if self.progress.state is State.STORED or self.progress.state in ENDED:
            return False
        return self.content.policy.publish is Publish.ATOMIC or self.content.replaces

    def account(self) -> None:
        """Bring the mount's memory up to date with what this file holds."""
        rope, in_flight = self.content.rope, self._in_flight
        self._share.hold(
            rope.weight + in_flight.held,
            sendable=rope.literal,
            moving=in_flight.count > 0,
            stored=self.progress.error is None,
        )

    async def reserve(self, count: int, *, append: bool, by: Unsaved | None) -> None:
        """Take memory for `count` bytes of `by`, which are refused where the store stands still.

        That ends the file like a failed upload, or a close would publish it without them, over an
        old object perhaps. What is appended stands behind no gap.
        """
        try:
            await self._share.reserve(count)
        except DeadlineExceeded as error:
            if not append and self.progress.state is not State.ORPHANED:
                self.progress.unsaved_by(by)
                await self.fail(error)
            raise

    def draft(self, key: str = "") -> Draft:
        """Describe the next object, under the file's key or another one."""
        return self.metadata.draft(self._node, key or self._node.key, self._env.composer)

    def changed(self, by: Unsaved | None) -> bool:
        """Note that the bytes are not what they were, because of `by`.

        Returns whether they are the first that wait to be sent.
        """
        self.metadata.written(self._env.wall_ns())
        return self.progress.changed(by, self._env.clock())

    async def fail(self, error: KontenumError) -> None:
        """End the file: what was not stored is gone, and its writers are told why."""
        if self.progress.error is not None:
            return
        report(Incident("upload", "upload failed", error, self._node.key))
        self.progress.failed(error)
        self._on_failure()
        await self.content.discard()
        self.account()

    async def discard(self, state: State) -> None:
        """Forget what is not stored, for the file has come to its end, `state`."""
        if self.progress.error is None:
            self.progress.enter(state)
        await self.content.discard()
        self.account()

    # Ahead of close

    @property
    def chunk(self) -> int:
        """Bytes to send at once at this point of the file; grows with it, within memory."""
        size = self.content.rope.size
        return max(self._env.chunk_size, min(size // GROWTH, self._env.memory.limit // 8))

    async def send_ahead(self, *, visible: bool = False) -> None:
        """Send what is here only, where there is a way before the close.

        Args:
            visible: whether only where it can be seen then.
        """
        route = await self.content.route_ahead(visible=visible)
        if route is None:
            return
        await self._fewer_than(route.parallel)
        if self.content.gathering.must_end(self._node.key):
            await self._end_upload()
        batch = await self.content.take(route, self.draft())
        for transfer in batch.transfers:
            await self._fewer_than(route.parallel)
            self._in_flight.add(transfer)
            self._env.nursery.start_soon(self._send, transfer)
        if batch.ends_upload:
            await self._end_upload()
        self.progress.enter(State.LIVE if route is Route.APPEND else State.STAGED)
        self.progress.waiting_since = None

    async def _send(self, transfer: Transfer) -> None:
        try:
            if self.progress.state is not State.FAILED:
                with operation():
                    self._take_up(await transfer.send())
        except Exception as error:
            await self.fail(reported(error, "an upload"))
        finally:
            self._in_flight.remove(transfer)
            self.account()
            self._share.wake()

    async def _end_upload(self) -> None:
        await self.idle()
        self._take_up(await self.content.end_upload())

    async def _fewer_than(self, limit: int) -> None:
        await self._in_flight.fewer_than(limit)
        self.progress.check()

    async def idle(self, *, check: bool = True) -> None:
        """Wait until nothing is under way; raises what has failed, but without `check`."""
        if self._in_flight.count:
            await self._in_flight.fewer_than(1)
        if check and self.progress.error is not None:
            self.progress.check()

    async def keep(self, source: RemoteObject) -> None:
        """Keep the bytes of `source`, which is about to change; nothing is under way."""
        self._take_up(await self.content.keep(source, self.draft()))

    def _take_up(self, carried: Carried | None) -> None:
        """Note what a request has carried."""
        if carried is not None:
            self._attributes = carried.attributes
            self.metadata.carried(carried.token)

    # At close

    async def publish(self, key: str = "") -> None:
        """Make the store hold the file under its key, or another one; nothing is under way."""
        progress = self.progress
        progress.waiting_since = None
        if not self.content.unchanged:
            try:
                self._take_up(await self.content.publish(self.draft(key)))
            finally:
                self.account()
        elif progress.state is State.FRESH:
            return
        progress.stored()
        self._record(self.info(self._attributes))
        self._attributes = None

    def info(self, attributes: Attributes | None = None) -> ObjectInfo:
        """Describe the file's object; None: with the attributes that it had."""
        current = self.content.current
        assert current is not None
        now = self._env.wall_ns() / 1e9
        return ObjectInfo(current.key, current.size, current.etag, now, attributes)

    def _record(self, info: ObjectInfo) -> None:
        """Have the node know what the store has taken.

        Its attributes are those that the request has carried, not what would be sent now; an
        append carries none and leaves the object's as they were.
        """
        node = self._node
        if node.removed:
            return
        if info.attributes is None and node.info is not None:
            info = replace(info, attributes=node.info.attributes)
        self._env.tree.stored(node, info)

    async def send_metadata(self) -> None:
        """Store the metadata that was set, where the bytes are stored; nothing is under way."""
        if not (self.metadata.unsent and self.content.stored):
            return
        draft, before = self.draft(), self.info()
        attributes = draft.carry(before.size).attributes
        made = await self._env.copier.describe(before, attributes, follow=self.content.shared)
        self.content.rebase(made)
        self.metadata.carried(draft.token)
        self._record(made)
