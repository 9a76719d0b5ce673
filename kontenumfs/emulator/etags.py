# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""ETags: the MD5 of the bytes where AWS gives it, or opaque ones, as where a KMS encrypts."""

import asyncio
import hashlib
import secrets
from collections.abc import Sequence

from kontenumfs.emulator.segments import BLOCK, Extent, Segments

_REMEMBERED = 4096
"""Digests that need not be computed again."""


def opaque_etag(*parts: object) -> str:
    """An ETag that is not the MD5 of anything."""
    seed = repr(parts) + secrets.token_hex(8)
    return hashlib.sha256(seed.encode()).hexdigest()[:32]


class ETags:
    """Names what was stored.

    Args:
        segments: where the bytes are.
        are_md5: whether a client may learn the MD5 of bytes by their ETag.
    """

    def __init__(self, segments: Segments, *, are_md5: bool) -> None:
        self._segments = segments
        self._are_md5 = are_md5
        self._known: dict[tuple[Extent, ...], str] = {}

    def received(self, extents: Sequence[Extent], md5: str) -> str:
        """The ETag of a body that has arrived, with this MD5."""
        if not self._are_md5:
            return opaque_etag(md5)
        self._remember(tuple(extents), md5)
        return md5

    def of_copy(self, etag: str) -> str:
        """The ETag of a copy of a whole object: where it is an MD5 it stays true."""
        return etag if self._are_md5 else opaque_etag(etag)

    async def of_range(self, extents: Sequence[Extent]) -> str:
        """The ETag of bytes that objects have already; they are read where their MD5 is new."""
        if not self._are_md5:
            return opaque_etag(extents)
        wanted = tuple(extents)
        known = self._known.get(wanted)
        if known is None:
            with self._segments.pinned(wanted):
                loop = asyncio.get_running_loop()
                known = await loop.run_in_executor(None, self._digest, wanted)
            self._remember(wanted, known)
        return known

    def _digest(self, extents: tuple[Extent, ...]) -> str:
        digest = hashlib.md5(usedforsecurity=False)
        for block in self._segments.blocks(extents, BLOCK):
            digest.update(block)
        return digest.hexdigest()

    def _remember(self, extents: tuple[Extent, ...], md5: str) -> None:
        self._known[extents] = md5
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
