# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Bytes on their way to the store while the program goes on writing."""

import logging
from collections.abc import Awaitable, Callable

import trio

from kontenumfs.protocol.errors import KontenumError, reported
from kontenumfs.store.api import Attributes, Store
from kontenumfs.store.beliefs import Belief
from kontenumfs.store.operation import operation
from kontenumfs.store.tasks import Spawner
from kontenumfs.writing.extents import RemoteObject
from kontenumfs.writing.journal import Journal
from kontenumfs.writing.plan import Bytes
from kontenumfs.writing.upload import Upload

log = logging.getLogger(__name__)


class Outbox:
    """The uploads of one file that are under way.

    Args:
        nursery: they run here.
        done: is called when one has ended, and its memory is free.
        failed: is told the first error; what has not begun yet is not sent then.
    """

    def __init__(
        self,
        nursery: Spawner,
        done: Callable[[], None],
        failed: Callable[[KontenumError], Awaitable[None]],
    ) -> None:
        self._nursery = nursery
        self._done = done
        self._failed = failed
        self._progress = trio.Event()
        self.closed = False
        """Whether what has not begun yet shall not be sent any more."""
        self.under_way = 0
        self.held = 0
        """Bytes of memory that they hold."""

    def send(self, upload: Callable[[Bytes], Awaitable[None]], body: Bytes, held: int) -> None:
        """Start sending `body`, which holds `held` bytes of memory."""
        self.under_way += 1
        self.held += held
        self._nursery.start_soon(self._run, upload, body, held)

    async def _run(
        self, upload: Callable[[Bytes], Awaitable[None]], body: Bytes, held: int
    ) -> None:
        try:
            if not self.closed:
                with operation():
                    await upload(body)
        except Exception as error:
            self.closed = True
            await self._failed(reported(error, "an upload"))
        finally:
            self.under_way -= 1
            self.held -= held
            self._done()
            self._progress.set()
            self._progress = trio.Event()

    async def turn(self, limit: int) -> None:
        """Wait until fewer than `limit` uploads are under way."""
        while self.under_way >= limit:
            await self._progress.wait()

    async def idle(self) -> None:
        """Wait until none is under way."""
        await self.turn(1)


class StagedUpload:
    """A multipart upload that gathers bytes unseen, as an object that ropes can refer to.

    Args:
        upload: the upload itself.
        direct: whether it is the file's own object, and completing it publishes the file.
    """

    def __init__(self, upload: Upload, *, direct: bool) -> None:
        self._upload = upload
        self.object = RemoteObject(upload.key, 0, "")
        self.direct = direct

    @classmethod
    async def begin(
        cls, store: Store, journal: Journal, key: str, attributes: Attributes, *, direct: bool
    ) -> "StagedUpload":
        """Start an upload under `key`."""
        return cls(await Upload.begin(store, journal, key, attributes), direct=direct)

    def take(self, length: int) -> Callable[[Bytes], Awaitable[None]]:
        """A place for the next `length` bytes at the end of the object; returns what sends them."""
        self.object.size += length
        number = self._upload.next_number()
        return lambda body: self._upload.send(number, body.pieces)

    @property
    def parts(self) -> int:
        """How many there are, those included that are on their way."""
        return self._upload.numbers

    async def complete(self, expected: Belief) -> None:
        """Make the object of the parts, which must all have been sent, over what is `expected`."""
        written = await self._upload.complete(expected)
        self.object.etag = written.etag
        log.info(
            "completed key=%r bytes=%d request_id=%s",
            self.object.key,
            self.object.size,
            written.request_id,
        )

    async def abort(self) -> None:
        """Drop the parts."""
        await self._upload.abort()
