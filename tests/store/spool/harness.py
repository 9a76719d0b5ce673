# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A spool over a store in memory, and what its queue amounts to, worked out naively."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from kontenumfs.store.api import Store
from kontenumfs.store.spool.entries import Entry, Kind
from kontenumfs.store.spool.recovery import read_piece
from kontenumfs.store.spool.sending import Placed
from kontenumfs.store.spool.spool import Spool, SpoolOptions
from tests.doubles.fake import FakeStore

SIZE = 1 << 30
WHOSE = {"bucket": "bucket", "prefix": ""}


def open_spool(
    store: Store,
    place: Path,
    *,
    size: int = SIZE,
    deadline: float = 30.0,
    is_spooled: Callable[[str], bool] = lambda key: True,
    placed: Placed | None = None,
) -> Spool:
    """A spool that is open; nothing is sent before it runs."""
    place.mkdir(mode=0o700, exist_ok=True)
    options = SpoolOptions(size, deadline=deadline, is_spooled=is_spooled)
    spool = Spool(store, place, WHOSE, options, placed=placed)
    spool.open()
    return spool


@asynccontextmanager
async def sending(spool: Spool) -> AsyncIterator[None]:
    """The spool sends in the block, and stops after it, whatever is left."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spool.runner.run)
        yield
        nursery.cancel_scope.cancel()


async def drained(spool: Spool) -> int:
    """Send what can be sent; returns how many entries are left."""
    async with sending(spool):
        return await spool.drain(60)


def content(spool: Spool, fake: FakeStore, key: str, before: float = math.inf) -> bytes:
    """The bytes that a key will have."""
    entries = [e for e in spool.queue if e.key == key and e.number < before]
    if not entries:
        return fake.data(key)
    return _made(spool, fake, entries[-1])


def _made(spool: Spool, fake: FakeStore, entry: Entry) -> bytes:
    directory = spool.journal.directory
    body = b"".join(read_piece(directory, piece) for piece in entry.pieces)
    match entry.kind:
        case Kind.PUT:
            return body
        case Kind.APPEND:
            # It may be in the store already, though the spool does not know yet.
            base = entry.size - len(body)
            return (content(spool, fake, entry.key, entry.number)[:base] if base else b"") + body
        case Kind.COPY | Kind.COMPOSE:
            return b"".join(content(spool, fake, s, entry.number) for s in entry.sources)
        case Kind.COMPLETE:
            parts = fake.uploads[entry.upload_id].parts
            return b"".join(parts[part.number].data for part in entry.parts)
        case _:
            raise KeyError(entry.key)
