# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One object being written, whoever has it open."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

import trio

from kontenumfs.protocol.errors import (
    KontenumError,
    PreconditionFailed,
    Unsupported,
    WriterConflict,
)
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import Attributes, Body, ObjectInfo, Store
from kontenumfs.writing.buffer import Buffer
from kontenumfs.writing.memory import MemoryBudget
from kontenumfs.writing.upload import Multipart, Target, append_once

log = logging.getLogger(__name__)

ZEROS = bytes(1024 * 1024)
PARALLEL_PARTS = 3
"""Parts of one multipart upload under way at once; more would only hold more memory."""
GROWTH = 64
"""A chunk is at least this fraction of the file, so that 1,023 appends reach far."""


class State(Enum):
    """Where the bytes of a file are."""

    FRESH = "fresh"  # as it was opened: nothing was written
    BUFFERED = "buffered"  # some bytes are here only
    LIVE = "live"  # the object grows by appends
    STAGED = "staged"  # a multipart upload gathers the parts, unseen
    STORED = "stored"  # the store has everything
    FAILED = "failed"  # an upload failed: every later call says so
    ABANDONED = "abandoned"  # the name was deleted: bytes go nowhere


_NEXT = {
    State.FRESH: {State.BUFFERED, State.STORED},
    State.BUFFERED: {State.LIVE, State.STAGED, State.STORED},
    State.LIVE: {State.STORED, State.BUFFERED},
    State.STAGED: {State.STORED, State.BUFFERED},
    State.STORED: {State.BUFFERED, State.LIVE},
    State.FAILED: set[State](),
    State.ABANDONED: set[State](),
}


@dataclass(frozen=True, slots=True)
class Environment:
    """What the files of a mount share.

    Args:
        store: the bucket.
        memory: the budget for unsent bytes.
        nursery: background uploads run here.
        chunk_size: bytes that are sent at once.
        can_append: whether the store is proven to append; asked before the first append.
        conditional: whether it honours If-Match on append.
        wall_ns: the time of day in nanoseconds since the epoch.
    """

    store: Store
    memory: MemoryBudget
    nursery: trio.Nursery
    chunk_size: int
    can_append: Callable[[], Awaitable[bool]]
    conditional: Callable[[], bool]
    wall_ns: Callable[[], int]


class Identity(Protocol):
    """What a file is called and carries, asked anew for each request, for names can change."""

    def key(self) -> str:
        """The object key."""

    def attributes(self, metadata: FileMetadata, size: int) -> Attributes:
        """What an object of `size` bytes is stored with."""

    def stored(self, info: ObjectInfo) -> None:
        """The store has taken the content as `info` says."""


class WritableFile:
    """One object being written, whoever has it open.

    Calls may come at the same time; they take effect one after another. When `flush` or `fsync`
    returns, every byte written before is in the store. The first failed upload poisons the file:
    each later call raises the same error.

    Args:
        base: the object whose bytes are kept (append), or None when the content starts empty.
        replaces: whether there is an object under the key that the new content will replace.
        metadata: what the file will carry, besides what `base` has.
    """

    def __init__(
        self,
        environment: Environment,
        identity: Identity,
        *,
        base: ObjectInfo | None,
        replaces: bool,
        metadata: FileMetadata,
    ) -> None:
        self._env = environment
        self._identity = identity
        self._explicit = metadata
        self._written_ns: int | None = None
        self.handles = 0
        self.state = State.FRESH
        self.error: KontenumError | None = None
        self.shared = False
        """Whether the last writer had O_APPEND: the end is wherever it is."""
        self.unsent_metadata = False
        """Whether metadata was set since a request carried it."""
        self._base = base
        self._exists = base is not None
        self._replaces = replaces
        self._kept_tail = 0
        self._stored = base.size if base else 0
        self._etag = base.etag if base else ""
        self._buffer = Buffer(self._stored)
        self._must_put = base is None
        self._upload: Multipart | None = None
        self._lock = trio.Lock()
        self._under_way = 0
        self._progress = trio.Event()

    @property
    def size(self) -> int:
        """Bytes, those not sent yet included."""
        return max(self._buffer.end, self._kept_tail)

    @property
    def pending(self) -> int:
        """Bytes that the store has not taken yet."""
        return max(0, self._buffer.end - max(self._stored, self._buffer.start))

    @property
    def metadata(self) -> FileMetadata:
        """Mode, owner and time that the next request carries."""
        return self._explicit.over(FileMetadata(mtime_ns=self._written_ns))

    @property
    def explicit_metadata(self) -> FileMetadata:
        """What a program set, without the time that writing gives."""
        return self._explicit

    @property
    def held(self) -> int:
        """Bytes of the mount's memory that the buffer takes."""
        return self._buffer.length

    @property
    def sending(self) -> bool:
        """Whether bytes are on their way, whose memory comes free then."""
        return self._under_way > 0 or self._lock.locked()

    @property
    def can_send_early(self) -> bool:
        """Whether what waits may be sent before it fills a chunk: appends have no least size."""
        if self.state not in (State.BUFFERED, State.LIVE) or not self.pending:
            return False
        return not (self._must_put and self._replaces)

    @property
    def untouched(self) -> bool:
        """Whether nothing was written through any handle yet."""
        return self.state is State.FRESH

    def _enter(self, state: State) -> None:
        if state is self.state:
            return
        if state not in (State.FAILED, State.ABANDONED) and state not in _NEXT[self.state]:
            raise AssertionError(f"{self._identity.key()}: {self.state} cannot become {state}")
        log.debug("key=%r %s -> %s", self._identity.key(), self.state.value, state.value)
        self.state = state

    def _check(self) -> None:
        if self.error is not None:
            raise self.error.with_traceback(None)

    # Writing

    async def write(self, offset: int, data: bytes, *, append: bool = False) -> int:
        """Take `data` at `offset` (or at the end, with `append`); returns its length in bytes.

        Waits while the mount's memory is full. Raises what an earlier upload failed with, and
        Unsupported for a place whose bytes have been sent already.
        """
        self._check()
        await self._env.memory.reserve(len(data))
        before = self._buffer.length
        try:
            async with self._lock:
                self._check()
                if self.state is State.ABANDONED:
                    self._env.memory.release(len(data))
                    return len(data)
                self.shared = append
                before = self._buffer.length
                await self._place(self._buffer.end if append else offset, data)
                # Bytes written over others take no more room than those did.
                self._env.memory.release(len(data) - (self._buffer.length - before))
                before = self._buffer.length
                self._written_ns = self._env.wall_ns()
                if self._explicit.mtime_ns is not None:
                    self._explicit = replace(self._explicit, mtime_ns=None)
                if self.pending >= self._chunk():
                    await self._send_chunk()
        except KontenumError:
            self._env.memory.release(len(data) - (self._buffer.length - before))
            raise
        return len(data)

    async def _place(self, offset: int, data: bytes) -> None:
        if offset < self._buffer.start:
            if offset or self.state is not State.FRESH:
                raise Unsupported(
                    f"{self._identity.key()!r}: bytes before offset {self._buffer.start} are "
                    "stored already and cannot be written again"
                )
            self._begin_replacement()
        await self._fill(offset)
        if offset < self._stored:
            self._must_put = True
        self._buffer.write(offset, data)
        if self.state is not State.BUFFERED and self.state is not State.STAGED:
            self._enter(State.LIVE if self.state is State.LIVE else State.BUFFERED)

    def _begin_replacement(self) -> None:
        """Writing from the start over an object that was opened without O_TRUNC."""
        self._kept_tail = self._stored
        self._buffer = Buffer(0)
        self._stored = 0
        self._replaces = self._must_put = True
        self._exists = False

    async def _fill(self, offset: int) -> None:
        """Write zeros from the end to `offset`, as a hole reads."""
        while (gap := offset - self._buffer.end) > 0:
            block = ZEROS[:gap]
            self._env.memory.take(len(block))
            self._buffer.write(self._buffer.end, block)
            if self.state is State.FRESH or self.state is State.STORED:
                self._enter(State.BUFFERED)
            if self.pending >= self._chunk():
                await self._send_chunk()

    async def truncate(self, size: int) -> None:
        """Make the file `size` bytes long; what is added reads as zeros."""
        self._check()
        async with self._lock:
            self._check()
            if self.state is State.ABANDONED:
                return
            if size == 0:
                await self._empty()
            elif size > self._buffer.end:
                self._kept_tail = 0 if size >= self._kept_tail else self._kept_tail
                if self._kept_tail:
                    raise Unsupported(
                        f"{self._identity.key()!r}: cannot keep a part of the old bytes"
                    )
                await self._fill(size)
            elif size < self._buffer.start:
                raise Unsupported(
                    f"{self._identity.key()!r}: cannot be cut to {size} bytes, for "
                    f"{self._buffer.start} are stored already"
                )
            else:
                self._kept_tail = 0
                dropped = self._buffer.end - size
                self._buffer.truncate(size)
                self._env.memory.release(dropped)
                if size < self._stored:
                    self._must_put = True
                if dropped and self.state in (State.FRESH, State.STORED):
                    self._enter(State.BUFFERED)

    async def _empty(self) -> None:
        await self._idle()
        self._check()
        if self._upload is not None:
            await self._upload.abort()
            self._upload = None
        self._env.memory.release(self._buffer.length)
        self._replaces = self._replaces or self._exists
        self._buffer = Buffer(0)
        self._stored = self._kept_tail = 0
        self._must_put = True
        self._exists = False
        if self.state is not State.FRESH:
            self._enter(State.BUFFERED)

    # Sending

    def _chunk(self) -> int:
        """Bytes to send at once at this point of the file; grows with it, within memory."""
        grown = self._buffer.end // GROWTH
        return max(self._env.chunk_size, min(grown, self._env.memory.limit // 8))

    async def send_early(self) -> None:
        """Send what waits, because memory is short; a failure is told to the next caller."""
        async with self._lock:
            if self.error is None and self.can_send_early:
                with suppress(KontenumError):
                    await self._send_chunk()

    async def _send_chunk(self) -> None:
        """Hand the buffered bytes to a background upload; waits for a free place first."""
        await self._turn(1 if self.state is not State.STAGED else PARALLEL_PARTS)
        self._check()
        if self.state is State.BUFFERED:
            if self._must_put and (self._replaces or not await self._env.can_append()):
                await self._stage()
            elif self._must_put or await self._may_append():
                self._enter(State.LIVE)
        offset = self._buffer.start
        already = max(0, self._stored - offset) if not self._must_put else 0
        body: Body = self._buffer.take()
        held = self._buffer.start - offset
        if already:
            body = [b"".join(body)[already:]]
        self._under_way += 1
        if self._upload is not None:
            number = self._upload.next_number()
            self._env.nursery.start_soon(self._upload_part, self._upload, number, body, held)
        else:
            self._env.nursery.start_soon(self._grow, body, held)

    async def _stage(self) -> None:
        carried = self._explicit
        # No mtime-size can be right yet; without an mtime, LastModified tells it.
        attributes = self._identity.attributes(self.metadata, self._buffer.end)
        try:
            self._upload = await Multipart.begin(self._env.store, self._identity.key(), attributes)
        except KontenumError as error:
            await self._fail(error)
            raise
        self._carried(carried)
        self._enter(State.STAGED)

    def _carried(self, explicit: FileMetadata) -> None:
        """A request has carried `explicit`; what was set meanwhile still waits."""
        if self._explicit is explicit:
            self.unsent_metadata = False

    async def _may_append(self) -> bool:
        if not await self._env.can_append():
            error = Unsupported(
                f"{self._identity.key()!r}: this store does not append, and the object's own "
                "bytes cannot be read to be sent again"
            )
            await self._fail(error)
            raise error
        return True

    async def _grow(self, body: Body, held: int) -> None:
        """Background: the first bytes by PutObject, all others by append."""
        await self._background(self._put_or_append, body, held)

    async def _upload_part(self, upload: Multipart, number: int, body: Body, held: int) -> None:
        await self._background(lambda pieces: upload.send(number, pieces), body, held)

    async def _background(
        self, send: Callable[[Body], Awaitable[None]], body: Body, held: int
    ) -> None:
        try:
            if self.error is None and self.state is not State.ABANDONED:
                await send(body)
        except KontenumError as error:
            await self._fail(error)
        finally:
            self._env.memory.release(held)
            self._under_way -= 1
            self._progress.set()
            self._progress = trio.Event()

    async def _put_or_append(self, body: Body) -> None:
        length = sum(len(piece) for piece in body)
        key = self._identity.key()
        if self._must_put:
            carried = self._explicit
            attributes = self._identity.attributes(self.metadata, length)
            # Two hosts may begin one log at once: the first creates it, the other appends.
            new = self.shared and not self._replaces
            try:
                written = await self._env.store.put(key, body, attributes, if_none_match=new)
            except PreconditionFailed:
                if not new or not await self._env.can_append():
                    raise
                await self._join_appenders(key, body)
                return
            self._etag, self._stored = written.etag, length
            self._must_put, self._exists, self._replaces = False, True, False
            self._carried(carried)
            log.info("put key=%r bytes=%d request_id=%s", key, length, written.request_id)
            return
        if not self._exists:
            raise AssertionError(f"{key}: nothing to append to")
        target = Target(key, self._stored, self._etag, self.shared, self._env.conditional())
        await append_once(self._env.store, target, body)
        self._moved(target.size - length - self._stored)
        self._stored, self._etag = target.size, target.etag

    async def _join_appenders(self, key: str, body: Body) -> None:
        """Someone has created the log meanwhile: what was to be its beginning is appended."""
        info = await self._env.store.head(key)
        length = sum(len(piece) for piece in body)
        self._must_put, self._exists = False, True
        target = Target(key, info.size, info.etag, True, self._env.conditional())
        await append_once(self._env.store, target, body)
        self._moved(target.size - length - self._stored)
        self._stored, self._etag = target.size, target.etag

    def _moved(self, distance: int) -> None:
        """Another appender was faster: our bytes begin `distance` further on than we thought."""
        if distance:
            self._buffer.start += distance

    async def _turn(self, limit: int) -> None:
        while self._under_way >= limit:
            await self._progress.wait()

    async def _idle(self) -> None:
        await self._turn(1)

    async def _fail(self, error: KontenumError) -> None:
        if self.error is None:
            self.error = error
            log.warning(
                "upload failed: key=%r offset=%d pending=%d: %s",
                self._identity.key(),
                self._stored,
                self.pending,
                error,
            )
            self._enter(State.FAILED)
            await self._drop()

    async def _drop(self) -> None:
        held = self._buffer.length
        self._buffer = Buffer(self._buffer.end)
        self._env.memory.release(held)
        upload, self._upload = self._upload, None
        if upload is not None:
            await upload.abort()

    # Publishing

    async def flush(self, *, empty: bool = False) -> None:
        """Return when every byte written so far is in the store under the file's name.

        A file to which nothing was written is published only with `empty`: programs flush
        before their first write, and an empty object must not be seen then.
        """
        self._check()
        async with self._lock:
            await self._idle()
            self._check()
            if self.state is State.ABANDONED or (
                self.state is State.FRESH and not self._wants(empty)
            ):
                return
            if self.state is State.STORED:
                return
            try:
                await self._publish()
            except KontenumError as error:
                await self._fail(error)
                raise

    def _wants(self, empty: bool) -> bool:
        return empty and self._must_put

    async def _publish(self) -> None:
        end = self._buffer.end
        if end < self._kept_tail:
            raise Unsupported(
                f"{self._identity.key()!r}: only the first {end} of {self._kept_tail} bytes were "
                "written again, and the others cannot be read; the object is unchanged"
            )
        if self._upload is not None:
            await self._publish_upload()
        elif self._must_put:
            await self._put_or_append([self._buffer.copy(0)])
        elif end > self._stored:
            if self._buffer.start == 0 and not await self._env.can_append():
                self._must_put = True
            elif await self._may_append() and self._base and self._fresh_append():
                await self._verify_base()
            await self._put_or_append([self._buffer.copy(0 if self._must_put else self._stored)])
        self._enter(State.STORED)
        if self._buffer.start != 0 or self._buffer.length > self._env.chunk_size:
            self._env.memory.release(self._buffer.length)
            self._buffer.take()
        self._report()

    async def _publish_upload(self) -> None:
        upload = self._upload
        assert upload is not None
        held = self._buffer.length
        if held or not upload.numbers:
            await upload.send(upload.next_number(), self._buffer.take())
            self._env.memory.release(held)
        self._etag = await upload.complete()
        self._upload = None
        self._stored = self._buffer.end
        self._must_put, self._exists, self._replaces = False, True, False
        log.info("completed key=%r bytes=%d parts=%d", upload.key, self._stored, upload.numbers)

    def _fresh_append(self) -> bool:
        return not self.shared and not self._env.conditional()

    async def _verify_base(self) -> None:
        """Without If-Match, ask once whether the object is still the one that was opened."""
        assert self._base is not None
        info = await self._env.store.head(self._identity.key())
        if info.size != self._stored:
            raise WriterConflict(
                f"{self._identity.key()!r} has {info.size} bytes, not {self._stored}: "
                "another writer changed it"
            )
        self._base = None

    def _report(self) -> None:
        now = self._env.wall_ns() / 1e9
        attributes = self._identity.attributes(self.metadata, self._stored)
        self._identity.stored(
            ObjectInfo(self._identity.key(), self._stored, self._etag, now, attributes)
        )

    def set_metadata(self, metadata: FileMetadata) -> None:
        """Change mode, owner or time; carried by the next request that is due anyway."""
        self._explicit = metadata.over(self._explicit)
        self.unsent_metadata = True

    async def abandon(self) -> None:
        """The name was deleted: what is written from now on goes nowhere."""
        if self.error is None:
            self._enter(State.ABANDONED)
        await self._drop()

    async def close(self) -> None:
        """The last handle is gone: give the memory back."""
        async with self._lock:
            await self._idle()
            await self._drop()

    def renamed(self, etag: str) -> None:
        """The object was copied to another key, where it has this ETag."""
        self._etag = etag
