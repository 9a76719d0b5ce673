# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Begin an object's count of appends anew: the store allows 1,023, and a copy has none."""

import logging
from itertools import pairwise

import trio

from kontenumfs.protocol.dialect import Limits
from kontenumfs.store.api import Attributes, Store
from kontenumfs.store.beliefs import Belief, Version, refusal
from kontenumfs.writing.extents import Range, RemoteObject
from kontenumfs.writing.journal import Journal
from kontenumfs.writing.upload import CLEAN_UP_SECONDS, Upload

log = logging.getLogger(__name__)


class Recount:
    """Copies objects onto themselves."""

    def __init__(self, store: Store, journal: Journal, limits: Limits) -> None:
        self._store = store
        self._journal = journal
        self._limits = limits

    async def restart(self, key: str, base: Belief) -> Version:
        """Copy the object onto itself; returns what it is then.

        Raises PreconditionFailed when it is not what `base` says.
        """
        described = await self._store.head(key)
        found = Version(described.etag, described.size)
        if isinstance(base, Version) and base != found:
            raise refusal("CopyObject", key, base, found)
        attributes = described.attributes or Attributes()
        if found.size <= self._limits.max_copy:
            etag = (await self._store.copy(key, key, attributes, expected=found)).etag
        else:
            etag = await self._in_parts(key, found, attributes)
        log.info("copied onto itself to go on appending: key=%r size=%d", key, found.size)
        return Version(etag, found.size)

    async def _in_parts(self, key: str, found: Version, attributes: Attributes) -> str:
        base = RemoteObject(key, found.size, found.etag)
        count = -(-base.size // self._limits.max_part)
        borders = [base.size * at // count for at in range(count + 1)]
        upload = await Upload.begin(self._store, self._journal, key, attributes)
        try:
            for first, last in pairwise(borders):
                await upload.copy(upload.next_number(), Range(base, first, last - first), found)
            return (await upload.complete(found)).etag
        except BaseException:
            with trio.move_on_after(CLEAN_UP_SECONDS, shield=True):
                await upload.abort()
            raise
