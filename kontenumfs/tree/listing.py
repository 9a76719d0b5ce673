# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One listing of a directory, fetched once for all who read it, page by page as they need it."""

from kontenumfs.protocol.errors import UnexpectedAnswer
from kontenumfs.protocol.names import is_mappable
from kontenumfs.store.api import ListPage
from kontenumfs.store.single_flight import SingleFlight
from kontenumfs.tree.cache import NameCache
from kontenumfs.tree.fetcher import Fetcher
from kontenumfs.tree.node import Directory, Node, exists_since
from kontenumfs.tree.observations import Observations
from kontenumfs.tree.reconciler import Reconciler

BARREN_PAGES = 1000
"""Pages in a row that show nothing.

Whether pages lead on is the gate's to judge (store.pages), which knows them by their whole
content. It cannot see that all their names are none that a file can have, or are old ones in ever
new company: then a readdir(2) would wait for its next entry for ever, and nobody could end it.
"""


class Listing:
    """The content of a directory, in the order in which the store tells it.

    Readers drive it: who needs an entry that has not come yet has the next page fetched, while
    the others wait for the same page. A reader that goes away leaves it as it is.

    Args:
        fetcher: asks for the pages.
        cache: makes room for the names.
        observations: is told of every name.
        directory: is listed.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        cache: NameCache,
        observations: Observations,
        directory: Directory,
    ) -> None:
        self._fetcher = fetcher
        self._cache = cache
        self._observations = observations
        self._directory = directory
        self._reconciler = Reconciler(observations, directory, cache.clock())
        self._barren = 0
        self._shown: set[Node] = set()
        """What the last page has shown: some servers tell a prefix on each page that it fills."""
        self._pages = SingleFlight[None]()
        self._token: str | None = None
        self._last = ""
        self.entries: list[Node] = []
        """The nodes that have come so far; only ever added to."""
        self.pages = 0
        self.complete = False
        self.lost = ""
        """Why no end will come, once that is known: who wants the directory must begin anew."""

    @property
    def began(self) -> float:
        """The time of the first request, on the cache's clock."""
        return self._reconciler.began

    def covers(self, name: str) -> bool:
        """Return True if what has come tells whether there is something called `name`."""
        if not self._reconciler.is_whole or self._reconciler.is_ambiguous(name):
            return False
        return self.complete or f"{self._reconciler.prefix}{name}/" <= self._last

    async def read_beyond(self, count: int) -> bool:
        """Return True if there are more than `count` entries, once that is known."""
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
        """Take one more page; raise UnexpectedAnswer where more would lead nowhere."""
        if self.lost:
            where = self._directory.key
            raise UnexpectedAnswer(self.lost, operation="ListObjectsV2", resource=where)
        try:
            await self._pages.run("next", self._ask)
        except UnexpectedAnswer as error:
            self.lost = error.message
            raise

    async def _ask(self) -> None:
        prefix = self._reconciler.prefix
        page = await self._fetcher.list_page(prefix, delimiter="/", token=self._token)
        is_barren = True
        seen: list[Node | None] = []
        for common in page.prefixes:
            name = common[len(prefix) : -1]
            is_barren = is_barren and not self._is_news(name)
            seen.append(self._reconciler.prefix_seen(name))
        for info in page.objects:
            name = info.key[len(prefix) :]
            is_barren = is_barren and not self._is_news(name)
            seen.append(self._reconciler.object_seen(name, info))
        shown = [node for node in seen if node is not None]
        self.entries += [node for node in shown if node not in self._shown]
        self._shown = set(shown)
        self._token = page.next_token
        self.pages += 1
        self._last = _last_key(page, self._last)
        self._barren = self._barren + 1 if is_barren else 0
        if self._token is None:
            self._end()
        elif self._barren >= BARREN_PAGES:
            self.lost = f"the listing goes on, and {self._barren} pages showed nothing"
        self._cache.eviction.make_room(self._directory)

    def _is_news(self, name: str) -> bool:
        """Return True for a name that can be shown, and that this listing has not named before."""
        node = self._directory.children.get(name)
        return is_mappable(name) and (node is None or node.checked < self.began)

    def _end(self) -> None:
        self.entries += self._reconciler.end()
        self.entries += self._others()
        self._observations.listing_is_large(self._directory, self.pages > 1)
        self.complete = True

    def _others(self) -> list[Node]:
        """Return what the listing did not name and exists all the same: what is only here."""
        # What was checked by this listing alone has its time: a set of all would cost too much.
        known = {id(node) for node in self.entries if node.checked != self.began}
        return [
            node
            for node in self._directory.children.values()
            if node.checked != self.began
            and id(node) not in known
            and exists_since(node, self.began)
        ]


def _last_key(page: ListPage, before: str) -> str:
    """Return how far a listing in byte order has come; nowhere, if the server does not sort."""
    ends = [page.objects[-1].key] if page.objects else []
    ends += page.prefixes[-1:]
    firsts = [page.objects[0].key] if page.objects else []
    firsts += page.prefixes[:1]
    return max(ends) if ends and min(firsts) > before else ""
