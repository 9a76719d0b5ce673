# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A store that fails as it is told to, for tests: before the effect, after it, or late."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

import trio

from kontenumfs.protocol.errors import AnswerLost, KontenumError
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
from kontenumfs.store.beliefs import UNKNOWN, Belief

T = TypeVar("T")


@dataclass(slots=True)
class Fault:
    """What is to go wrong.

    Args:
        verb: the name of the store's method, such as ``append``; ``*`` for any.
        error: what is raised; None only delays.
        after: raise once the effect took place: with AnswerLost, a lost answer.
        delay: seconds before anything happens.
        late: seconds after which the request takes effect that has failed already: its answer
            is lost, and it was still on its way.
        key: a glob of the keys that it hits.
        skip: how many calls that fit go through before it.
        count: how many calls it hits then.
    """

    verb: str
    error: KontenumError | None = None
    after: bool = False
    delay: float = 0.0
    late: float = 0.0
    key: str = "*"
    skip: int = 0
    count: int = 1

    def hits(self, verb: str, key: str) -> bool:
        """Whether this call fails; counts it."""
        if self.verb not in ("*", verb) or not fnmatchcase(key, self.key) or self.count == 0:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.count -= 1
        return True


class FaultyStore:
    """Another store, with faults; see `store.api.Store` for the verbs."""

    def __init__(self, inner: Store, *faults: Fault) -> None:
        self.bucket = inner.bucket
        self._inner = inner
        self._faults = list(faults)

    def add(self, *faults: Fault) -> None:
        """Set more faults; the first that fits hits."""
        self._faults += faults

    def clear(self) -> None:
        """Forget all faults."""
        self._faults.clear()

    @property
    def is_spent(self) -> bool:
        """Whether every fault has hit as often as it was told to."""
        return not any(fault.count for fault in self._faults)

    async def _through(self, verb: str, key: str, call: Callable[[], Awaitable[T]]) -> T:
        fault = next((fault for fault in self._faults if fault.hits(verb, key)), None)
        if fault is None:
            return await call()
        await trio.sleep(fault.delay)
        if fault.late:
            trio.lowlevel.spawn_system_task(_late, fault.late, call)
            raise fault.error or AnswerLost("the answer was lost, and the request is on its way")
        if fault.error is None:
            return await call()
        if fault.after:
            await call()
        raise fault.error

    def request_id(self, key: str) -> str:
        """See Store."""
        return self._inner.request_id(key)

    async def head_bucket(self) -> None:
        """See Store."""
        return await self._through("head_bucket", "", self._inner.head_bucket)

    async def head(self, key: str) -> ObjectInfo:
        """See Store."""
        return await self._through("head", key, lambda: self._inner.head(key))

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
        return await self._through(
            "list_page",
            prefix,
            lambda: self._inner.list_page(
                prefix,
                delimiter=delimiter,
                max_keys=max_keys,
                token=token,
                start_after=start_after,
            ),
        )

    async def put(
        self,
        key: str,
        body: Body,
        attributes: Attributes,
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """See Store."""
        return await self._through(
            "put",
            key,
            lambda: self._inner.put(key, body, attributes, expected=expected),
        )

    async def append(
        self,
        key: str,
        body: Body,
        *,
        expected: Belief = UNKNOWN,
        attributes: Attributes | None = None,
    ) -> Written:
        """See Store."""
        return await self._through(
            "append",
            key,
            lambda: self._inner.append(key, body, expected=expected, attributes=attributes),
        )

    async def compose(self, key: str, components: Sequence[str], attributes: Attributes) -> Written:
        """See Store."""
        return await self._through(
            "compose", key, lambda: self._inner.compose(key, components, attributes)
        )

    async def copy(
        self,
        source: str,
        target: str,
        attributes: Attributes | None = None,
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """See Store; the key of a fault is the target."""
        return await self._through(
            "copy", target, lambda: self._inner.copy(source, target, attributes, expected=expected)
        )

    async def delete(self, key: str, *, expected: Belief = UNKNOWN) -> bool:
        """See Store."""
        return await self._through(
            "delete", key, lambda: self._inner.delete(key, expected=expected)
        )

    async def delete_many(self, keys: Mapping[str, Belief]) -> dict[str, str]:
        """See Store."""
        return await self._through("delete_many", "", lambda: self._inner.delete_many(keys))

    async def create_multipart(self, key: str, attributes: Attributes) -> str:
        """See Store."""
        return await self._through(
            "create_multipart", key, lambda: self._inner.create_multipart(key, attributes)
        )

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body) -> Part:
        """See Store."""
        return await self._through(
            "upload_part", key, lambda: self._inner.upload_part(key, upload_id, number, body)
        )

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
        """See Store; the key of a fault is the target."""
        return await self._through(
            "upload_part_copy",
            key,
            lambda: self._inner.upload_part_copy(
                key, upload_id, number, source, first=first, last=last, expected=expected
            ),
        )

    async def complete_multipart(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[Part],
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """See Store."""
        return await self._through(
            "complete_multipart",
            key,
            lambda: self._inner.complete_multipart(key, upload_id, parts, expected=expected),
        )

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """See Store."""
        return await self._through(
            "abort_multipart", key, lambda: self._inner.abort_multipart(key, upload_id)
        )

    async def list_uploads(self, prefix: str) -> list[Upload]:
        """See Store."""
        return await self._through("list_uploads", prefix, lambda: self._inner.list_uploads(prefix))

    async def aclose(self) -> None:
        """See Store; never fails."""
        await self._inner.aclose()


async def _late(seconds: float, call: Callable[[], Awaitable[object]]) -> None:
    """What arrives when nobody waits for it any more."""
    await trio.sleep(seconds)
    with suppress(KontenumError):
        await call()
