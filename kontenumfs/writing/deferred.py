# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Metadata that was set on stored files, and waits a moment for a request that can carry it.

rsync sets the time after it closed a file and renames it after that: sent at once, each step
would copy the object onto itself. Held for `delay` seconds, the rename carries them all.
"""

import logging
import math
import random
from dataclasses import dataclass

import trio

from kontenumfs.protocol.errors import (
    Conflict,
    FileMissing,
    KontenumError,
    NotFound,
    PreconditionFailed,
    ServerError,
    Throttled,
    TransportError,
    reported,
)
from kontenumfs.protocol.incidents import Incident, report
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import ObjectInfo
from kontenumfs.store.beliefs import REFUSED
from kontenumfs.store.operation import operation
from kontenumfs.tree.attributes import metadata_of
from kontenumfs.tree.node import Directory, File
from kontenumfs.writing.environment import Environment
from kontenumfs.writing.identity import marker_attributes
from kontenumfs.writing.markers import Markers
from kontenumfs.writing.metadata import Token
from kontenumfs.writing.namespace_locks import NamespaceLocks

log = logging.getLogger(__name__)


ATTEMPTS = 5
"""How often a copy is tried of an object that others change meanwhile."""
FIRST_WAIT = 1.0
LONGEST_WAIT = 300.0
"""Seconds until what the store would not take for now is sent again: the first time, and ever."""
PASSING = (TransportError, ServerError, Throttled, Conflict, PreconditionFailed)
"""What may be over when it is tried again; anything else is the store's last word."""


@dataclass(slots=True)
class Waiting:
    """What waits of one node.

    Args:
        due: when it is sent.
        failures: how often that has failed.
        error: the last of them.
    """

    due: float
    failures: int = 0
    error: KontenumError | None = None


class DeferredMetadata:
    """Sends pending metadata of nodes when nothing else carried it in time.

    Where the store cannot take it for now, it is kept and sent again, until the mount ends.

    Args:
        delay: seconds that a change waits.
        parallel: requests side by side.
    """

    def __init__(
        self,
        environment: Environment,
        markers: Markers,
        locks: NamespaceLocks,
        *,
        delay: float,
        parallel: int = 8,
    ) -> None:
        self._tree = environment.tree
        self._composer = environment.composer
        self._copier = environment.copier
        self._wall_ns = environment.wall_ns
        self._markers = markers
        self._locks = locks
        self._delay = delay
        self._limit = trio.CapacityLimiter(parallel)
        self._waiting: dict[File | Directory, Waiting] = {}
        self._wake = trio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def set(self, node: File | Directory, metadata: FileMetadata) -> None:
        """Remember `metadata` for `node`; it is seen here at once and sent later."""
        node.set_pending(metadata.over(node.pending))
        self._waiting.setdefault(node, Waiting(trio.current_time() + self._delay))
        self._wake.set()

    def carried(self, node: File | Directory, token: Token) -> None:
        """Note that another request has carried what `token` identifies; the rest still waits."""
        if token.covers(node.pending):
            self.drop(node)

    def drop(self, node: File | Directory) -> None:
        """Forget what waits of `node`."""
        node.set_pending(None)
        self._waiting.pop(node, None)

    def error(self, node: File | Directory) -> KontenumError | None:
        """Return why what waits of `node` could not be sent yet, if that is so."""
        waiting = self._waiting.get(node)
        return waiting.error if waiting is not None else None

    async def run(self) -> None:
        """Send what is due, until cancelled; may be begun again after a defect."""
        for waiting in self._waiting.values():
            if waiting.due == math.inf:
                waiting.due = trio.current_time()  # it was under way, and was cut off
        async with trio.open_nursery() as nursery:
            while True:
                self._wake = trio.Event()
                now = trio.current_time()
                for node, waiting in self._waiting.items():
                    if waiting.due <= now:
                        waiting.due = math.inf  # until it is known how that ends
                        nursery.start_soon(self._send_logged, node)
                # No await from here on: others may carry what waits at any time.
                upcoming = min(
                    (waiting.due for waiting in self._waiting.values()), default=math.inf
                )
                with trio.move_on_at(upcoming):
                    await self._wake.wait()

    async def drain(self) -> list[str]:
        """Send everything that waits, now and once; tells what the store has not taken."""
        lost: list[str] = []
        async with trio.open_nursery() as nursery:
            for node in self._waiting:
                nursery.start_soon(self._send_logged, node)
        for node, waiting in list(self._waiting.items()):
            lost.append(f"{node.key}: metadata: {waiting.error}")
            if waiting.error is not None:
                report(Incident("metadata", "metadata lost", waiting.error, node.key))
            self.drop(node)
        return lost

    async def _send_logged(self, node: File | Directory) -> None:
        async with self._limit:
            try:
                with operation():
                    await self.send(node)
            except FileMissing:
                self.drop(node)
            except PASSING as error:
                log.info("metadata waits: key=%r: %s", node.key, error)
            except Exception as error:
                self.drop(node)
                key = node.key
                failure = reported(error, f"metadata of {key!r}")
                report(Incident("metadata", "metadata lost", failure, key))

    async def send(self, node: File | Directory) -> None:
        """Send what is pending for `node`, by one request; raises what the store reports.

        Who opens, renames or deletes it waits until then: an object that is copied onto itself
        loses what is appended to it meanwhile. What has failed waits for its next turn.
        """
        async with self._locks.hold(node):
            if node.removed or node.pending is None:
                self.drop(node)
                return
            if isinstance(node, File) and node.local is not None:
                self._waiting.pop(node, None)  # its writer carries it
                return
            sent = Token.of(node)
            try:
                if isinstance(node, Directory):
                    await self._send_directory(node)
                else:
                    await self._send_file(node)
            except KontenumError as error:
                self._postpone(node, error)
                raise
            self.carried(node, sent)
            if node.pending is not None:
                self._waiting[node] = Waiting(trio.current_time() + self._delay)

    def _postpone(self, node: File | Directory, error: KontenumError) -> None:
        waiting = self._waiting.setdefault(node, Waiting(0.0))
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(waiting.failures, 20))
        waiting.due = trio.current_time() + random.uniform(longest / 2, longest)
        waiting.failures += 1
        waiting.error = error.with_traceback(None)
        self._wake.set()

    async def _send_directory(self, node: Directory) -> None:
        key = node.key
        if not key:
            return
        await self._tree.fetch_attributes(node, exact=True)
        attributes = marker_attributes(metadata_of(node))
        etag = await self._markers.replace(key, attributes)
        now = self._wall_ns() / 1e9
        self._tree.stored(node, ObjectInfo(key, 0, etag, now, attributes))

    async def _send_file(self, node: File) -> None:
        await self._tree.fetch_attributes(node, exact=True)
        info = node.info
        for attempts_left in reversed(range(ATTEMPTS)):
            if info is None:
                return
            attributes = self._composer.copied(node, info)
            try:
                made = await self._copier.copy(info, info.key, attributes)
            except (REFUSED, NotFound):
                # Changed by others, or by this request itself, whose answer was lost.
                found = await self._copier.find(info.key)
                if found is None:
                    raise FileMissing(info.key) from None
                self._tree.observed(node, found, self._tree.clock())
                if found.attributes == attributes:
                    return
                if not attempts_left:
                    raise
                info = node.info
            else:
                if node.info == info:
                    self._tree.stored(node, made)
                log.info("copied key=%r metadata only", info.key)
                return
