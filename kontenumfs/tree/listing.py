# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One listing of a directory, fetched once for all who read it, page by page as they need it."""

import logging
from typing import TYPE_CHECKING

import trio

from kontenumfs.protocol.names import RESERVED, is_mappable
from kontenumfs.store.api import ListPage, ObjectInfo
from kontenumfs.tree.node import Directory, Node

if TYPE_CHECKING:
    from kontenumfs.tree.tree import Tree

log = logging.getLogger(__name__)


class Listing:
    """What the store says is in a directory, in the order in which it says it.

    Readers drive it: who needs an entry that has not come yet has the next page fetched, while
    the others wait for the same page. A reader that goes away leaves it as it is.

    Args:
        tree: is told of every name.
        directory: what is listed.
    """

    def __init__(self, tree: "Tree", directory: Directory) -> None:
        self._tree = tree
        self._directory = directory
        self._prefix = tree.key(directory)
        self._lock = trio.Lock()
        self._token: str | None = None
        self._seen: set[str] = set()
        self._doubtful: dict[str, ObjectInfo] = {}  # their names were directories so far
        self._hidden = 0
        self.began = tree.clock()
        self.entries: list[Node] = []
        """What has come so far; only ever added to."""
        self.complete = False

    async def read_beyond(self, count: int) -> bool:
        """Return whether there are more than `count` entries, once that is known."""
        while len(self.entries) <= count and not self.complete:
            async with self._lock:
                if len(self.entries) <= count and not self.complete:
                    await self._read_page()
        return len(self.entries) > count

    async def finish(self) -> None:
        """Fetch what is left."""
        while not self.complete:
            await self.read_beyond(len(self.entries))

    async def _read_page(self) -> None:
        page = await self._tree.store.list_page(self._prefix, delimiter="/", token=self._token)
        self._take_prefixes(page)
        self._take_objects(page)
        self._token = page.next_token
        if self._token is None:
            self._end()

    def _take_prefixes(self, page: ListPage) -> None:
        for common in page.prefixes:
            name = common[len(self._prefix) : -1]
            if not is_mappable(name):
                self._hidden += name != RESERVED
                continue
            self._hidden += name in self._seen  # the object of an earlier page
            self._seen.add(name)
            self._add(self._tree.directory_seen(self._directory, name, self.began))

    def _take_objects(self, page: ListPage) -> None:
        children = self._directory.children
        for info in page.objects:
            name = info.key[len(self._prefix) :]
            if not name:
                self._tree.marker_seen(self._directory, info, self.began)
            elif not is_mappable(name):
                self._hidden += 1
            elif isinstance(children.get(name), Directory):
                self._doubtful[name] = info
            else:
                self._seen.add(name)
                self._add(self._tree.file_seen(self._directory, name, info, self.began))

    def _add(self, node: Node | None) -> None:
        if node is not None:
            self.entries.append(node)

    def _end(self) -> None:
        self._hidden += len(self._doubtful.keys() & self._seen)
        for name in self._doubtful.keys() - self._seen:
            self._seen.add(name)
            info = self._doubtful[name]
            self._add(self._tree.file_seen(self._directory, name, info, self.began))
        self._tree.listing_ended(self._directory, self._seen, self.began)
        known = set(map(id, self.entries))
        children = self._directory.children.values()
        self.entries.extend(node for node in children if id(node) not in known)  # only here so far
        self.complete = True
        if self._hidden not in (0, self._directory.hidden):
            place, count = self._prefix or "/", self._hidden
            log.warning("%s: %d keys cannot be file names and are hidden", place, count)
        self._directory.hidden = self._hidden
