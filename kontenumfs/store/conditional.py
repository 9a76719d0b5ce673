# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A store on which every belief counts, whatever the one behind it makes of conditions.

It is the one owner of "every request says what it believes": the beliefs go along as conditions,
unless it is proven that the store passes over them; then a look right before the request takes
their place. What is left to chance then, and only then, is the moment between the two.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence

import trio

from kontenumfs.protocol.errors import (
    DeadlineExceeded,
    NotImplementedByStore,
    PreconditionFailed,
    StoreError,
)
from kontenumfs.store.api import (
    Attributes,
    Body,
    ListPage,
    ObjectInfo,
    Part,
    Store,
    Upload,
    Written,
)
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, Version, plain_etag
from kontenumfs.store.calls import multipart_etag
from kontenumfs.store.capabilities import ProvenCapabilities
from kontenumfs.store.proof import Verb, target_condition
from kontenumfs.store.settling import LOST, Intent, Settler
from kontenumfs.store.tasks import each
from kontenumfs.store.uploads import Uploads
from kontenumfs.store.wire import hashed

PARALLEL_LOOKS = 8
"""Keys of one DeleteObjects that are looked at side by side."""
CLOCK_SECONDS = 2.0
"""By how much the store's clock may be behind ours, where a time must tell whose an object is."""


class ConditionalStore:
    """See `store.api.Store` for the promises; this keeps those about beliefs on any store.

    - A belief that is wrong is PreconditionFailed (ObjectVanished: nothing is there), with
      `found` telling what is there instead.
    - A put or a complete that rests on a belief and whose answer was lost is settled here, by
      what the key has then; so is a delete. An append is not: its bytes cannot be seen.
    - ``append`` and ``compose`` reach no store that was not proven to know them: it would take
      them for a replacement of the object.

    Args:
        inner: the store behind it.
        capabilities: what that one is proven to do.
        deadline: seconds that one call may take.
        uniform: a random number between two others; injected by tests.
        wall: the time of day in seconds since the epoch.
    """

    def __init__(
        self,
        inner: Store,
        capabilities: ProvenCapabilities,
        *,
        deadline: float = 60.0,
        uniform: Callable[[float, float], float] = random.uniform,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.bucket = inner.bucket
        self._inner = inner
        self._capabilities = capabilities
        self._deadline = deadline
        self._wall = wall
        self._settler = Settler(inner, capabilities, deadline=deadline, uniform=uniform)
        self._uploads = Uploads(inner, deadline=deadline, uniform=uniform)

    def request_id(self, key: str) -> str:
        """See Store."""
        return self._inner.request_id(key)

    async def head_bucket(self) -> None:
        """See Store."""
        await self._inner.head_bucket()

    async def head(self, key: str) -> ObjectInfo:
        """See Store."""
        return await self._inner.head(key)

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
        return await self._inner.list_page(
            prefix, delimiter=delimiter, max_keys=max_keys, token=token, start_after=start_after
        )

    async def put(
        self,
        key: str,
        body: Body,
        attributes: Attributes,
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """See Store; a lost answer is settled by asking whose object is there."""
        verb = target_condition(expected, Verb.PUT_ABSENT, Verb.PUT_MATCH)
        if verb is None:
            return await self._inner.put(key, body, attributes)
        began = self._wall()
        size = sum(len(piece) for piece in body)

        async def is_ours(info: ObjectInfo | None) -> bool:
            if info is None or info.size != size:
                return False
            is_same = plain_etag(info.etag) == (await hashed("md5", body)).hex()
            if not is_same and self._capabilities.known.digest and _is_md5(info.etag):
                return False
            return self._is_like(info, attributes, began, is_same=is_same)

        return await self._settler.settle(
            Intent(verb, key, expected, is_ours),
            lambda belief: self._inner.put(key, body, attributes, expected=belief),
        )

    async def append(
        self,
        key: str,
        body: Body,
        *,
        expected: Belief = UNKNOWN,
        attributes: Attributes | None = None,
    ) -> Written:
        """See Store; a lost answer is the caller's to settle."""

        async def send(belief: Belief) -> Written:
            return await self._inner.append(key, body, expected=belief, attributes=attributes)

        with trio.move_on_after(self._deadline):
            if not (await self._capabilities.get("append")).append:
                raise _unproven("AppendObject", key)
            verb = target_condition(expected, Verb.APPEND_ABSENT, Verb.APPEND_MATCH)
            if verb is None:
                return await send(UNKNOWN)
            return await self._settler.settle(Intent(verb, key, expected), send)
        raise DeadlineExceeded(f"append to {key!r}: no answer within {self._deadline:g} s")

    async def compose(self, key: str, components: Sequence[str], attributes: Attributes) -> Written:
        """See Store."""
        with trio.move_on_after(self._deadline):
            if not (await self._capabilities.get("compose")).compose:
                raise _unproven("ComposeObject", key)
            return await self._inner.compose(key, components, attributes)
        raise DeadlineExceeded(f"compose {key!r}: no answer within {self._deadline:g} s")

    async def copy(
        self,
        source: str,
        target: str,
        attributes: Attributes | None = None,
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """See Store."""

        async def send(belief: Belief) -> Written:
            return await self._inner.copy(source, target, attributes, expected=belief)

        if not isinstance(expected, Version):
            return await send(UNKNOWN)
        return await self._settler.settle(Intent(Verb.COPY_SOURCE, source, expected), send)

    async def delete(self, key: str, *, expected: Belief = UNKNOWN) -> bool:
        """See Store; where the answer was lost, what is there now decides."""
        if expected is UNKNOWN:
            return await self._inner.delete(key)
        if expected is ABSENT:
            await self._settler.look(key, ABSENT)
            return False
        is_ours = False

        async def is_gone(info: ObjectInfo | None) -> bool:
            return info is None

        async def send(belief: Belief) -> Written:
            nonlocal is_ours
            try:
                is_ours |= await self._inner.delete(key, expected=belief)
            except (*LOST, trio.Cancelled):
                is_ours = True  # perhaps
                raise
            return Written("", "")

        intent = Intent(Verb.DELETE_MATCH, key, expected, is_gone, always=True)
        await self._settler.settle(intent, send)
        return is_ours

    async def delete_many(self, keys: Mapping[str, Belief]) -> dict[str, str]:
        """See Store."""
        believed = {key: belief for key, belief in keys.items() if belief is not UNKNOWN}
        if not believed:
            return await self._inner.delete_many(keys)
        # What is deleted wrongly is gone: here nothing is relied on before it is proven.
        known = await self._capabilities.get(Verb.DELETE_MANY_MATCH)
        if not known.condition(Verb.DELETE_MANY_MATCH):
            plain = {key: UNKNOWN for key, belief in keys.items() if belief is UNKNOWN}
            failed = await self._inner.delete_many(plain) if plain else {}
            return {**failed, **await self._delete_each(believed)}
        failed = await self._inner.delete_many(keys)
        # What was refused is asked for by itself: a refusal may be false, or the key be gone.
        doubted = {key: keys[key] for key in failed if key in believed}
        failed = {key: code for key, code in failed.items() if key not in doubted}
        return {**failed, **await self._delete_each(doubted)}

    async def _delete_each(self, keys: Mapping[str, Belief]) -> dict[str, str]:
        """Delete one by one; returns what delete_many does."""
        failed: dict[str, str] = {}
        limit = trio.CapacityLimiter(PARALLEL_LOOKS)

        async def delete(key: str, expected: Belief) -> None:
            async with limit:
                try:
                    await self.delete(key, expected=expected)
                except PreconditionFailed as error:
                    # After a lost answer, what is there may have been begun since the deletion.
                    failed[key] = str(error.lost) if error.lost else error.code
                except StoreError as error:
                    failed[key] = error.code or str(error.status)

        await each(delete, keys.items())
        return failed

    async def create_multipart(self, key: str, attributes: Attributes) -> str:
        """See Store; an upload whose id was lost on the way is found and aborted."""
        return await self._uploads.begin(key, attributes)

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body) -> Part:
        """See Store."""
        part = await self._inner.upload_part(key, upload_id, number, body)
        self._uploads.sent(upload_id, number, sum(len(piece) for piece in body))
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
        """See Store."""
        made: list[Part] = []

        async def send(belief: Belief) -> Written:
            part = await self._inner.upload_part_copy(
                key, upload_id, number, source, first=first, last=last, expected=belief
            )
            made.append(part)
            return Written(part.etag, "")

        if isinstance(expected, Version):
            await self._settler.settle(Intent(Verb.PART_COPY_SOURCE, source, expected), send)
        else:
            await send(UNKNOWN)
        self._uploads.sent(upload_id, number, last + 1 - first)
        return made[-1]

    async def complete_multipart(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[Part],
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """See Store; a lost answer is settled by asking whose object is there."""
        began = self._wall()
        sent = self._uploads.of(upload_id)

        async def is_ours(info: ObjectInfo | None) -> bool:
            if info is None:
                return False
            etag = multipart_etag(parts)
            is_same = bool(etag) and plain_etag(info.etag) == etag
            if sent is None:
                return is_same
            if info.size != sent.size(part.number for part in parts):
                return False
            return self._is_like(info, sent.attributes, began, is_same=is_same)

        verb = target_condition(expected, Verb.COMPLETE_ABSENT, Verb.COMPLETE_MATCH)
        if verb is None:
            written = await self._inner.complete_multipart(key, upload_id, parts)
        else:
            written = await self._settler.settle(
                Intent(verb, key, expected, is_ours),
                lambda belief: self._inner.complete_multipart(
                    key, upload_id, parts, expected=belief
                ),
            )
        self._uploads.ended(upload_id)
        return written

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """See Store."""
        await self._inner.abort_multipart(key, upload_id)
        self._uploads.ended(upload_id)

    async def list_uploads(self, prefix: str) -> list[Upload]:
        """See Store."""
        return await self._inner.list_uploads(prefix)

    async def aclose(self) -> None:
        """See Store."""
        await self._inner.aclose()

    def _is_like(
        self, info: ObjectInfo, attributes: Attributes, began: float, *, is_same: bool
    ) -> bool:
        """Whether an object of our size carries our metadata, or, without any, our bytes.

        Our bytes alone do not do where we sent metadata: two hosts that make one lock file
        write the same bytes, and one of them must lose.
        """
        if attributes.metadata:
            stored = info.attributes or Attributes()
            return attributes.metadata.items() <= stored.metadata.items()
        return is_same or info.last_modified >= began - CLOCK_SECONDS


def _is_md5(etag: str) -> bool:
    plain = plain_etag(etag)
    return len(plain) == 32 and all(letter in "0123456789abcdefABCDEF" for letter in plain)


def _unproven(operation: str, key: str) -> NotImplementedByStore:
    return NotImplementedByStore(
        "it was not shown that the store knows it, and a store that does not would replace the "
        "object",
        code="NotImplemented",
        status=501,
        operation=operation,
        resource=key,
    )
