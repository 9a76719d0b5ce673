# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Directory markers: zero-byte objects whose key ends with a slash, where the store keeps them."""

import logging
import secrets

from kontenumfs.protocol.errors import NotFound
from kontenumfs.store.api import Attributes, Store
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, believed

log = logging.getLogger(__name__)


class Markers:
    """Writes markers, unless the store cuts their slash off.

    On such a store a marker would be a file, and nothing could be stored below it (measured on
    rclone serve s3): there a directory is this mount's alone until something is in it.
    """

    def __init__(self, store: Store, area: str) -> None:
        self._store = store
        self._area = area
        self._kept: bool | None = None
        """Whether the store keeps them; None until the first one was written."""

    async def create(self, key: str, attributes: Attributes) -> str:
        """Write the marker of a directory that is not there yet; returns its ETag.

        Returns nothing where the store keeps none. Raises PreconditionFailed where others have
        made it meanwhile.
        """
        if self._kept is False:
            return ""
        etag = await self._put(key, attributes, ABSENT)
        if self._kept is None:
            self._kept = await self._is_kept(key, etag)
        return etag if self._kept else ""

    async def replace(self, key: str, attributes: Attributes) -> str:
        """Write the marker of a directory that has things in it; returns its ETag."""
        if self._kept is None:
            scratch = f"{self._area}marker-{secrets.token_hex(8)}/"
            self._kept = await self._is_kept(scratch, await self._put(scratch, attributes))
            if self._kept:
                await self._store.delete(scratch)
        return await self._put(key, attributes) if self._kept else ""

    async def delete(self, key: str) -> None:
        """Delete a marker."""
        if self._kept is not False:
            await self._store.delete(key)

    async def _put(self, key: str, attributes: Attributes, expected: Belief = UNKNOWN) -> str:
        written = await self._store.put(key, [], attributes, expected=expected)
        log.info("put key=%r directory, request_id=%s", key, written.request_id)
        return written.etag

    async def _is_kept(self, key: str, etag: str) -> bool:
        """Tell whether `key`, just written, is not found without its slash; asked once a mount."""
        cut = key.removesuffix("/")
        try:
            found = await self._store.head(cut)
        except NotFound:
            return True
        if found.size or found.etag != etag:
            return True  # somebody's file of that name
        await self._store.delete(cut, expected=believed(found.etag, found.size))
        log.warning("this store keeps no directory markers: empty directories are not stored")
        return False
