# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Attributes that only HEAD shows: asked for when somebody wants them, and a little ahead."""

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from kontenumfs.protocol.errors import AccessDenied, FileMissing, KontenumError, NotFound
from kontenumfs.store.api import ObjectInfo
from kontenumfs.store.single_flight import SingleFlight
from kontenumfs.tree.attributes import with_known_attributes
from kontenumfs.tree.node import NEVER, Directory, File, Node

if TYPE_CHECKING:
    from kontenumfs.tree.tree import Tree

log = logging.getLogger(__name__)

AHEAD = 128
"""Siblings that are asked for ahead of who wants one after another."""


class Describer:
    """Sends HEAD where nothing that is known will do.

    Args:
        tree: is told what was learnt.
        parallel: how many HEAD requests run side by side at most.
        trust_listings: a listing's size and time are enough for stat().
    """

    def __init__(self, tree: "Tree", *, parallel: int, trust_listings: bool) -> None:
        self._tree = tree
        self._limit = trio.CapacityLimiter(parallel)
        # Who waits for an answer does not queue behind what may never be wanted.
        self._slots_ahead = trio.Semaphore(max(1, parallel - 1))
        self._asked_ahead: set[File] = set()
        self._trust_listings = trust_listings
        self._refused = NEVER
        self._flights = SingleFlight[None]()
        self._series = Series()
        self._ahead = trio.Event()

    def knows(self, node: Node) -> bool:
        """Whether stat() needs no request."""
        refused = self._trust_listings or self._tree.fresh(self._refused)
        if isinstance(node, Directory):
            if node is self._tree.root and not node.name:
                return True
            known = node.is_described or not node.has_object or refused
            return self._trust_listings or (known and self._tree.fresh(node.marker_checked))
        if node.is_described or node.removed or (isinstance(node, File) and node.local is not None):
            return True
        return node.has_object and refused

    async def head(self, key: str) -> ObjectInfo | None:
        """HEAD, or None where there is no object.

        Some servers deny HEAD together with GET: then a listing tells size and time, and HEAD is
        not tried again within the ttl. What refuses listings too is raised.
        """
        return await self._tree.refreshes.outlast(lambda: self._head(key))

    async def _head(self, key: str) -> ObjectInfo | None:
        if not self._tree.fresh(self._refused):
            try:
                async with self._limit:
                    info = await self._tree.store.head(key)
            except NotFound:
                return None
            except AccessDenied as error:
                found = await self._head_by_listing(key)
                if self._refused == NEVER:
                    log.warning("HEAD is refused, so times and modes are the listings': %s", error)
                self._refused = self._tree.clock()
                return found
            self._tree.remembered.learn(info)
            return info
        return await self._head_by_listing(key)

    async def find(self, key: str) -> ObjectInfo | None:
        """The object called `key`, with its attributes unless listings are trusted."""
        return await (self._head_by_listing if self._trust_listings else self.head)(key)

    async def _head_by_listing(self, key: str) -> ObjectInfo | None:
        page = await self._tree.list_page(key, max_keys=1)
        return next((info for info in page.objects if info.key == key), None)

    async def describe(self, node: Node, *, exact: bool) -> None:
        """See Tree.describe."""
        if node.is_described if exact and isinstance(node, File) else self.knows(node):
            return
        if isinstance(node, Directory):
            await self._flights.run(node, lambda: self._describe_directory(node))
            return
        assert isinstance(node, File)
        if not exact and self._series.continued_by(node):
            self._ahead.set()
        await self._describe_file(node)

    async def _describe_file(self, node: File) -> None:
        if not node.is_described and node.local is None and not node.removed:
            await self._flights.run(node, lambda: self._ask(node))

    async def _ask(self, node: File) -> None:
        if node.has_object and self._tree.fresh(self._refused):
            return
        asked = self._tree.clock()
        info = await self.head(node.key)
        if node.local is not None or node.removed:
            return
        if node.checked > asked:
            # Stored, moved or listed meanwhile: the answer counts if it is of the same object.
            now = node.info
            if info is not None and now is not None and info.key == now.key:
                known = with_known_attributes(now, info)
                node.learn(known, young=self._tree.remembered.is_young(known))
        elif info is not None:
            self._tree.described(node, info, asked)
        elif node.parent is not None:
            self._tree.nothing_seen(node.parent, node.name, asked)
            raise FileMissing(node.name)

    async def _describe_directory(self, node: Directory) -> None:
        tree = self._tree
        if not tree.fresh(node.listed) and await tree.remembered.knows(node.key):
            # The marker is the first key of the directory's own listing, which who wants the
            # directory will want as well, and which proves what is remembered.
            await tree.look_into(node)
            if tree.fresh(node.marker_checked):
                return
        asked = tree.clock()
        try:
            info = await self.head(node.key)
        except AccessDenied:
            info = node.info  # it exists all the same, and stat of a mountpoint should not fail
        if info is None:
            tree.remembered.learn_unmarked(node.key)
        if node.marker_checked > asked:
            return
        node.marker_checked = asked
        if info is None:
            node.info = None
        else:
            node.learn(info, young=tree.remembered.is_young(info))

    async def run(self) -> None:
        """Ask for attributes ahead of who wants one after another, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._ahead.wait()
                self._ahead = trio.Event()
                for node in self._series.following(AHEAD):
                    if self._ahead.is_set():
                        break  # who wants them has gone on, perhaps elsewhere
                    if not self.knows(node) and node not in self._asked_ahead:
                        await self._slots_ahead.acquire()
                        self._asked_ahead.add(node)
                        nursery.start_soon(self._describe_ahead, node)

    async def _describe_ahead(self, node: File) -> None:
        try:
            with suppress(KontenumError):  # who wants it asks again, and is told
                await self._describe_file(node)
        finally:
            self._asked_ahead.discard(node)
            self._slots_ahead.release()


class Series:
    """Files of one directory whose attributes were wanted one after another."""

    def __init__(self) -> None:
        self._directory: Directory | None = None
        self._count = 0
        self._files: list[File] = []
        self._at = 0

    def continued_by(self, node: File) -> bool:
        """`node` is wanted, and was not known; returns whether more of its directory will be."""
        if node.parent is not self._directory:
            self._directory, self._count, self._files = node.parent, 0, []
        self._count += 1
        if self._count < 2 or node.parent is None:
            return False
        if self._find(node):
            return True
        if self._files and self._count % AHEAD:
            return False  # out of order: not worth sorting a large directory each time
        children = sorted(node.parent.children.items())
        self._files = [child for _, child in children if isinstance(child, File)]
        self._at = 0
        return self._find(node)

    def _find(self, node: File) -> bool:
        try:
            self._at = self._files.index(node, self._at)
        except ValueError:
            return False
        return True

    def following(self, count: int) -> list[File]:
        """The next files, in the order of names."""
        return self._files[self._at : self._at + count]
