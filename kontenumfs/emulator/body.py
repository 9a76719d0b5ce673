# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Request bodies: streamed to a segment file in constant memory, digests checked on the way.

A large body goes through a few blocks of memory, each in one pair of hands at a time: the event
loop fills it, one thread decodes and writes it, another takes its MD5 and gives it back. MD5 is the
slowest, so its thread takes the next block without asking the event loop.
"""

import asyncio
import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from kontenumfs.emulator.auth import Proof
from kontenumfs.emulator.checksums import Digests
from kontenumfs.emulator.chunked import ChunkDecoder
from kontenumfs.emulator.errors import S3Error
from kontenumfs.emulator.reader import BLOCK, SMALL, Reader

BLOCKS = 4
"""One that is filled, one that is written, one that is hashed, and one that waits."""

_threads = ThreadPoolExecutor(thread_name_prefix="body")


@dataclass(frozen=True, slots=True)
class Received:
    """A body on disk: bytes, its MD5 in hex, and the checksums that were asked for."""

    size: int
    md5: str
    checksums: dict[str, str] = field(default_factory=dict)


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


class _Blocks:
    """The memory of one body; waits where all of it is in use."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._made = 0
        self._free: asyncio.Queue[memoryview] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    async def get(self) -> memoryview:
        """A block to be filled."""
        if self._free.empty() and self._made < BLOCKS:
            self._made += 1
            return memoryview(bytearray(self._size))
        return await self._free.get()

    def give_back(self, block: memoryview) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(self._free.put_nowait, block)

    async def all_back(self) -> None:
        """Wait until no thread has any of them."""
        while self._made:
            await self._free.get()
            self._made -= 1


_Job = TypeVar("_Job")


class _Lane(Generic[_Job]):
    """Work on one body, in order, in one thread at a time, which is let go when there is none."""

    def __init__(self, work: Callable[[_Job], None]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._waiting: deque[_Job] = deque()
        self._runs = False

    def put(self, job: _Job) -> None:
        """From any thread."""
        with self._lock:
            self._waiting.append(job)
            if self._runs:
                return
            self._runs = True
        _threads.submit(self._run)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._runs = False
                    return
                job = self._waiting.popleft()
            self._work(job)


class _Sink:
    """Where a body goes: decoded and proven, into its file, and into its digests."""

    def __init__(self, path: Path, headers: Mapping[str, str], proof: Proof, size: int) -> None:
        self.blocks = _Blocks(size)
        self._digests = Digests(headers, proof.payload)
        self._decoder = ChunkDecoder(proof) if proof.is_chunked else None
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._size = 0
        self._error: Exception | None = None
        self._writing = _Lane(self._write_block)
        self._hashing = _Lane(self._hash_block)
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - closed by close()

    def put(self, block: memoryview, count: int) -> None:
        """Take the first bytes of a block of `blocks`; raises what an earlier one met with."""
        if self._error is not None:
            self.blocks.give_back(block)
            raise self._error
        self._writing.put((block, count))

    def put_small(self, data: memoryview) -> None:
        """Take a whole body that is too small for a thread."""
        self._md5.update(self._write(data))

    def _write(self, data: memoryview) -> memoryview:
        """Decode and write; returns what was written."""
        if self._decoder is not None:
            data = memoryview(self._decoder.feed(data))
        self._size += len(data)
        self._digests.update(data)
        written = 0
        while written < len(data):
            written += self._file.write(data[written:])
        return data

    def _write_block(self, job: tuple[memoryview, int]) -> None:
        block, count = job
        try:
            if self._error is None:
                self._hashing.put((block, self._write(block[:count])))
                return
        except Exception as error:
            self._error = error
        self.blocks.give_back(block)

    def _hash_block(self, job: tuple[memoryview, memoryview]) -> None:
        block, data = job
        self._md5.update(data)
        self.blocks.give_back(block)

    async def finish(self, headers: Mapping[str, str], proof: Proof, *, durable: bool) -> Received:
        """Wait for the threads, and compare what came with what was announced."""
        await self.blocks.all_back()
        if self._error is not None:
            raise self._error
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
        await self.blocks.all_back()
        self._file.close()


async def save(
    reader: Reader, headers: Mapping[str, str], proof: Proof, path: Path, *, durable: bool
) -> Received:
    """Write a body to `path`, complete and proven; raises S3Error, and leaves no file then."""
    # A byte more than the body has, so that its end shows when it has filled one block.
    size = min(BLOCK, int(headers.get("content-length", BLOCK)) + 1)
    sink = _Sink(path, headers, proof, size)
    try:
        try:
            await _pass(reader, sink)
            return await sink.finish(headers, proof, durable=durable)
        finally:
            await sink.close()
    except BaseException:
        path.unlink(missing_ok=True)
        raise


async def _pass(reader: Reader, sink: _Sink) -> None:
    """Give a whole body to its sink."""
    ended = False
    while not ended:
        block = await sink.blocks.get()
        try:
            count = await reader.fill(block)
        except BaseException:
            sink.blocks.give_back(block)
            raise
        ended = count < len(block)
        if ended and reader.count <= SMALL:
            sink.blocks.give_back(block)
            sink.put_small(block[:count])
        else:
            sink.put(block, count)
