# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One listing of a directory, fetched once for all who read it, page by page as they need it."""

from typing import TYPE_CHECKING

from kontenumfs.protocol.names import is_mappable
from kontenumfs.store.api import ListPage
from kontenumfs.store.single_flight import SingleFlight
from kontenumfs.tree.node import Directory, Node
from kontenumfs.tree.progress import Progress
from kontenumfs.tree.sightings import Sightings

if TYPE_CHECKING:
    from kontenumfs.tree.tree import Tree


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
        self._sightings = Sightings(tree, directory, tree.clock())
        self._progress = Progress(directory.key)
        self._pages = SingleFlight[None]()
        self._token: str | None = None
        self._last = ""
        self.entries: list[Node] = []
        """What has come so far; only ever added to."""
        self.pages = 0
        self.complete = False

    @property
    def is_lost(self) -> bool:
        """Whether no end will come: who wants the directory must begin anew."""
        return bool(self._progress.lost)

    @property
    def began(self) -> float:
        """When the first page was asked for, on the tree's clock."""
        return self._sightings.began

    def covers(self, name: str) -> bool:
        """Whether what has come tells if there is a file or directory called `name`."""
        if not self._sightings.is_whole or self._sightings.doubts(name):
            return False
        return self.complete or f"{self._sightings.prefix}{name}/" <= self._last

    async def read_beyond(self, count: int) -> bool:
        """Return whether there are more than `count` entries, once that is known."""
        while len(self.entries) <= count and not self.complete:
            await self._read_page()
        return len(self.entries) > count

    async def read_to_page(self, number: int) -> None:
        """Return when `number` pages have come, or all there are."""
        while self.pages < number and not self.complete:
            await self._read_page()

    async def finish(self) -> None:
        """Fetch what is left."""
        while not self.complete:
            await self.read_beyond(len(self.entries))

    async def _read_page(self) -> None:
        """Take one more page; raises UnexpectedAnswer where more would lead nowhere."""
        self._progress.check()
        await self._pages.run("next", self._ask)

    async def _ask(self) -> None:
        prefix = self._sightings.prefix
        page = await self._tree.list_page(prefix, delimiter="/", token=self._token)
        before, unseen = len(self.entries), False
        for common in page.prefixes:
            name = common[len(prefix) : -1]
            unseen = unseen or not self._has_seen(name)
            self._add(self._sightings.prefix_seen(name))
        for info in page.objects:
            name = info.key[len(prefix) :]
            unseen = unseen or not self._has_seen(name)
            self._add(self._sightings.object_seen(name, info))
        self._token = page.next_token
        self.pages += 1
        self._last = _last_key(page, self._last)
        if self._token is None:
            self._end()
        self._tree.room.make(self._directory)
        self._progress.made(page, unseen=unseen, shown=len(self.entries) > before)

    def _has_seen(self, name: str) -> bool:
        """Whether this listing has named it, where that is a name that can be shown."""
        node = self._directory.children.get(name)
        return not is_mappable(name) or (node is not None and node.checked >= self.began)

    def _add(self, node: Node | None) -> None:
        if node is not None:
            self.entries.append(node)

    def _end(self) -> None:
        self.entries += self._sightings.end()
        self.entries += self._others()
        self._directory.large = self.pages > 1
        self.complete = True

    def _others(self) -> list[Node]:
        """What the listing did not name, and exists all the same: what is only here so far."""
        # What was checked by this listing alone has its time: a set of all would cost too much.
        known = {id(node) for node in self.entries if node.checked != self.began}
        return [
            node
            for node in self._directory.children.values()
            if node.checked != self.began
            and id(node) not in known
            and self._tree.confirmed(node, self.began)
        ]


def _last_key(page: ListPage, before: str) -> str:
    """Up to where a listing in byte order has come; nowhere, on a server that does not sort."""
    ends = [page.objects[-1].key] if page.objects else []
    ends += page.prefixes[-1:]
    firsts = [page.objects[0].key] if page.objects else []
    firsts += page.prefixes[:1]
    return max(ends) if ends and min(firsts) > before else ""
