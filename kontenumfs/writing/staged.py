# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Bytes that are gathered where nobody sees them, before their file is closed."""

import logging
from collections.abc import Awaitable, Callable
from itertools import islice
from math import inf

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import FileTooLarge, Unsupported
from kontenumfs.store.api import Attributes, Store
from kontenumfs.store.beliefs import ABSENT, Belief
from kontenumfs.writing.execute import PlanRunner
from kontenumfs.writing.extents import Range, RemoteObject, Rope, whole
from kontenumfs.writing.journal import Journal
from kontenumfs.writing.metadata import Carried, Draft
from kontenumfs.writing.segments import segments, short_hole
from kontenumfs.writing.steps import ZERO_BLOCK, Bytes
from kontenumfs.writing.transfers import Batch, Route, Transfer
from kontenumfs.writing.upload import Upload

log = logging.getLogger(__name__)


class StagedUpload:
    """A multipart upload as an object that ropes can refer to.

    Args:
        upload: the upload itself.
        direct: what it was begun with, where it is the file's own object, and completing it
            publishes the file; None for a helper.
    """

    def __init__(self, upload: Upload, direct: Carried | None) -> None:
        self._upload = upload
        self.object = RemoteObject(upload.key, 0, "")
        self.direct = direct

    @classmethod
    async def begin(
        cls, store: Store, journal: Journal, key: str, direct: Carried | None
    ) -> "StagedUpload":
        """Start an upload under `key`."""
        attributes = direct.attributes if direct is not None else Attributes()
        return cls(await Upload.begin(store, journal, key, attributes), direct)

    def take(self, body: Bytes) -> Callable[[], Awaitable[None]]:
        """Give `body` its place at the end of the object; returns what sends it."""
        self.object.size += body.length
        number = self._upload.next_number()
        return lambda: self._upload.send(number, body.pieces)

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


class Gathering:
    """The helper objects of one file, and the upload that may become another one.

    Args:
        chunk_size: bytes that are sent at once.
    """

    def __init__(self, runner: PlanRunner, limits: Limits, *, chunk_size: int) -> None:
        self._runner = runner
        self._limits = limits
        self._chunk_size = chunk_size
        self.upload: StagedUpload | None = None
        self.helpers: list[RemoteObject] = []

    async def take(self, rope: Rope, route: Route, draft: Draft) -> Batch:
        """Take all bytes that are here only out of `rope`; they become the upload's."""
        upload, limits = await self._open(route, draft), self._limits
        held = rope.literal
        rope.fill_holes(ZERO_BLOCK, short_hole(rope))
        length = rope.literal
        body = Bytes(tuple(rope.gather(upload.object, upload.object.size)), length)
        # Zeros take no memory, but a part that is all but zeros takes its time.
        count = max(1, length // max(held, self._chunk_size, limits.min_part))
        count = min(count, limits.max_parts - upload.parts)
        transfers = [Transfer(upload.take(part), part.weight) for part in body.split(count)]
        return Batch(transfers, ends_upload=length < limits.min_part and not upload.direct)

    async def _open(self, route: Route, draft: Draft) -> StagedUpload:
        if self.upload is None:
            # No mtime-size can be right yet; without an mtime, LastModified tells it.
            direct = draft.carry(0) if route is Route.DIRECT else None
            key = self._runner.new_key() if direct is None else draft.key
            store, journal = self._runner.store, self._runner.journal
            self.upload = await StagedUpload.begin(store, journal, key, direct)
        return self.upload

    def must_end(self, key: str) -> bool:
        """Tell whether the upload has so many parts that another must begin: joined at the end.

        Raises FileTooLarge where the store joins none; `key` is the file's.
        """
        upload, most = self.upload, self._limits.max_parts
        if upload is None or upload.parts < most // 2:
            return False
        if upload.direct is not None and upload.parts >= most - 1:
            raise FileTooLarge(
                f"{key!r}: this store joins no uploads, and one has at most "
                f"{most} parts: mount with a larger chunk_size"
            )
        return upload.direct is None

    async def end(self, expected: Belief) -> StagedUpload:
        """Make an object of the upload, whose parts are all sent; a direct one over `expected`."""
        upload = self.upload
        assert upload is not None
        await upload.complete(ABSENT if upload.direct is None else expected)
        if upload.direct is None:
            self.helpers.append(upload.object)
        self.upload = None
        return upload

    async def send_rest(self, rope: Rope, key: str) -> Rope:
        """Send what follows the parts of the upload as the last one; returns the rope then.

        Raises Unsupported where the upload is the object itself, `key`, and the rope is not that.
        """
        upload = self.upload
        assert upload is not None
        match list(islice(segments(rope, inf if upload.direct else None), 3)):
            case [Range() as sent] if sent.source is upload.object and sent.whole:
                pass
            case [Range() as sent, Bytes() as body] if sent.source is upload.object and sent.whole:
                await upload.take(body)()
                return whole(upload.object)
            case _ if upload.direct:
                raise Unsupported(
                    f"{key!r}: bytes that were sent already were written again, and "
                    "this store cannot join them; the object is unchanged"
                )
        return rope

    async def drop_helpers(self) -> None:
        """Delete the helper objects, which nothing refers to any more."""
        helpers, self.helpers = self.helpers, []
        await self._runner.discard(helpers)

    async def discard(self) -> None:
        """Drop all that was gathered."""
        upload, self.upload = self.upload, None
        if upload is not None:
            await self._runner.drop(upload)
        if self.helpers:
            await self.drop_helpers()
