# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A store that acknowledges when the local disk has it, around one that takes its time."""

from collections.abc import Mapping, Sequence

from cachetools import LRUCache

from kontenumfs.protocol.dialect import MAX_COMPONENTS
from kontenumfs.protocol.errors import (
    InvalidRequest,
    KeyTooLong,
    NoSuchKey,
    PreconditionFailed,
)
from kontenumfs.protocol.names import MAX_KEY_BYTES
from kontenumfs.store.api import (
    Attributes,
    Body,
    ListPage,
    ObjectInfo,
    Part,
    Upload,
    Written,
)
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, Version
from kontenumfs.store.spool.entries import Entry, Kind
from kontenumfs.store.spool.spool import Make, Spool
from kontenumfs.store.spool.uploads import Uploads
from kontenumfs.store.tasks import each

SEEN = 16_384
"""Objects whose attributes are remembered, so that an append to one need not ask for them."""


class SpoolStore:
    """See `store.api.Store` for the promises, but for one: a change is on the local disk when its
    method returns, and in the store later; what is asked here is answered as if it were there.

    A belief in what is queued is judged at once. One in what only the store knows is judged when
    the request gets there: where another writer was there first, it is parked.

    Args:
        spool: is open.
    """

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self._inner = spool.store
        self.bucket = self._inner.bucket
        self._uploads = Uploads()
        self._seen: LRUCache[str, Attributes] = LRUCache(SEEN)

    def request_id(self, key: str) -> str:
        """See Store."""
        return self._inner.request_id(key)

    async def head_bucket(self) -> None:
        """See Store."""
        await self._inner.head_bucket()

    async def head(self, key: str) -> ObjectInfo:
        """See Store."""
        last = self.spool.queue.last(key)
        if last is not None and last.kind is Kind.APPEND and key in self._seen:
            state = self.spool.queue.state(key)
            if state is not None and state.attributes is None:
                return self.spool.overlay.told(key, state, self._seen[key])
        info = await self.spool.overlay.head(key)
        if info.attributes is not None:
            self._seen[key] = info.attributes
        return info

    async def list_page(
        self,
        prefix: str = "",
        *,
        delimiter: str = "",
        max_keys: int = 1000,
        token: str | None = None,
        start_after: str = "",
    ) -> ListPage:
        """See Store."""
        return await self.spool.overlay.list_page(
            prefix, delimiter=delimiter, max_keys=max_keys, token=token, start_after=start_after
        )

    # Changes

    async def _change(self, key: str, make: Make, body: Body = ()) -> Written:
        if len(key.encode()) > MAX_KEY_BYTES:
            raise KeyTooLong(code="KeyTooLongError", status=400, operation="spool", resource=key)
        spool = self.spool
        length = sum(len(piece) for piece in body)
        if spool.options.is_spooled(key) and spool.holds(length):
            entry = await spool.acknowledge(make, body)
        else:
            entry = await spool.through(make, body)
        return Written(spool.tokens.of(entry.number), "")

    async def put(
        self,
        key: str,
        body: Body,
        attributes: Attributes,
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """See Store."""
        size = sum(len(piece) for piece in body)

        def make() -> Entry:
            link = self.spool.link(key, expected)
            return Entry(0, Kind.PUT, key, link, attributes=attributes, size=size)

        return await self._change(key, make, body)

    async def append(
        self,
        key: str,
        body: Body,
        *,
        expected: Belief = UNKNOWN,
        attributes: Attributes | None = None,
    ) -> Written:
        """See Store; with `attributes` the end may be elsewhere by then, for others append too."""
        length = sum(len(piece) for piece in body)
        while True:
            base = expected if expected is not UNKNOWN else await self._now(key)

            def make(base: Belief = base) -> Entry:
                link = self.spool.link(key, base)
                size = length + (base.size if isinstance(base, Version) else 0)
                shared = attributes is not None
                return Entry(
                    0, Kind.APPEND, key, link, attributes=attributes, size=size, shared=shared
                )

            try:
                return await self._change(key, make, body)
            except PreconditionFailed:
                if expected is not UNKNOWN:
                    raise

    async def _now(self, key: str) -> Belief:
        try:
            info = await self.head(key)
        except NoSuchKey:
            return ABSENT
        return Version(info.etag, info.size)

    async def compose(self, key: str, components: Sequence[str], attributes: Attributes) -> Written:
        """See Store."""
        if not 1 <= len(components) <= MAX_COMPONENTS:
            raise InvalidRequest(
                code="InvalidRequest", status=400, operation="ComposeObject", resource=key
            )
        sizes: dict[str, int] = {}

        async def look(source: str) -> None:
            sizes[source] = (await self.head(source)).size

        await each(look, [(source,) for source in dict.fromkeys(components)])
        size = sum(sizes[source] for source in components)

        def make() -> Entry:
            self.spool.link(key, UNKNOWN)
            for source in components:
                self._require(source)
            return Entry(
                0, Kind.COMPOSE, key, sources=tuple(components), attributes=attributes, size=size
            )

        return await self._change(key, make)

    def _require(self, source: str) -> None:
        """Raise NoSuchKey for a source that is queued to be deleted."""
        state = self.spool.queue.state(source)
        if state is not None:
            self.spool.overlay.told(source, state)

    async def copy(
        self,
        source: str,
        target: str,
        attributes: Attributes | None = None,
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """See Store."""
        return await self.copy_over(source, target, attributes, expected=expected, over=UNKNOWN)

    async def copy_over(
        self,
        source: str,
        target: str,
        attributes: Attributes | None = None,
        *,
        expected: Belief,
        over: Belief,
    ) -> Written:
        """Copy as `copy` does, over what is believed of the target and nothing else."""
        if source == target and attributes is None:
            return await self._inner.copy(source, target)  # which refuses it
        known = expected if isinstance(expected, Version) else None
        if known is None or attributes is None:
            info = await self.head(source)
            known = known or Version(info.etag, info.size)
            attributes = info.attributes if attributes is None else attributes
        size = known.size

        def make() -> Entry:
            replaced = self.spool.link(target, over)
            self._require(source)
            # Whoever has no belief of the source believes in what is queued, or in anything.
            belief = self.spool.link(source, expected, changes=False)
            return Entry(
                0,
                Kind.COPY,
                target,
                belief if source == target else replaced,
                sources=(source,),
                source_expected=belief,
                attributes=attributes,
                size=size,
            )

        return await self._change(target, make)

    async def delete(self, key: str, *, expected: Belief = UNKNOWN) -> bool:
        """See Store; whether another host deletes the same meanwhile is not known yet."""
        await self._change(key, lambda: self._deletion(key, expected))
        return True

    def _deletion(self, key: str, expected: Belief) -> Entry:
        return Entry(0, Kind.DELETE, key, self.spool.link(key, expected))

    async def delete_many(self, keys: Mapping[str, Belief]) -> dict[str, str]:
        """See Store; what is refused later is parked."""
        failed: dict[str, str] = {}
        spool = self.spool

        async def delete(key: str, expected: Belief) -> None:
            try:
                await self.delete(key, expected=expected)
            except PreconditionFailed as error:
                failed[key] = error.code

        spooled = []
        for key, expected in keys.items():
            if spool.options.is_spooled(key):
                try:
                    spool.link(key, expected)
                except PreconditionFailed as error:
                    failed[key] = error.code
                else:
                    spooled.append((key, expected))
        direct = [(key, e) for key, e in keys.items() if not spool.options.is_spooled(key)]
        await each(delete, [*direct, *spooled])
        return failed

    # Uploads, which nobody sees before they are completed

    async def create_multipart(self, key: str, attributes: Attributes) -> str:
        """See Store; the parts go to the store as they come."""
        upload_id = await self._inner.create_multipart(key, attributes)
        self._uploads.begun(upload_id, key, attributes)
        return upload_id

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body) -> Part:
        """See Store."""
        part = await self._inner.upload_part(key, upload_id, number, body)
        self._uploads.sent(upload_id, part, sum(len(piece) for piece in body))
        return part

    async def upload_part_copy(
        self,
        key: str,
        upload_id: str,
        number: int,
        source: str,
        *,
        first: int,
        last: int,
        expected: Belief = UNKNOWN,
    ) -> Part:
        """See Store; the source is stored first, where it is queued."""
        self.spool.link(source, expected, changes=False)
        await self.spool.settled(source)
        belief = self.spool.concrete(source, expected)
        part = await self._inner.upload_part_copy(
            key,
            upload_id,
            number,
            source,
            first=first,
            last=last,
            expected=belief,
        )
        self._uploads.sent(upload_id, part, last + 1 - first)
        return part

    async def complete_multipart(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[Part],
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """See Store."""
        known = self._uploads.completed(key, upload_id, parts)
        if known is None:
            await self.spool.settled(key)
            belief = self.spool.concrete(key, expected)
            return await self._inner.complete_multipart(key, upload_id, parts, expected=belief)
        size, attributes = known

        def make() -> Entry:
            return Entry(
                0,
                Kind.COMPLETE,
                key,
                self.spool.link(key, expected),
                attributes=attributes,
                size=size,
                upload_id=upload_id,
                parts=tuple(parts),
            )

        return await self._change(key, make)

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """See Store; one that is queued to be completed stays."""
        for number in self.spool.queue.touching(key):
            entry = self.spool.queue.get(number)
            if entry is not None and entry.upload_id == upload_id:
                return
        await self._inner.abort_multipart(key, upload_id)
        self._uploads.ended(upload_id)

    async def list_uploads(self, prefix: str) -> list[Upload]:
        """See Store."""
        return await self._inner.list_uploads(prefix)

    async def aclose(self) -> None:
        """See Store; the spool is closed by whoever has opened it."""
        await self._inner.aclose()
