# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Attributes that only HEAD shows, asked for when somebody wants them."""

from kontenumfs.protocol.errors import AccessDenied, FileMissing
from kontenumfs.store.single_flight import SingleFlight
from kontenumfs.tree.cache import NameCache
from kontenumfs.tree.fetcher import Fetcher
from kontenumfs.tree.node import Directory, File, Node
from kontenumfs.tree.observations import Observations
from kontenumfs.tree.reader import DirectoryReader
from kontenumfs.tree.remembered import RememberedAttributes
from kontenumfs.tree.series import Series


class AttributeFetcher:
    """Asks for attributes where nothing that is known will do.

    Args:
        cache: has the clock by which answers age.
        fetcher: asks the store.
        observations: is told what was learnt.
        reader: lists a directory whose marker its own listing can prove.
        remembered: tells of which markers something is known.
        series: is told which files were wanted and not known.
        trust_listings: a listing's size and time are enough for stat().
    """

    def __init__(
        self,
        cache: NameCache,
        fetcher: Fetcher,
        observations: Observations,
        reader: DirectoryReader,
        remembered: RememberedAttributes,
        series: Series,
        *,
        trust_listings: bool,
    ) -> None:
        self._cache = cache
        self._fetcher = fetcher
        self._observations = observations
        self._reader = reader
        self._remembered = remembered
        self._series = series
        self._trust_listings = trust_listings
        self._directories = SingleFlight[None]()

    def known(self, node: Node) -> bool:
        """Return True if stat() needs no request."""
        if isinstance(node, Directory):
            return self._directory_known(node)
        if node.is_described or node.removed or (isinstance(node, File) and node.local is not None):
            return True
        return node.has_object and (self._trust_listings or self._fetcher.head_is_refused)

    def _directory_known(self, node: Directory) -> bool:
        if self._trust_listings or (node is self._cache.root and not node.name):
            return True
        if not self._cache.fresh(node.marker_checked):
            return False
        return node.is_described or not node.has_object or self._fetcher.head_is_refused

    async def fetch(self, node: Node, *, exact: bool) -> None:
        """Make sure that attributes are known; see Tree.fetch_attributes."""
        if node.is_described if exact and isinstance(node, File) else self.known(node):
            return
        if isinstance(node, Directory):
            await self._directories.run(node, lambda: self._fetch_directory(node))
            return
        assert isinstance(node, File)
        if not exact:
            self._series.wanted(node)
        await self.fetch_file(node)

    async def fetch_file(self, node: File) -> None:
        """Ask for the attributes of a file, unless they are known; raise FileMissing."""
        if not node.is_described and node.local is None and not node.removed:
            await self._fetcher.fetch_attributes(node)

    async def _fetch_directory(self, node: Directory) -> None:
        if not self._cache.fresh(node.listed) and await self._remembered.knows(node.key):
            # The marker is the first key of the directory's own listing, which who wants the
            # directory will want as well, and which proves what is remembered.
            await self._reader.look_into(node)
            if self._cache.fresh(node.marker_checked):
                return
        asked = self._cache.clock()
        try:
            info = await self._fetcher.head(node.key)
        except AccessDenied:
            info = node.info  # it exists all the same, and stat of a mountpoint should not fail
        if info is None:
            self._remembered.learn_unmarked(node.key)
        self._observations.marker_head_answered(node, info, asked)

    async def revalidate(self, node: File) -> None:
        """Ask what the object of a file is now; see Tree.revalidate."""
        asked, parent = self._cache.clock(), node.parent
        info = await self._fetcher.head(node.key)
        if node.local is not None or node.removed or parent is None:
            return
        if info is None:
            self._observations.nothing_seen(parent, node.name, asked)
            raise FileMissing(node.name)
        self._observations.described(node, info, asked)
