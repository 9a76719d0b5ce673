# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One object being written, whoever has it open."""

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from dataclasses import replace
from typing import Protocol

import trio

from kontenumfs.protocol.errors import (
    DeadlineExceeded,
    FileTooLarge,
    KontenumError,
    NotClosed,
    reported,
)
from kontenumfs.protocol.incidents import Incident, report
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import Attributes, ObjectInfo
from kontenumfs.store.beliefs import UNKNOWN, Belief
from kontenumfs.store.operation import joined, operation
from kontenumfs.writing.content import Content, Environment
from kontenumfs.writing.copying import Copier
from kontenumfs.writing.extents import Extent, RemoteObject, Rope, whole
from kontenumfs.writing.policy import Publish
from kontenumfs.writing.sending import Outbox
from kontenumfs.writing.state import State, Unsaved

log = logging.getLogger(__name__)

GROWTH = 64
"""A chunk is at least this fraction of the file, so that 1,023 appends reach far."""

CAPTURE_SECONDS = 30.0
"""How long the change of an object waits for a file that has ranges of it."""


class Identity(Protocol):
    """What a file is called and carries, asked anew for each request, for names can change."""

    def key(self) -> str:
        """The object key."""

    def attributes(self, metadata: FileMetadata, size: int) -> Attributes:
        """What an object of `size` bytes is stored with."""

    def stored(self, info: ObjectInfo) -> None:
        """The store has taken the content as `info` says."""

    def becoming(self, key: str) -> AbstractContextManager[None]:
        """Within the block, what is stored is stored under the key that a rename will give."""


class WritableFile:
    """One object being written, whoever has it open.

    Calls may come at the same time; they take effect one after another. When `flush` or `sync`
    returns, every byte written before is in the store. The first failed upload ends the file: the
    bytes that were not stored are gone, whoever wrote some of them has the error in his `Unsaved`,
    and who opens the name next gets another file (Environment.failed).

    Args:
        current: the object that has the name now, or None.
        keep: whether its bytes are the content to begin with; else the file is empty.
        metadata: what the file will carry, besides what `current` has.
        late: whether the name is a temporary one: a short file waits for the name it shall have.
        exclusive: whether the name must not be another host's (O_EXCL).
    """

    def __init__(
        self,
        environment: Environment,
        identity: Identity,
        *,
        current: RemoteObject | None,
        keep: bool,
        metadata: FileMetadata,
        late: bool = False,
        exclusive: bool = False,
    ) -> None:
        self._env = environment
        self._identity = identity
        self._explicit = metadata
        self._written_ns: int | None = None
        self._lock = trio.Lock()
        self._accounted = 0
        self._waiting_since: float | None = None
        self._outbox = Outbox(environment.nursery, self._upload_ended, self._fail)
        self._unsaved: set[Unsaved] = set()
        self.handles = 0
        self.state = State.FRESH
        self.error: KontenumError | None = None
        self.unsent_metadata = False
        """Whether metadata was set since a request carried it."""
        self.late = late
        self.content = Content(
            environment,
            self,
            self._outbox,
            current=current,
            rope=whole(current) if keep and current is not None else Rope(),
            policy=environment.policy(identity.key()),
            exclusive=exclusive,
        )

    @property
    def size(self) -> int:
        """Bytes, those not sent yet included."""
        return self.content.rope.size

    @property
    def pending(self) -> int:
        """Bytes that the store has not taken yet."""
        return self.content.rope.literal + self._outbox.held

    @property
    def metadata(self) -> FileMetadata:
        """Mode, owner and time that the next request carries."""
        return self._explicit.over(FileMetadata(mtime_ns=self._written_ns))

    @property
    def explicit_metadata(self) -> FileMetadata:
        """What a program set, without the time that writing gives."""
        return self._explicit

    @property
    def sending(self) -> bool:
        """Whether bytes are on their way, whose memory comes free then."""
        return self._outbox.under_way > 0

    @property
    def can_send_early(self) -> bool:
        """Whether what waits may be sent before it fills a chunk."""
        return self.error is None and self.content.rope.literal > 0

    @property
    def untouched(self) -> bool:
        """Whether nothing was written through any handle yet."""
        return self.state is State.FRESH

    @property
    def is_stored(self) -> bool:
        """Whether the store has all of it, metadata included."""
        return self.state in (State.FRESH, State.STORED) and not self.unsent_metadata

    def is_stored_as(self, key: str) -> bool:
        """Whether its object is under `key`, up to date or not."""
        return self.content.current is not None and self.content.current.key == key

    @property
    def held_back(self) -> bool:
        """Whether all of it waits here for its final name."""
        waits = self.late and self.content.current is None
        return waits and self.state in (State.FRESH, State.BUFFERED)

    @property
    def due(self) -> float:
        """When a slow writer's bytes are to be appended, on the mount's clock."""
        interval = self.content.policy.append_interval
        if self._waiting_since is None or not interval or self.held_back:
            return float("inf")
        return self._waiting_since + interval

    def _enter(self, state: State) -> None:
        if state is self.state:
            return
        if not self.state.may_become(state):
            raise AssertionError(f"{self.key()}: {self.state} cannot become {state}")
        log.debug("key=%r %s -> %s", self.key(), self.state.value, state.value)
        self.state = state

    # What the content asks

    def key(self) -> str:
        """The object key."""
        return self._identity.key()

    def attributes(self, size: int) -> Attributes:
        """What an object of `size` bytes is stored with."""
        return self._identity.attributes(self.metadata, size)

    def snapshot(self) -> FileMetadata:
        """Identifies the metadata that `attributes` carries now."""
        return self._explicit

    def carried(self, snapshot: object) -> None:
        """A request has carried the metadata of this snapshot; what was set since still waits."""
        if self._explicit is snapshot:
            self.unsent_metadata = False

    def check(self) -> None:
        """Raise what an earlier upload failed with."""
        if self.error is not None:
            raise self.error.with_traceback(None)

    def _account(self) -> None:
        """Bring the mount's memory up to date with what this file holds."""
        now = self.content.rope.weight + self._outbox.held
        if now > self._accounted:
            self._env.memory.take(now - self._accounted)
        elif now < self._accounted:
            if self.error is None:
                self._env.memory.stored()
            self._env.memory.release(self._accounted - now)
        self._accounted = now
        self._env.memory.note(self, self.content.rope.literal, moving=self.sending)

    def _upload_ended(self) -> None:
        self._account()
        self._env.memory.release(0)  # a part of zeros held nothing, but was waited for

    # Writing

    async def write(
        self, offset: int, data: bytes, *, append: bool = False, by: Unsaved | None = None
    ) -> int:
        """Take `data` at `offset` (or at the end, with `append`); returns its length in bytes.

        `by` has it until it is stored. Waits while the mount's memory is full. Raises what an
        earlier upload failed with, DeadlineExceeded where the store stands still while it waits,
        and FileTooLarge past what an object can hold.
        """
        self.check()
        self._require_room((self.size if append else offset) + len(data))
        await self._reserve(len(data), append=append, by=by)
        self._accounted += len(data)
        try:
            async with self._changing():
                if self.state is State.ABANDONED:
                    self._grow(self.size if append else offset, len(data))
                    return len(data)
                content = self.content
                content.shared = append
                content.rope.write(content.rope.size if append else offset, data)
                self._account()
                self._touched(by)
                if content.rope.literal >= self._chunk():
                    await self._send_ahead()
        finally:
            self._account()
        return len(data)

    async def _reserve(self, count: int, *, append: bool, by: Unsaved | None) -> None:
        """Take memory for `count` bytes, which are refused where the store stands still.

        That ends the file like a failed upload, or a close would publish it without them, over an
        old object perhaps. What is appended stands behind no gap.
        """
        try:
            await self._env.memory.reserve(count)
        except DeadlineExceeded as error:
            if not append and self.state is not State.ABANDONED:
                if by is not None:
                    self._unsaved.add(by)
                await self._fail(error)
            raise

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """One change at a time."""
        async with self._lock, self._failing():
            yield

    @asynccontextmanager
    async def _failing(self) -> AsyncIterator[None]:
        """What fails in the block has ended the file."""
        self.check()
        try:
            yield
        except Exception as error:
            failure = reported(error, f"key={self.key()!r}")
            await self._fail(failure)
            if failure is error:
                raise
            raise failure from error
        finally:
            self._account()

    def _touched(self, by: Unsaved | None) -> None:
        """The bytes are not what they were, because of `by`."""
        if by is not None:
            by.dirty = True
            self._unsaved.add(by)
        self._written_ns = self._env.wall_ns()
        if self._explicit.mtime_ns is not None:
            self._explicit = replace(self._explicit, mtime_ns=None)
        if self._waiting_since is None:
            self._waiting_since = self._env.clock()
            if interval := self.content.policy.append_interval:
                self._env.waiting(self, interval)
        if self.state not in (State.LIVE, State.STAGED):
            self._enter(State.BUFFERED)

    async def truncate(self, size: int, *, by: Unsaved | None = None) -> None:
        """Make the file `size` bytes long; what is added reads as zeros."""
        self._require_room(size)
        async with self._changing():
            if size == self.size:
                return
            if self.state is State.ABANDONED:
                self.content.rope.truncate(size)
                return
            if not size:
                await self._outbox.idle()
                self.check()
                await self.content.discard()
            self.content.rope.truncate(size)
            self._touched(by)

    async def splice(self, offset: int, extent: Extent, *, by: Unsaved | None = None) -> None:
        """Put bytes that the store has at `offset`, without sending them."""
        self._require_room(offset + extent.length)
        async with self._changing():
            if self.state is State.ABANDONED:
                self._grow(offset, extent.length)
                return
            self.content.rope.splice(offset, extent)
            self._touched(by)

    def _grow(self, offset: int, length: int) -> None:
        """What has no name is as long as it was written, and holds no bytes."""
        if offset + length > self.size:
            self.content.rope.truncate(offset + length)

    def _require_room(self, size: int) -> None:
        if size > self._env.limits.max_object:
            raise FileTooLarge(f"{self.key()!r}: no object can have {size} bytes")

    def _chunk(self) -> int:
        """Bytes to send at once at this point of the file; grows with it, within memory."""
        return max(self._env.chunk_size, min(self.size // GROWTH, self._env.memory.limit // 8))

    async def _send_ahead(self, *, visible: bool = False) -> None:
        live = self.content.live_tail() is not None
        if await self.content.send_ahead(visible=visible):
            self._enter(State.LIVE if live and not self.content.staging else State.STAGED)
            self._waiting_since = None

    async def send_early(self) -> None:
        """Send what waits, because memory is short; a failure is told to the next caller."""
        await self._send_before_full(visible=False)

    async def send_early_visibly(self) -> None:
        """Send what waits to those who follow the file, where its bytes may be seen."""
        await self._send_before_full(visible=True)

    async def _send_before_full(self, *, visible: bool) -> None:
        self._waiting_since = None
        with suppress(KontenumError), operation():
            async with self._changing():
                if self.can_send_early:
                    await self._send_ahead(visible=visible)

    async def _fail(self, error: KontenumError) -> None:
        if self.error is not None:
            return
        self.error = error
        report(Incident("upload", "upload failed", error, self.key()))
        self._outbox.closed = True
        self._enter(State.FAILED)
        for unsaved in self._unsaved:
            unsaved.error = error
        self._unsaved.clear()
        self._env.failed(self)
        await self.content.discard()
        self._account()

    # Publishing

    async def flush(self) -> None:
        """Return when every byte written so far is in the store under the file's name.

        Programs flush before their first write, so a file to which nothing was written is left
        alone; a file with a temporary name that fits one chunk waits for its final name.
        """
        self.check()
        if not self.held_back:
            await self.sync(empty=False)

    async def sync(self, *, empty: bool = True) -> None:
        """Return when the store has the file as it is, an empty one included."""
        with joined():
            async with self.settled(empty=empty):
                pass

    async def sync_as(self, key: str, expected: Belief = UNKNOWN) -> None:
        """Store a file that the store has not seen yet under the key that it shall have.

        One that a close under way has stored meanwhile stays where that has put it. A failure
        changes nothing: the file has its old name and all its bytes.

        Args:
            expected: what has that key now.
        """
        async with self._lock:
            self.check()
            await self._outbox.idle()
            self.check()
            content = self.content
            if content.current is not None or not self._is_to_publish(True):
                return
            before = content.expected, content.shared
            # What has that name now is replaced, not appended to.
            content.expected, content.shared = expected, False
            try:
                with self._identity.becoming(key):
                    await self._publish()
            except BaseException:
                content.expected, content.shared = before
                raise
            finally:
                self._account()
            self.late = False

    @asynccontextmanager
    async def settled(self, *, empty: bool = True) -> AsyncIterator[None]:
        """Store everything, and keep writers waiting for the length of the block."""
        endangered = await self.content.endangered() if self._is_to_publish(empty) else None
        if endangered is not None:
            await self._env.spare(endangered)
        async with self._lock:
            async with self._failing():
                await self._outbox.idle()
                self.check()
                if self._is_to_publish(empty):
                    await self._publish()
            yield  # what fails in there is not this file's failure

    def _is_to_publish(self, empty: bool) -> bool:
        # Who drains a mount may come to a file that was closed, and is empty, since.
        if self.state in (State.ABANDONED, State.CLOSED):
            return False
        return empty or self.state is not State.FRESH

    async def _publish(self) -> None:
        content = self.content
        self._waiting_since = None
        if not content.stored or content.staging:
            await content.publish()
        elif self.state in (State.FRESH, State.STORED):
            return
        self._enter(State.STORED)
        for unsaved in self._unsaved:
            unsaved.dirty = False
        self._unsaved.clear()
        self._identity.stored(self._object(content.carried))
        content.carried = None

    def _object(self, attributes: Attributes | None) -> ObjectInfo:
        """The file's object; None: with the attributes that it had."""
        current = self.content.current
        assert current is not None
        now = self._env.wall_ns() / 1e9
        return ObjectInfo(current.key, current.size, current.etag, now, attributes)

    async def sync_metadata(self, copier: Copier) -> None:
        """Return when the store has the metadata that was set; the bytes are stored already.

        Raises WriterConflict where others have changed the object, which stays as it is.
        """
        async with self._lock:
            await self._outbox.idle()
            self.check()
            content = self.content
            if self.state is not State.ABANDONED and self.unsent_metadata and content.stored:
                snapshot, before = self.snapshot(), self._object(None)
                attributes = self.attributes(before.size)
                made = await copier.describe(before, attributes, follow=content.shared)
                content.taken(made)
                self.carried(snapshot)
                self._identity.stored(made)

    @property
    def needs_close(self) -> bool:
        """Whether what is unsaved must not be seen before whoever wrote it says so.

        What replaces an object is published by its writer's own close or fsync; what is new or
        appended may be seen at any time, unless the file is published as a whole.
        """
        if self.state in (State.STORED, State.FAILED, State.ABANDONED, State.CLOSED):
            return False
        return self.content.replaces or self.content.policy.publish is Publish.ATOMIC

    async def drain(self) -> None:
        """Store the file at the end of the mount, as far as that may be; raises NotClosed else."""
        async with self._lock:
            await self._outbox.idle()
            self.check()
            if self._unsaved and self.handles and self.needs_close:
                raise NotClosed("not closed by its writer, so what it has replaced stays as it was")
        with operation():
            await self.sync(empty=not self.handles)  # one that is open may become something yet

    def is_only_of(self, unsaved: Unsaved) -> bool:
        """Whether nobody else has written what is unsaved."""
        return self._unsaved == {unsaved}

    async def give_up(self, by: Unsaved) -> bool:
        """Forget what `by` has written, where it replaces an object and nobody else's is in it.

        Returns whether it is forgotten: `by` was killed, and the old object stays.
        """
        async with self._lock:
            if not self.content.replaces or not self.is_only_of(by):
                return False
            await self._fail(
                NotClosed(f"{self.key()!r}: its writer was killed before it closed it")
            )
            return True

    async def capture(self, source: RemoteObject) -> None:
        """Keep the bytes of `source`, which is about to change; gives up after a while.

        Two files that have ranges of each other would wait for each other else. What was not
        kept is found out when this file is stored, and told to its writer.
        """
        with trio.move_on_after(CAPTURE_SECONDS), suppress(KontenumError):
            async with self._changing():
                await self._outbox.idle()
                self.check()
                await self.content.capture(source)

    def set_metadata(self, metadata: FileMetadata) -> None:
        """Change mode, owner or time; carried by the next request that is due anyway."""
        self._explicit = metadata.over(self._explicit)
        self.unsent_metadata = True

    @asynccontextmanager
    async def displaced(self) -> AsyncIterator[None]:
        """The name is taken away in the block: what was written and is written now goes nowhere.

        What is under way ends before, or it would be stored after; writers wait. Where the block
        raises, the name is the file's still, and so are the bytes.
        """
        async with self._lock:
            await self._outbox.idle()
            yield
            self._outbox.closed = True
            size = self.size
            if self.error is None:
                self._enter(State.ABANDONED)
            await self.content.discard()
            if self.state is State.ABANDONED:
                self._grow(0, size)  # fstat tells it for as long as it is open
            self._account()

    async def close(self) -> None:
        """The last handle is gone: give the memory back."""
        async with self._lock:
            await self._outbox.idle()
            if self.error is None:
                self._enter(State.CLOSED)
            await self.content.discard()
            self._account()
