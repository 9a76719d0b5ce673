# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Whether an object that nobody can read holds certain bytes at a certain place.

UploadPartCopy answers the MD5 of what it copied (AWS, "Checking object integrity": the ETag of
what is not encrypted by KMS): the range is copied into an upload that is never completed.
"""

import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import trio

from kontenumfs.protocol.errors import KontenumError, NotFound, StoreError
from kontenumfs.store.api import Attributes, Body, ObjectInfo, Store
from kontenumfs.store.beliefs import believed
from kontenumfs.store.operation import cleaning_up
from kontenumfs.store.tasks import open_flat_nursery

log = logging.getLogger(__name__)

MOST_PLACES = 96
"""Places that one search looks at: more would be slower than telling the writer."""
SIDE_BY_SIDE = 8
ABORT_SECONDS = 5.0


def places(start: int, end: int, length: int) -> tuple[list[int], bool]:
    """Return where bytes appended between `start` and `end` may be, the likeliest first.

    Lines of one log are often of one length. Returns the places, and whether these are all.
    """
    last = end - length
    likely = [start, last, *range(start, last + 1, length)]
    found = list(
        dict.fromkeys([*likely[: MOST_PLACES // 2], *range(start, last + 1)][:MOST_PLACES])
    )
    return found, len(found) == last - start + 1


class Search:
    """Asks a store for the digests of ranges.

    Args:
        store: whose UploadPartCopy is proven to answer the MD5 of the range.
        new_key: a key for a helper that nobody else has.
    """

    def __init__(self, store: Store, new_key: Callable[[], str]) -> None:
        self._store = store
        self._new_key = new_key

    async def find(self, key: str, body: Body, offsets: Iterable[int]) -> int | None:
        """Return the first of `offsets` at which the object has the bytes of `body`, or None.

        Bytes that are there stay there while others append. Raises what the store reports.
        """
        wanted = hashlib.md5(usedforsecurity=False)
        length = 0
        for piece in body:
            wanted.update(piece)
            length += len(piece)
        limit = trio.CapacityLimiter(SIDE_BY_SIDE)
        hits: list[int] = []

        async def look(number: int, offset: int, helper: str, upload_id: str) -> None:
            async with limit:
                if hits:
                    return
                part = await self._store.upload_part_copy(
                    helper, upload_id, number, key, first=offset, last=offset + length - 1
                )
                if part.etag == wanted.hexdigest():
                    hits.append(offset)

        async with self._helper() as (helper, upload_id), open_flat_nursery() as nursery:
            for number, offset in enumerate(offsets, 1):
                nursery.start_soon(look, number, offset, helper, upload_id)
        return hits[0] if hits else None

    async def has(self, key: str, body: Body, offsets: Iterable[int]) -> bool | None:
        """Tell whether the object has the bytes of `body` at one of `offsets`.

        Returns None where it has gone or become shorter. Raises what else the store reports.
        """
        try:
            return await self.find(key, body, offsets) is not None
        except NotFound:
            return None
        except StoreError as error:
            if _is_out_of_range(error):
                return None
            raise

    async def begin_alike(self, one: ObjectInfo, other: ObjectInfo, length: int) -> bool:
        """Tell whether the first `length` bytes of two objects are the same.

        Raises what the store reports, one of REFUSED where an object has changed since.
        """
        async with self._helper() as (helper, upload_id):
            found = [
                await self._store.upload_part_copy(
                    helper,
                    upload_id,
                    number,
                    info.key,
                    first=0,
                    last=length - 1,
                    expected=believed(info.etag, info.size),
                )
                for number, info in enumerate((one, other), 1)
            ]
        return found[0].etag == found[1].etag

    @asynccontextmanager
    async def _helper(self) -> AsyncIterator[tuple[str, str]]:
        """Begin an upload that is never completed: its key and id."""
        helper = self._new_key()
        upload_id = await self._store.create_multipart(helper, Attributes())
        try:
            yield helper, upload_id
        finally:
            with cleaning_up(ABORT_SECONDS):
                await self._abort(helper, upload_id)

    async def _abort(self, helper: str, upload_id: str) -> None:
        try:
            await self._store.abort_multipart(helper, upload_id)
        except KontenumError as error:
            log.warning("multipart upload left behind: key=%r (%s)", helper, error)


def _is_out_of_range(error: StoreError) -> bool:
    """Tell whether the object has become shorter than what was asked of it."""
    return error.status == 416 or error.code == "InvalidRange"
