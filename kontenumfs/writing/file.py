# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One object being written, whoever has it open."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import trio

from kontenumfs.protocol.errors import (
    FileTooLarge,
    KontenumError,
    NotClosed,
    reported,
)
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.beliefs import UNKNOWN, Belief
from kontenumfs.store.operation import joined, operation
from kontenumfs.tree.node import File
from kontenumfs.writing.content import Content
from kontenumfs.writing.environment import Environment
from kontenumfs.writing.extents import Extent, RemoteObject, Rope, whole
from kontenumfs.writing.memory import Share
from kontenumfs.writing.metadata import OpenMetadata
from kontenumfs.writing.state import State, Unsaved
from kontenumfs.writing.write_back import NEVER, WriteBack

KEEP_SECONDS = 30.0
"""How long the change of an object waits for a file that has ranges of it."""


class WritableFile:
    """One object being written, whoever has it open.

    Calls may come at the same time; they take effect one after another. When `sync` returns,
    every byte written before is in the store. The first failed upload ends the file: the
    bytes that were not stored are gone, whoever wrote some of them has the error in his `Unsaved`,
    and who opens the name next gets another file (`on_failure`).

    Args:
        node: the name that it is stored under.
        current: the object that has the name now, or None.
        keep: whether its bytes are the content to begin with; else the file is empty.
        metadata: what the file will carry, besides what `current` has.
        temporary: whether the name is a temporary one: a short file waits for the name it shall
            have.
        exclusive: whether the name must not be another host's (O_EXCL).
        on_failure: is called once, when the file has failed.
    """

    def __init__(
        self,
        environment: Environment,
        node: File,
        *,
        current: RemoteObject | None,
        keep: bool,
        metadata: OpenMetadata,
        temporary: bool = False,
        exclusive: bool = False,
        on_failure: Callable[["WritableFile"], None],
    ) -> None:
        self._env = environment
        self._lock = trio.Lock()
        self._most = environment.limits.max_object
        self.node = node
        self.handles = 0
        self.content = Content(
            environment,
            current=current,
            rope=whole(current) if keep and current is not None else Rope(),
            policy=environment.policy(node.key),
            exclusive=exclusive,
        )
        self.write_back = WriteBack(
            environment,
            node,
            self.content,
            metadata,
            Share(environment.memory, self),
            temporary=temporary,
            on_failure=partial(on_failure, self),
        )
        self._progress = self.write_back.progress

    @property
    def size(self) -> int:
        """Bytes, those not sent yet included."""
        return self.content.rope.size

    @property
    def metadata(self) -> FileMetadata:
        """Mode, owner and time that the next request carries."""
        return self.write_back.metadata.current

    @property
    def state(self) -> State:
        """Where the bytes are."""
        return self._progress.state

    @property
    def error(self) -> KontenumError | None:
        """What the file has failed with."""
        return self._progress.error

    @property
    def can_send_early(self) -> bool:
        """Whether what waits may be sent before it fills a chunk."""
        return self._progress.error is None and self.content.rope.literal > 0

    # Writing

    async def write(
        self, offset: int, data: bytes, *, append: bool = False, by: Unsaved | None = None
    ) -> int:
        """Take `data` at `offset` (or at the end, with `append`); returns its length in bytes.

        `by` has it until it is stored. Waits while the mount's memory is full. Raises what an
        earlier upload failed with, DeadlineExceeded where the store stands still while it waits,
        and FileTooLarge past what an object can hold.
        """
        content, back = self.content, self.write_back
        _require_room(self, (content.rope.size if append else offset) + len(data), self._most)
        await back.reserve(len(data), append=append, by=by)
        try:
            async with self._changing():
                at = content.rope.size if append else offset
                if self._progress.state is State.ORPHANED:
                    self.content.rope.lengthen(at + len(data))
                    return len(data)
                content.shared = append
                content.rope.write(at, data)
                self._changed(by)
                if content.rope.literal >= back.chunk:
                    back.account()
                    await back.send_ahead()
        except BaseException:
            back.account()
            raise
        return len(data)

    async def truncate(self, size: int, *, by: Unsaved | None = None) -> None:
        """Make the file `size` bytes long; what is added reads as zeros."""
        _require_room(self, size, self._most)
        async with self._changing():
            rope = self.content.rope
            if size == rope.size:
                return
            if self._progress.state is State.ORPHANED:
                rope.truncate(size)
                return
            if not size:
                await self.write_back.idle()
                await self.content.discard()
            self.content.rope.truncate(size)
            self._changed(by)

    async def splice(self, offset: int, extent: Extent, *, by: Unsaved | None = None) -> None:
        """Put bytes that the store has at `offset`, without sending them."""
        _require_room(self, offset + extent.length, self._most)
        async with self._changing():
            if self._progress.state is State.ORPHANED:
                self.content.rope.lengthen(offset + extent.length)
                return
            self.content.rope.splice(offset, extent)
            self._changed(by)

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """Let one change in at a time; the file ends where it fails."""
        async with self._lock, self._failing():
            try:
                yield
            finally:
                self.write_back.account()

    @asynccontextmanager
    async def _failing(self) -> AsyncIterator[None]:
        """End the file where the block fails; raises at once what it has failed with before."""
        if self._progress.error is not None:
            self._progress.check()
        try:
            yield
        except Exception as error:
            failure = reported(error, f"key={self.node.key!r}")
            await self.write_back.fail(failure)
            if failure is error:
                raise
            raise failure from error

    def _changed(self, by: Unsaved | None) -> None:
        interval = self.content.policy.append_interval
        if self.write_back.changed(by) and interval:
            self._env.timers.call_at(self._env.clock() + interval, self._send_if_due)

    def _send_if_due(self) -> None:
        now, due = self._env.clock(), self.write_back.due
        if due <= now:
            self._env.nursery.start_soon(partial(self.send_early, visible=True))
        elif due < NEVER:
            self._env.timers.call_at(due, self._send_if_due)
        elif self.write_back.waits_for_rename:
            # It may get its name and go on being written.
            interval = self.content.policy.append_interval
            self._env.timers.call_at(now + interval, self._send_if_due)

    async def send_early(self, *, visible: bool = False) -> None:
        """Send what waits before it fills a chunk; a failure is told to the next caller.

        Args:
            visible: whether to those who follow the file, where its bytes may be seen; else
                anyhow, because memory is short.
        """
        self._progress.waiting_since = None
        with suppress(KontenumError), operation():
            async with self._changing():
                if self.can_send_early:
                    await self.write_back.send_ahead(visible=visible)

    # Publishing

    async def sync(self, *, empty: bool = True) -> None:
        """Return when the store has the file as it is, an empty one included."""
        with joined():
            async with self.quiesced(empty=empty):
                pass

    async def sync_as(self, key: str, expected: Belief = UNKNOWN) -> None:
        """Store a file that the store has not seen yet under the key that it shall have.

        One that a close under way has stored meanwhile stays where that has put it. A failure
        changes nothing: the file has its old name and all its bytes.

        Args:
            expected: what has that key now.
        """
        async with self._lock:
            self._progress.check()
            await self.write_back.idle()
            content = self.content
            if content.current is not None or not _is_to_publish(self.state, empty=True):
                return
            before = content.expected, content.shared
            # What has that name now is replaced, not appended to.
            content.expected, content.shared = expected, False
            try:
                await self.write_back.publish(key)
            except BaseException:
                content.expected, content.shared = before
                raise
            self.write_back.temporary = False

    @asynccontextmanager
    async def quiesced(self, *, empty: bool = True) -> AsyncIterator[None]:
        """Store everything, and keep writers waiting for the length of the block.

        Args:
            empty: whether also a file to which nothing was written.
        """
        if _is_to_publish(self.state, empty=empty) and self.content.current is not None:
            replaced = await self.content.replaced_object()
            if replaced is not None:
                await replaced.recall()
        async with self._lock:
            async with self._failing():
                await self.write_back.idle()
                if _is_to_publish(self.state, empty=empty):
                    await self.write_back.publish()
            yield  # what fails in there is not this file's failure

    async def sync_metadata(self) -> None:
        """Return when the store has the metadata that was set; the bytes are stored already.

        Raises WriterConflict where others have changed the object, which stays as it is.
        """
        async with self._lock:
            await self.write_back.idle()
            if self._progress.state is not State.ORPHANED:
                await self.write_back.send_metadata()

    async def drain(self) -> None:
        """Store the file at the end of the mount, as far as that may be; raises NotClosed else."""
        async with self._lock:
            await self.write_back.idle()
            if self._progress.is_unsaved and self.handles and self.write_back.needs_close:
                raise NotClosed("not closed by its writer, so what it has replaced stays as it was")
        with operation():
            await self.sync(empty=not self.handles)  # one that is open may become something yet

    # Its end

    async def roll_back(self, by: Unsaved) -> bool:
        """Forget what `by` has written, where it replaces an object and nobody else's is in it.

        Returns whether it is forgotten: `by` was killed, and the old object stays.
        """
        async with self._lock:
            if not self.content.replaces or not self._progress.is_only_of(by):
                return False
            killed = NotClosed(f"{self.node.key!r}: its writer was killed before it closed it")
            await self.write_back.fail(killed)
            return True

    def borrows(self, source: RemoteObject) -> bool:
        """Tell whether some bytes are those of `source`, which is another file's object."""
        return self.content.current is not source and self.content.borrows(source)

    async def keep(self, source: RemoteObject) -> None:
        """Keep the bytes of `source`, which is about to change; gives up after a while.

        Two files that have ranges of each other would wait for each other else. What was not
        kept is found out when this file is stored, and told to its writer.
        """
        with trio.move_on_after(KEEP_SECONDS), suppress(KontenumError):
            async with self._changing():
                await self.write_back.idle()
                await self.write_back.keep(source)

    @asynccontextmanager
    async def orphaned(self) -> AsyncIterator[None]:
        """Take the name away in the block: what was written and is written now goes nowhere.

        What is under way ends before, or it would be stored after; writers wait. Where the block
        raises, the name is the file's still, and so are the bytes.
        """
        async with self._lock:
            await self.write_back.idle(check=False)
            yield
            size = self.content.rope.size
            await self.write_back.discard(State.ORPHANED)
            if self._progress.state is State.ORPHANED:
                self.content.rope.lengthen(size)  # fstat tells it for as long as it is open

    async def close(self) -> None:
        """Give the memory back: the last handle is gone."""
        async with self._lock:
            await self.write_back.idle(check=False)
            await self.write_back.discard(State.CLOSED)


def _is_to_publish(state: State, *, empty: bool) -> bool:
    # Who drains a mount may come to a file that was closed, and is empty, since.
    if state in (State.STORED, State.ORPHANED, State.CLOSED):
        return False
    return empty or state is not State.FRESH


def _require_room(file: WritableFile, size: int, most: int) -> None:
    if size > most:
        raise FileTooLarge(f"{file.node.key!r}: no object can have {size} bytes")
