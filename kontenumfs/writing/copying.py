# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The one way to copy an object: any size, any attributes, and exactly what is believed of it."""

import logging
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Protocol

import trio

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import (
    Conflict,
    KontenumError,
    NotFound,
    PreconditionFailed,
    StoreError,
    WriterConflict,
)
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import Attributes, ObjectInfo, Written
from kontenumfs.store.beliefs import (
    ABSENT,
    UNKNOWN,
    Belief,
    Version,
    believed,
    refusal,
)
from kontenumfs.store.proof import JOINING, Ask
from kontenumfs.writing.digest import Search
from kontenumfs.writing.execute import PlanRunner
from kontenumfs.writing.extents import Range, RemoteObject, whole
from kontenumfs.writing.identity import Composer, marker_attributes
from kontenumfs.writing.patience import PATIENCE, wait_before
from kontenumfs.writing.plan import compile_rope
from kontenumfs.writing.plan_run import Publication

log = logging.getLogger(__name__)

DEFAULT_LIMITS = Limits()


class CopyOver(Protocol):
    """Copies an object over what is believed of the target; see SpoolStore.copy_over."""

    async def __call__(
        self,
        source: str,
        target: str,
        attributes: Attributes | None = None,
        *,
        expected: Belief,
        over: Belief,
    ) -> Written:
        """Copy `source` as it is `expected`, over a target that is as believed."""


class Copier:
    """Copies objects within the bucket.

    Args:
        runner: makes what takes more than one request.
        capabilities: what the store is proven to do; asked only where one request is not enough.
        patience: seconds for which a move follows an object that changes all the time.
        limits: of the store.
        copy_over: copies with a condition on the target, where something in between keeps that.
    """

    def __init__(
        self,
        runner: PlanRunner,
        composer: Composer,
        capabilities: Ask,
        *,
        wall_ns: Callable[[], int],
        patience: float = PATIENCE,
        limits: Limits = DEFAULT_LIMITS,
        copy_over: CopyOver | None = None,
    ) -> None:
        self._runner = runner
        self._search = Search(runner.store, runner.new_key)
        self._store = runner.store
        self._composer = composer
        self._capabilities = capabilities
        self._wall_ns = wall_ns
        self.patience = patience
        self._limits = limits
        self._copy_over = copy_over

    async def copy(
        self,
        source: ObjectInfo,
        target: str,
        attributes: Attributes | None = None,
        *,
        expected: Belief = UNKNOWN,
        tail: Range | None = None,
    ) -> ObjectInfo:
        """Make `target` a copy of `source`; returns what it is then.

        Args:
            attributes: what the copy is stored with; what the source has, if None.
            expected: what `target` must be. An object that is copied onto itself is `source`.
            tail: what follows the source's bytes: the end of what `target` is.

        Raises one of REFUSED where either is something else, and Unsupported, before anything is
        touched, where the store has no way to copy so much.
        """
        itself = source.key == target
        is_kept = self._copy_over is not None and tail is None
        is_simple = itself or expected is UNKNOWN or is_kept
        if source.size <= self._limits.max_copy and is_simple:
            over = UNKNOWN if itself else expected
            return await self._copy_at_once(source, target, attributes, over)
        if attributes is None:
            attributes = (await self._store.head(source.key)).attributes or Attributes()
        remote = RemoteObject(source.key, source.size, source.etag)
        copy = RemoteObject(target, source.size, "")
        # It ends with a condition in any case: where there is none on the target, a name that
        # somebody has taken meanwhile is still replaced as a whole.
        capabilities = await self._capabilities(*JOINING)
        rope = whole(remote)
        if tail is not None:
            rope.splice(rope.size, tail)
            copy.size = rope.size
        plan = compile_rope(rope, copy, None, capabilities, self._limits, exclusive=True)
        belief = believed(source.etag, source.size) if itself else expected
        made = await self._runner.run(plan, Publication(attributes, belief))
        return self._now(target, made.size, made.etag, attributes)

    async def _copy_at_once(
        self, source: ObjectInfo, target: str, attributes: Attributes | None, over: Belief
    ) -> ObjectInfo:
        belief = believed(source.etag, source.size)
        copy = self._store.copy
        if over is not UNKNOWN and self._copy_over is not None:
            copy = partial(self._copy_over, over=over)
        try:
            written = await copy(source.key, target, attributes, expected=belief)
        except NotFound:
            if source.size or not source.key.endswith("/"):
                raise
            # Some servers keep markers and cannot copy them; there is nothing in one to lose.
            kept = attributes or source.attributes or await self._marker(source.key)
            made = await self._store.put(target, [], kept)
            return self._now(target, 0, made.etag, kept)
        known = attributes if attributes is not None else source.attributes
        if belief is UNKNOWN:
            # Without an ETag there was no condition: what was copied, its length must tell.
            found = await self._store.head(target)
            return self._now(target, found.size, found.etag, known)
        return self._now(target, source.size, written.etag, known)

    async def _marker(self, key: str) -> Attributes:
        found = await self.find(key)
        return (found and found.attributes) or marker_attributes(FileMetadata())

    def _now(self, key: str, size: int, etag: str, attributes: Attributes | None) -> ObjectInfo:
        return ObjectInfo(key, size, etag, self._wall_ns() / 1e9, attributes)

    async def describe(
        self, info: ObjectInfo, attributes: Attributes, *, follow: bool = False
    ) -> ObjectInfo:
        """Give an object other attributes by a copy onto itself; returns what it is then.

        Args:
            follow: whether what others append to it meanwhile is none of the caller's business.

        Raises WriterConflict where others have changed it, and whatever the store reports.
        """
        until = trio.current_time() + self.patience
        for losses in count():
            try:
                return await self.copy(info, info.key, attributes)
            except KontenumError as error:
                found = await self.find(info.key)
                if found is None:
                    raise
                if found.size == info.size and found.attributes == attributes:
                    return found  # done, though the answer was lost
                if not isinstance(error, PreconditionFailed | Conflict):
                    raise
                changed = (found.size, found.etag) != (info.size, info.etag)
                if changed and (found.size < info.size or not follow):
                    raise WriterConflict(f"{info.key!r} was changed by another writer") from error
                await wait_before(losses, error, until)
                info = found
        raise AssertionError("count() does not end")

    async def renew(self, info: ObjectInfo) -> ObjectInfo:
        """Copy an object onto itself as it is, which begins its count of appends anew.

        Args:
            info: as HEAD has described it.

        Raises one of REFUSED where it has changed since.
        """
        return await self.copy(info, info.key, self._composer.renewed(info))

    async def recount(self, key: str, base: Belief) -> Version:
        """Begin an object's count of appends anew; returns what the object is then.

        Raises PreconditionFailed where it is not what `base` says.
        """
        info = await self._store.head(key)
        found = Version(info.etag, info.size)
        if isinstance(base, Version) and base != found:
            raise refusal("CopyObject", key, base, found)
        attributes = self._composer.renewed(info)
        try:
            made = await self.renew(info)
        except PreconditionFailed:
            # Changed by others, or by this very copy, whose answer was lost: the length alone does
            # not tell, for others' objects can be as long.
            now = await self.find(key)
            if now is None or now.size != info.size or not attributes.metadata:
                raise
            if now.attributes is None or now.attributes.metadata != attributes.metadata:
                raise
            return Version(now.etag, now.size)
        log.info("copied onto itself to go on appending: key=%r size=%d", key, made.size)
        return Version(made.etag, made.size)

    async def find(self, key: str) -> ObjectInfo | None:
        """Describe an object; None where there is none."""
        try:
            return await self._store.head(key)
        except NotFound:
            return None

    async def delete(self, source: ObjectInfo) -> None:
        """Delete what was copied, and nothing else; raises REFUSED where it is not there."""
        belief = believed(source.etag, source.size)
        if belief is UNKNOWN:
            found = await self.find(source.key)
            if found is not None and found.size != source.size:
                raise refusal("DeleteObject", source.key, Version("", source.size), UNKNOWN)
        if not await self._store.delete(source.key, expected=belief):
            raise refusal("DeleteObject", source.key, belief, ABSENT)

    async def is_begun_by(self, source: ObjectInfo, target: ObjectInfo, length: int) -> bool:
        """Tell whether `target` begins with the first `length` bytes of `source`, and can be made
        of itself and others anew; False also where the store cannot tell.
        """
        capabilities = await self._capabilities("digest", "compose")
        if not (capabilities.digest and capabilities.compose) or length > self._limits.max_copy:
            return False
        try:
            return not length or await self._search.begin_alike(source, target, length)
        except StoreError as error:
            log.info("not known whether it has grown: key=%r (%s)", target.key, error)
            return False
