# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Request bodies: streamed to a segment file in constant memory, digests checked on the way."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kontenumfs.emulator.auth import Proof
from kontenumfs.emulator.checksums import Digests
from kontenumfs.emulator.chunked import ChunkDecoder
from kontenumfs.emulator.errors import S3Error

BATCH = 1 << 20
"""Bytes gathered before they are hashed and written, off the event loop."""
SMALL = 1 << 16
"""Bytes up to which a thread costs more than the hash."""
AHEAD = 2
"""Batches that may wait for each thread."""
MAX_MESSAGE = 4 << 20
"""Bytes of a body that is held in memory: an XML message."""
MAX_DRAINED = 64 << 20
"""Bytes that are still read after an error."""

Receive = Callable[[], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Received:
    """A body on disk: bytes, its MD5 in hex, and the checksums that were asked for."""

    size: int
    md5: str
    checksums: dict[str, str] = field(default_factory=dict)


class Reader:
    """Raw bytes of a request, as they arrive; to be read once."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False
        self.count = 0
        """Bytes that have arrived."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self._ended:
            message = await self._receive()
            if message["type"] != "http.request":
                self._ended = True
                raise S3Error("IncompleteBody")
            self._ended = not message.get("more_body", False)
            body = message.get("body", b"")
            self.count += len(body)
            if body:
                yield body

    async def drain(self) -> None:
        """Read on after an error, so that the client sees the answer and not a reset."""
        try:
            async for _ in self:
                if self.count > MAX_DRAINED:
                    return
        except S3Error:
            return  # the client has gone: nobody is left to be answered

    async def small(self) -> bytes:
        """All that is left, where it fits into memory; raises S3Error."""
        pieces = []
        async for piece in self:
            pieces.append(piece)
            if self.count > MAX_MESSAGE:
                raise S3Error("EntityTooLarge")
        return b"".join(pieces)


async def read_message(reader: Reader, headers: Mapping[str, str], proof: Proof) -> bytes:
    """A small body, decoded and proven; raises S3Error."""
    data = await reader.small()
    digests = Digests(headers, proof.payload)
    told = dict(headers)
    if proof.is_chunked:
        decoder = ChunkDecoder(proof)
        data = decoder.feed(data)
        decoder.finish()
        told |= decoder.trailers
    digests.update(data)
    digests.check(told, proof.payload, hashlib.md5(data, usedforsecurity=False).digest())
    return data


class _Lane:
    """Work on the batches of one body in a thread, in order, a few batches ahead at most."""

    def __init__(self, work: Callable[[bytes], None]) -> None:
        self._work = work
        self._waiting: list[asyncio.Future[None]] = []
        self._last: asyncio.Task[None] | None = None
        self._room = asyncio.Semaphore(AHEAD)

    async def put(self, batch: bytes) -> None:
        """Queue a batch; waits for room, and raises what an earlier batch raised."""
        await self._room.acquire()
        before = self._last
        if before is not None and before.done():
            before.result()
        self._last = asyncio.create_task(self._run(before, batch))

    async def _run(self, before: asyncio.Task[None] | None, batch: bytes) -> None:
        try:
            if before is not None:
                await before
            await asyncio.get_running_loop().run_in_executor(None, self._work, batch)
        finally:
            self._room.release()

    async def finish(self) -> None:
        """Wait for the last batch; raises what any raised."""
        if self._last is not None:
            await self._last

    async def abandon(self) -> None:
        """Wait until no thread works on this body any more, whatever it raised."""
        if self._last is not None:
            await asyncio.wait([self._last])
            if not self._last.cancelled():
                self._last.exception()


class _Sink:
    """Where the decoded body goes: its MD5 in one thread, the rest and the file in another."""

    def __init__(self, path: Path, headers: Mapping[str, str], proof: Proof) -> None:
        self._digests = Digests(headers, proof.payload)
        self._decoder = ChunkDecoder(proof) if proof.is_chunked else None
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - closed by close()
        self._lanes = (_Lane(self._md5.update), _Lane(self._write))
        self._size = 0

    def _write(self, batch: bytes) -> None:
        self._digests.update(batch)
        self._file.write(batch)

    async def take(self, batch: bytes) -> None:
        """Take the next bytes as they arrived."""
        if self._decoder is not None:
            if len(batch) <= SMALL:
                batch = self._decoder.feed(batch)
            else:
                loop = asyncio.get_running_loop()
                batch = await loop.run_in_executor(None, self._decoder.feed, batch)
        self._size += len(batch)
        for lane in self._lanes:
            await lane.put(batch)

    def take_small(self, batch: bytes) -> None:
        """The same for a body that is complete with it, and too small for a thread."""
        if self._decoder is not None:
            batch = self._decoder.feed(batch)
        self._size += len(batch)
        self._md5.update(batch)
        self._write(batch)

    async def finish(self, headers: Mapping[str, str], proof: Proof, *, durable: bool) -> Received:
        """Wait for the threads, and compare what came with what was announced."""
        for lane in self._lanes:
            await lane.finish()
        told = dict(headers)
        length = headers.get("content-length")
        if self._decoder is not None:
            self._decoder.finish()
            told |= self._decoder.trailers
            length = headers.get("x-amz-decoded-content-length")
        if length is not None and length != str(self._size):
            raise S3Error("IncompleteBody")
        checksums = self._digests.check(told, proof.payload, self._md5.digest())
        if durable:
            await asyncio.get_running_loop().run_in_executor(None, os.fsync, self._file.fileno())
        return Received(self._size, self._md5.hexdigest(), checksums)

    async def close(self) -> None:
        """Let the file go, once no thread writes to it."""
        for lane in self._lanes:
            await lane.abandon()
        self._file.close()


async def save(
    reader: Reader, headers: Mapping[str, str], proof: Proof, path: Path, *, durable: bool
) -> Received:
    """Write a body to `path`, complete and proven; raises S3Error, and leaves no file then."""
    sink = _Sink(path, headers, proof)
    try:
        try:
            pieces: list[bytes] = []
            amount = 0
            began = False
            async for piece in reader:
                pieces.append(piece)
                amount += len(piece)
                if amount >= BATCH:
                    # In one piece: a thread takes the interpreter's lock once for each.
                    await sink.take(b"".join(pieces))
                    pieces, amount, began = [], 0, True
            if began or amount > SMALL:
                await sink.take(b"".join(pieces))
            else:
                sink.take_small(b"".join(pieces))
            return await sink.finish(headers, proof, durable=durable)
        finally:
            await sink.close()
    except BaseException:
        path.unlink(missing_ok=True)
        raise
