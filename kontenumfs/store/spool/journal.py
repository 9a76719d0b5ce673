# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Entries and bodies on the local disk: what `flush` has returned for outlives a power cut.

Small bodies and what happens to entries go one behind the other into segments; everybody who
waits at the same time shares one fdatasync. A large body is a file of its own, which is on the
disk before its entry. Segments go in the order in which they came, so that no entry comes back
whose end is forgotten; the little that lives in the oldest one is written anew for that.
"""

import logging
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import trio

from kontenumfs.protocol.errors import SpoolFailed, SpoolFull
from kontenumfs.store.api import Body
from kontenumfs.store.spool.disk import Disk, LocalDisk
from kontenumfs.store.spool.entries import Entry, Piece, to_json
from kontenumfs.store.spool.frames import BODY, HEADER, RECORD, SEGMENT, Place, build, document
from kontenumfs.store.spool.identity import IDENTITY, identify, lock
from kontenumfs.store.spool.recovery import BODY_NAME, Recovered, read_piece, recover

log = logging.getLogger(__name__)

SEGMENT_BYTES = 16 << 20
SMALL = 64 << 10
"""Bytes of a body that goes into a segment."""
MOST_SEGMENTS = 4
"""Segments beyond which the oldest one is emptied."""


@dataclass(slots=True)
class _Segment:
    """One segment that is there.

    Args:
        end: where the next frame goes.
        flushed: up to where it is on the disk.
    """

    number: int
    descriptor: int
    end: int = 0
    flushed: int = 0

    @property
    def name(self) -> str:
        return f"segment-{self.number}"


@dataclass(slots=True)
class _Batch:
    """What goes to the disk at once."""

    writes: list[tuple[_Segment, int, bytes]] = field(default_factory=list)
    unlink: list[str] = field(default_factory=list)
    done: trio.Event = field(default_factory=trio.Event)
    failed: SpoolFailed | None = None


class Journal:
    """The durable half of a spool.

    Args:
        directory: of this spool alone, with mode 0700.
        whose: what the spool is of, such as bucket and prefix; another one is refused.
        disk: the file system.
    """

    def __init__(
        self,
        directory: Path,
        whose: Mapping[str, str],
        *,
        disk: Disk | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self.directory = directory
        self._whose = whose
        self._disk = disk or LocalDisk()
        self._segment_bytes = segment_bytes
        self.spool = ""
        """What tells this spool from others."""
        self._lock = -1
        self._segments: list[_Segment] = []
        self._spare: _Segment | None = None
        self._next_number = 1
        self._next_file = 1
        self._is_first = True
        """Whether no segment was begun by this daemon yet."""
        self._users: Counter[str] = Counter()
        """How many entries have bytes in a file, or are written there."""
        self._files: dict[int, set[str]] = {}
        """Of each entry: the files that it needs."""
        self._batch = _Batch()
        self._writing = False
        self._turn = trio.Event()
        self.failed: SpoolFailed | None = None
        """Why nothing can be acknowledged any more; what was, stays safe."""
        self.flushes = 0

    # The life of it

    def open(self) -> Recovered:
        """Take the spool, and read what was left; raises SpoolRefused and OSError. It blocks."""
        self._lock = lock(self.directory)
        try:
            self.spool = identify(self.directory, self._whose, self._disk)
            found = recover(self.directory, self.spool)
            self._next_number, self._next_file = found.next_number, found.next_file
            old = sorted(
                int(name.removeprefix("segment-"))
                for name in os.listdir(self.directory)
                if name.startswith("segment-")
            )
            self._segments = [_Segment(number, -1) for number in old]
            self._spare = self._new_segment()
            self._write_anew(found)
            self._sweep()
        except BaseException:
            os.close(self._lock)
            self._lock = -1
            raise
        return found

    def _write_anew(self, found: Recovered) -> None:
        """What was found counts from here on; what was cut never comes back.

        The power may go in the middle of it: nothing is ended that is written anew only after.
        """
        entries = list(found.entries.values())
        self.record((), found.cut)
        for start in range(0, len(entries), 500):
            self.record(entries[start : start + 500])
        batch, self._batch = self._batch, _Batch()
        self._write_all(batch)
        for segment, _, _ in batch.writes:
            segment.flushed = segment.end

    def _sweep(self) -> None:
        """Bodies that no entry has any more, and what an earlier start had begun."""
        for name in os.listdir(self.directory):
            if (BODY_NAME.fullmatch(name) and not self._users[name]) or name.endswith(".new"):
                self._disk.unlink(self.directory / name)

    def close(self, *, is_empty: bool = False) -> None:
        """Let go of the spool; what is in it stays.

        Args:
            is_empty: whether nothing is in it, so that nothing but the lock has to stay: who looks
                for a spool finds none, and the next one has tokens of its own.
        """
        names = [segment.name for segment in self._segments]
        for segment in [*self._segments, *([self._spare] if self._spare else [])]:
            if segment.descriptor >= 0:
                os.close(segment.descriptor)
        if self._spare is not None:
            with suppress(OSError):
                self._disk.unlink(self.directory / self._spare.name)
        if is_empty and self.failed is None:
            with suppress(OSError):
                self._unlink([*names, IDENTITY])
        self._segments, self._spare = [], None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # What comes in

    def next_number(self) -> int:
        """A number that no entry has had."""
        self._next_number += 1
        return self._next_number - 1

    async def prepare(self, body: Body) -> tuple[Piece, ...] | None:
        """See to it that an entry finds room; a large body is on the disk afterwards.

        Returns None for a small one, which `add_body` takes. Raises SpoolFull where the file
        system has no room, and SpoolFailed.
        """
        self._check()
        length = sum(len(piece) for piece in body)
        try:
            if self._spare is None:
                self._spare = await trio.to_thread.run_sync(self._new_segment)
            if length <= SMALL:
                return None
            name = f"body-{self._next_file}"
            self._next_file += 1
            crc = await trio.to_thread.run_sync(self._write_body, name, body)
        except OSError as error:
            raise SpoolFull(f"spool {self.directory}: {error.strerror}") from error
        return (Piece(name, 0, length, crc),)

    def _write_body(self, name: str, body: Body) -> int:
        descriptor = self._disk.create(self.directory / name)
        crc = offset = 0
        try:
            for piece in body:
                self._disk.write(descriptor, memoryview(piece), offset)
                crc, offset = zlib.crc32(piece, crc), offset + len(piece)
            self._disk.sync(descriptor)
            self._disk.sync_directory(self.directory)
        except BaseException:
            self._disk.unlink(self.directory / name)
            raise
        finally:
            os.close(descriptor)
        return crc

    def add_body(self, body: Body) -> tuple[Piece, ...]:
        """Put a small body where the next flush takes it."""
        data = b"".join(body)
        if not data:
            return ()
        segment, offset = self._put(BODY, data)
        return (Piece(segment.name, offset, len(data), zlib.crc32(data)),)

    def moved(self, pieces: Sequence[Piece], bodies: Sequence[bytes]) -> tuple[Piece, ...]:
        """The same bytes, those that were in segments at the end of the last one."""
        out: list[Piece] = []
        for piece, body in zip(pieces, bodies, strict=True):
            is_file = BODY_NAME.fullmatch(piece.file)
            out.extend([piece] if is_file else self.add_body([body]))
        return tuple(out)

    def forget(self, pieces: Iterable[Piece]) -> None:
        """Bodies that no entry came to have."""
        for piece in pieces:
            if BODY_NAME.fullmatch(piece.file) and not self._users[piece.file]:
                self._batch.unlink.append(piece.file)

    def record(self, added: Sequence[Entry] = (), ended: Sequence[int] = ()) -> None:
        """Note entries that are new or have changed, and ends; all of it or nothing."""
        if not added and not ended:
            return
        told: dict[str, object] = {"end": list(ended)} if ended else {}
        if added:
            told["add"] = [to_json(entry) for entry in added]
        segment, _ = self._put(RECORD, document(told))
        files = {entry.number: {piece.file for piece in entry.pieces} for entry in added}
        for names in files.values():
            names.add(segment.name)
            self._users.update(names)
        for number in (*ended, *files):
            self._release(self._files.pop(number, ()))
        self._files |= files

    def _release(self, names: Iterable[str]) -> None:
        for name in names:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name]
                if BODY_NAME.fullmatch(name):
                    self._batch.unlink.append(name)

    def _put(self, kind: bytes, payload: bytes) -> tuple[_Segment, int]:
        """Put a frame where the next flush takes it; returns where its payload is."""
        segment = self._current(HEADER.size + len(payload))
        place = Place(self.spool, segment.number, segment.end)
        frame = b"".join(build(kind, place, [payload], segment.flushed))
        self._batch.writes.append((segment, segment.end, frame))
        segment.end += len(frame)
        return segment, segment.end - len(payload)

    def _current(self, length: int) -> _Segment:
        current = self._segments[-1] if self._segments else None
        fits = current is not None and current.end + length <= self._segment_bytes
        if current is not None and current.descriptor >= 0 and fits:
            return current
        fresh = self._spare or self._new_segment()
        self._spare = None
        self._segments.append(fresh)
        told: dict[str, object] = {"next": self._next_number}
        if self._is_first:
            told["first"], self._is_first = True, False
        elif current is not None:
            # Else nothing would tell so: what is ended from here on may take its body along.
            told["before"] = [current.number, current.flushed]
        self._put(SEGMENT, document(told))
        return fresh

    def _new_segment(self) -> _Segment:
        number, self._next_file = self._next_file, self._next_file + 1
        path = self.directory / f"segment-{number}"
        descriptor = self._disk.create(path, self._segment_bytes)
        self._disk.sync_directory(self.directory)
        return _Segment(number, descriptor)

    # To the disk

    async def flush(self) -> None:
        """Return when all that was put so far is on the disk; shared with others who wait.

        Raises SpoolFailed, now and ever after: what the kernel has failed to write once, it may
        have forgotten.
        """
        self._check()
        batch = self._batch
        with trio.CancelScope(shield=True):
            while not batch.done.is_set():
                if self._writing:
                    await self._turn.wait()
                    continue
                self._writing = True
                try:
                    await self._write(batch)
                finally:
                    self._writing = False
                    self._turn.set()
                    self._turn = trio.Event()
        if batch.failed is not None:
            raise batch.failed

    async def _write(self, batch: _Batch) -> None:
        self._batch = _Batch()
        # Only now: what is ended later is not yet on the disk when this batch is.
        outlived = self._outlived()
        ends = {segment.number: segment for segment, _, _ in batch.writes}
        reached = {number: segment.end for number, segment in ends.items()}
        try:
            if self.failed is not None:
                batch.failed = self.failed
            elif batch.writes:
                await trio.to_thread.run_sync(self._write_all, batch)
            for number, segment in ends.items():
                segment.flushed = reached[number]
            names = batch.unlink + [segment.name for segment in outlived]
            if names and not self.failed:
                await trio.to_thread.run_sync(self._unlink, names)
        except OSError as error:
            self.failed = SpoolFailed(f"spool {self.directory}: {error.strerror}")
            batch.failed = self.failed
        for segment in outlived:
            if segment.descriptor >= 0:
                os.close(segment.descriptor)
        self.flushes += 1
        batch.done.set()

    def _write_all(self, batch: _Batch) -> None:
        for segment, start, data in batch.writes:
            self._disk.write(segment.descriptor, data, start)
        for segment in {segment.number: segment for segment, _, _ in batch.writes}.values():
            self._disk.sync(segment.descriptor)

    def _unlink(self, names: Sequence[str]) -> None:
        for name in names:
            self._disk.unlink(self.directory / name)

    def _outlived(self) -> list[_Segment]:
        """The oldest segments, as far as nothing in them is alive."""
        gone: list[_Segment] = []
        while len(self._segments) > 1 and not self._users[self._segments[0].name]:
            gone.append(self._segments.pop(0))
        return gone

    def cramped(self) -> list[int]:
        """Entries that keep the oldest segment, and so all later ones: to be written anew."""
        if len(self._segments) <= MOST_SEGMENTS:
            return []
        oldest = self._segments[0].name
        return [number for number, names in self._files.items() if oldest in names]

    def _check(self) -> None:
        if self.failed is not None:
            raise self.failed

    async def read(self, pieces: Iterable[Piece]) -> list[bytes]:
        """The bytes of a body; raises OSError or, where they are damaged, ValueError."""
        wanted = list(pieces)
        return await trio.to_thread.run_sync(
            lambda: [read_piece(self.directory, piece) for piece in wanted]
        )
