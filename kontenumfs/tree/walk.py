# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Listing ahead of who walks: find, rsync and ls -R open one directory after another, in order.

A recursive listing has a thousand keys a page whatever directories they are in, where a listing
of each directory is a request of its own.
"""

from kontenumfs.store.api import ObjectInfo
from kontenumfs.store.single_flight import SingleFlight
from kontenumfs.tree.cache import NameCache
from kontenumfs.tree.fetcher import Fetcher
from kontenumfs.tree.node import Directory, Node
from kontenumfs.tree.observations import Observations
from kontenumfs.tree.reconciler import Reconciler

STEPS = 2
"""Directories listed in order after a first one, before that is taken for a walk."""
PAGES_FOR_ONE = 4
"""Pages that a reader of one directory waits for at most: all that is below it comes first."""
PAUSE = 10
"""Directories listed in order, before it is tried again after that was not enough."""


class Walks:
    """Notices walks, and lists ahead of them.

    Args:
        fetcher: asks for the pages.
        cache: holds the directories.
        observations: is told of every name.
    """

    def __init__(self, fetcher: Fetcher, cache: NameCache, observations: Observations) -> None:
        self._fetcher = fetcher
        self._cache = cache
        self._observations = observations
        self._first: Directory | None = None
        self._last: Directory | None = None
        self._steps = 0
        self._walk: Walk | None = None

    async def fill(self, directory: Directory) -> bool:
        """List `directory` as part of a walk; return True if it was, and is fresh now."""
        walk = self._walk
        if walk is None or not walk.will_reach(directory):
            walk = self._noticed(directory)
        if walk is None:
            return False
        self._walk, self._last = walk, directory
        if await walk.fill(directory):
            return True
        if walk.will_reach(directory):
            self._walk, self._steps = None, -PAUSE
        return False

    def _noticed(self, directory: Directory) -> "Walk | None":
        last, self._last = self._last, directory
        parent = directory.parent
        if last is None or parent is None or not last.key.startswith(parent.key):
            follows = False
        else:
            follows = directory.key > last.key
        if not follows:
            self._first, self._steps = directory, 0
            return None
        self._steps += 1
        if self._steps < STEPS or parent is None or self._first is None:
            return None
        top = self._first if directory.key.startswith(self._first.key) else parent
        return Walk(self._fetcher, self._cache, self._observations, top, directory)


class Walk:
    """A listing without delimiter, of all keys below `top` from `start` on.

    Args:
        fetcher: asks for the pages.
        cache: makes room for the names.
        observations: is told of every name.
        top: the directory that is walked.
        start: the first directory that is wanted, in `top` at any depth.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        cache: NameCache,
        observations: Observations,
        top: Directory,
        start: Directory,
    ) -> None:
        self._fetcher = fetcher
        self._cache = cache
        self._observations = observations
        self._top = top
        self._prefix = top.key
        self._start = start.key
        self._position = start.key[:-1]  # its marker comes after this
        self._token: str | None = None
        self._pages = SingleFlight[None]()
        self._stack: list[Reconciler] = []
        self._skipped: str | None = None
        self._ended = False

    def will_reach(self, directory: Directory) -> bool:
        """Return True if `directory` lies ahead, or is what this listing is in."""
        key = directory.key
        if self._ended or directory.removed or not key.startswith(self._prefix):
            return False
        return key >= self._start and (key > self._position or self._position.startswith(key))

    async def fill(self, directory: Directory) -> bool:
        """Read on until `directory` is fresh; return False where that would take too long."""
        for _ in range(PAGES_FOR_ONE):
            if self._cache.fresh(directory.listed):
                return True
            if not self.will_reach(directory):
                return False
            await self._pages.run("next", self._read_page)
        return self._cache.fresh(directory.listed)

    async def _read_page(self) -> None:
        asked = self._cache.clock()
        after = self._position if self._token is None else ""
        page = await self._fetcher.list_page(self._prefix, token=self._token, start_after=after)
        for info in page.objects:
            if info.key > self._position:
                self._take(info, asked)
                self._position = info.key
            elif info.key >= self._start:
                # A server that does not sort, or does not know start-after.
                self._ended = True
                return
        self._token = page.next_token
        if self._token is None:
            self._leave("")
            self._ended = True
        self._cache.eviction.make_room(*(at.directory for at in self._stack))

    def _leave(self, key: str) -> None:
        """End the directories that `key` is not in."""
        while self._stack and not (key and key.startswith(self._stack[-1].prefix)):
            self._stack.pop().end()

    def _take(self, info: ObjectInfo, asked: float) -> None:
        if self._skipped is not None and info.key.startswith(self._skipped):
            return
        self._leave(info.key)
        if not self._stack:
            self._stack.append(Passing(self._observations, self._top, asked))
        at = self._stack[-1]
        *directories, name = info.key[len(at.prefix) :].split("/")
        for component in directories:
            node = at.prefix_seen(component)
            if node is None:
                self._skipped = f"{at.prefix}{component}/"
                return
            entered_midway = self._start.startswith(node.key) and node.key != self._start
            at = (Passing if entered_midway else Reconciler)(self._observations, node, asked)
            self._stack.append(at)
        at.object_seen(name, info)


class Passing(Reconciler):
    """A directory that the walk entered in its midst, so that it cannot tell what is absent."""

    def end(self) -> list[Node]:
        """Drop nothing: what was not seen may have come before."""
        return []
