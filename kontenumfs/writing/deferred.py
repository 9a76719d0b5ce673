# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Metadata that was set on stored files, and waits a moment for a request that can carry it.

rsync sets the time after it closed a file and renames it after that: sent at once, each step
would copy the object onto itself. Held for `delay` seconds, the rename carries them all.
"""

import logging
from collections.abc import Callable

import trio

from kontenumfs.protocol.errors import FileMissing, KontenumError, PreconditionFailed
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import ObjectInfo, Store, Written
from kontenumfs.store.beliefs import believed
from kontenumfs.tree.attributes import metadata_of
from kontenumfs.tree.node import Directory, File
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.claims import Claims
from kontenumfs.writing.identity import Composer, marker_attributes
from kontenumfs.writing.markers import Markers

log = logging.getLogger(__name__)


class DeferredMetadata:
    """Sends pending metadata of nodes when nothing else carried it in time.

    Args:
        delay: seconds that a change waits.
        parallel: requests side by side.
        wall_ns: the time of day in nanoseconds since the epoch.
    """

    def __init__(
        self,
        store: Store,
        tree: Tree,
        markers: Markers,
        composer: Composer,
        claims: Claims,
        *,
        delay: float,
        wall_ns: Callable[[], int],
        parallel: int = 8,
    ) -> None:
        self._store = store
        self._tree = tree
        self._markers = markers
        self._composer = composer
        self._claims = claims
        self._delay = delay
        self._wall_ns = wall_ns
        self._limit = trio.CapacityLimiter(parallel)
        self._due: dict[File | Directory, float] = {}
        self._wake = trio.Event()

    def __len__(self) -> int:
        return len(self._due)

    def set(self, node: File | Directory, metadata: FileMetadata) -> None:
        """Remember `metadata` for `node`; it is seen here at once and sent later."""
        node.pending = metadata.over(node.pending)
        self._due.setdefault(node, trio.current_time() + self._delay)
        self._wake.set()

    def carried(self, node: File | Directory) -> None:
        """Another request has carried what was pending."""
        node.pending = None
        self._due.pop(node, None)

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        while True:
            if not self._due:
                self._wake = trio.Event()
                await self._wake.wait()
            now = trio.current_time()
            ready = [node for node, when in self._due.items() if when <= now]
            if ready:
                await self._send_all(ready)
            else:
                await trio.sleep_until(min(self._due.values()))

    async def drain(self) -> None:
        """Send everything that waits, now."""
        while self._due:
            await self._send_all(list(self._due))

    async def _send_all(self, nodes: list[File | Directory]) -> None:
        async with trio.open_nursery() as nursery:
            for node in nodes:
                self._due.pop(node, None)
                nursery.start_soon(self._send_logged, node)

    async def _send_logged(self, node: File | Directory) -> None:
        async with self._limit:
            try:
                await self.send(node)
            except FileMissing:
                node.pending = None
            except KontenumError as error:
                node.pending = None
                log.warning("metadata lost: key=%r: %s", self._tree.key(node), error)

    async def send(self, node: File | Directory) -> None:
        """Send what is pending for `node`, by one request; raises what the store reports.

        Who opens, renames or deletes it waits until then: an object that is copied onto itself
        loses what is appended to it meanwhile.
        """
        async with self._claims.hold(node):
            self._due.pop(node, None)
            if node.removed or node.pending is None:
                node.pending = None
            elif isinstance(node, Directory):
                await self._send_directory(node)
            elif node.local is None:
                await self._send_file(node)

    async def _send_directory(self, node: Directory) -> None:
        key = self._tree.key(node)
        if not key:
            node.pending = None
            return
        await self._tree.describe(node, exact=True)
        attributes = marker_attributes(metadata_of(node))
        sent = node.pending
        etag = await self._markers.replace(key, attributes)
        if node.pending is sent:
            node.pending = None
        now = self._wall_ns() / 1e9
        self._tree.marker_stored(node, ObjectInfo(key, 0, etag, now, attributes))

    async def _send_file(self, node: File) -> None:
        await self._tree.describe(node, exact=True)
        info, sent = node.info, node.pending
        if info is None or sent is None:
            return
        attributes = self._composer.copied(node, info)
        try:
            written = await self._store.copy(
                info.key, info.key, attributes, expected=believed(info.etag, info.size)
            )
        except PreconditionFailed:
            # Changed by others, or by this request itself, whose answer was lost.
            found = await self._store.head(info.key)
            self._tree.described(node, found, self._tree.clock())
            if found.attributes != attributes:
                await self._send_file(node)
                return
            written = Written(found.etag, "")
        if node.pending is sent:
            node.pending = None
        if node.info == info:
            now = self._wall_ns() / 1e9
            self._tree.stored(node, ObjectInfo(info.key, info.size, written.etag, now, attributes))
        log.info("copied key=%r metadata only, request_id=%s", info.key, written.request_id)
