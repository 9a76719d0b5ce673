# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The namespace: which names exist and what they are, from one cache that listings feed.

A directory is a prefix, a file is an object. What this mount does itself is seen at once; what
others do is seen within `ttl` seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import trio

from kontenumfs.store.api import ObjectInfo, Store
from kontenumfs.store.outage import Outage
from kontenumfs.tree.attribute_fetcher import AttributeFetcher
from kontenumfs.tree.cache import NameCache
from kontenumfs.tree.changes import OwnChanges
from kontenumfs.tree.fetcher import Fetcher
from kontenumfs.tree.kernel import Kernel, NoKernel
from kontenumfs.tree.listing import Listing
from kontenumfs.tree.node import Directory, File, Node
from kontenumfs.tree.observations import Observations
from kontenumfs.tree.prefetch import Prefetcher
from kontenumfs.tree.reader import DirectoryReader
from kontenumfs.tree.recall import Recall
from kontenumfs.tree.refresh import expire_path, invalidate
from kontenumfs.tree.remembered import RememberedAttributes
from kontenumfs.tree.series import Series


@dataclass(frozen=True, slots=True)
class Statistics:
    """Numbers of one tree.

    Args:
        entries: names in memory.
        hidden: how many keys cannot be shown, by the prefix of their directory.
        answered: lookups that memory has answered.
        asked: lookups that the store had to be asked for.
    """

    entries: int
    hidden: dict[str, int]
    answered: int
    asked: int


class Tree:
    """One mount's names and attributes: the facade of this package.

    Methods that are not `async` never wait, and take effect before they return. The others may
    ask the store; a cancelled one leaves the cache as if it had not been called, or with what it
    had learnt by then. Many who want the same ask once. Errors of the store come as they are
    (KontenumError), to each who waits for the answer.

    Args:
        store: the bucket.
        prefix: what every key of this mount starts with: empty, or ends with a slash.
        ttl: seconds that an answer of the store is believed.
        entries: names that are kept in memory.
        heads: how many HEAD requests run side by side at most.
        trust_listings: stat() shows what listings tell, and no HEAD is sent for it.
        remembered: attributes that earlier mounts have learnt.
        kernel: is told of changes that the kernel did not ask for.
        clock: monotonic seconds.
        outage: while it lasts, what is known answers; None: what is older than `ttl` never does.
    """

    def __init__(
        self,
        store: Store,
        *,
        prefix: str = "",
        ttl: float = 60.0,
        entries: int = 1_000_000,
        heads: int = 16,
        trust_listings: bool = False,
        remembered: RememberedAttributes | None = None,
        kernel: Kernel | None = None,
        clock: Callable[[], float] = trio.current_time,
        outage: Outage | None = None,
    ) -> None:
        remembered = remembered or RememberedAttributes(None, limit=0)
        self._kernel = kernel = kernel or NoKernel()
        self._cache = cache = NameCache(
            prefix=prefix, ttl=ttl, entries=entries, kernel=kernel, clock=clock, outage=outage
        )
        self._recall = Recall(cache, outage)
        self._changes = OwnChanges(cache, remembered)
        self._observations = observations = Observations(cache, remembered)
        self._fetcher = fetcher = Fetcher(
            store,
            cache,
            observations,
            remembered,
            parallel=heads,
            trust_listings=trust_listings,
        )
        self._reader = DirectoryReader(fetcher, cache, observations)
        series = Series()
        self._attributes = AttributeFetcher(
            cache,
            fetcher,
            observations,
            self._reader,
            remembered,
            series,
            trust_listings=trust_listings,
        )
        self._prefetcher = Prefetcher(self._attributes, series, parallel=heads)
        self._answered = 0
        self._asked = 0
        self.clock = clock
        """Monotonic seconds: the clock of `Node.checked` and of every `when` here."""
        self.root = cache.root
        """The directory that is mounted."""

    # What exists

    async def lookup(self, parent: Directory, name: str) -> Node:
        """Return the node called `name` in `parent`.

        Costs nothing while an earlier answer is fresh; else the directory is listed where that
        is one page. Where it is more, there are one HEAD and one LIST of one key, side by side,
        and who asks for many names has page after page listed as well.

        Raises FileMissing where there is none, and NameTooLong where no key can be that long.
        """
        self._answered += 1
        known = self._reader.find(parent, name)
        if known is not None:
            return known
        self._answered -= 1
        self._asked += 1
        return await self._recall.name(parent, name, lambda: self._reader.fetch(parent, name))

    async def children(self, parent: Directory) -> list[Node]:
        """Return everything in `parent`, in the order of names; list it when the cache is stale.

        Raises UnexpectedAnswer where its listing has no end.
        """
        return await self._reader.children(parent)

    async def open_listing(self, parent: Directory) -> Listing | None:
        """Return the listing of `parent` to read from; None where `children` needs no request.

        All who read at the same time share one. It goes on being right about what this mount
        does meanwhile, as its entries are nodes: skip those that are `removed`.
        """
        return await self._recall.listing(parent, lambda: self._reader.open_listing(parent))

    def current(self, node: Node) -> Node:
        """Return the node that has the name of `node` by now, for it may have been evicted.

        Call it before the kernel is told of an entry that a listing has shown earlier.
        """
        return self._cache.current(node)

    def freshness(self, when: float) -> float:
        """Return for how many more seconds what was confirmed at `when` is believed, 0 if not."""
        return self._cache.freshness(when)

    # Attributes

    def attributes_known(self, node: Node) -> bool:
        """Return True if `fetch_attributes` would ask nobody, and `stat_of` tells the truth."""
        return self._attributes.known(node)

    async def fetch_attributes(self, node: Node, *, exact: bool = False) -> None:
        """Make sure that the attributes of `node` are known, by one HEAD where they are not.

        Files that are wanted one after another are asked for ahead, while `run` runs.

        Args:
            exact: know them so well that a request may replace them: what listings tell is not
                enough then.

        Raises FileMissing when the object has gone meanwhile.
        """
        await self._recall.attributes(
            node, lambda: self._attributes.fetch(node, exact=exact), exact=exact
        )

    async def revalidate(self, node: File) -> None:
        """Ask what the object of `node` is now, whatever is remembered of it.

        Changes nothing if the file is written here, or loses its name, meanwhile. Raises
        FileMissing when the object has gone.
        """
        await self._recall.attributes(node, lambda: self._attributes.revalidate(node), exact=True)

    async def run(self) -> None:
        """Ask for attributes ahead of who wants one after another, until cancelled."""
        await self._prefetcher.run()

    # Changes of this mount; call them without a checkpoint after the store's answer

    def add_file(self, parent: Directory, name: str) -> File:
        """Return a new file, which has `name` at once and exists only here until it is stored."""
        return self._changes.add_file(parent, name)

    def add_directory(self, parent: Directory, name: str, info: ObjectInfo) -> Directory:
        """Return a new empty directory, whose marker the store has taken as `info` says.

        Where the store keeps no marker of it (`info` has no ETag then), it stays until rmdir.
        """
        return self._changes.add_directory(parent, name, info)

    def stored(self, node: File | Directory, info: ObjectInfo) -> None:
        """Record that the store has taken a file, or the marker of a directory, as `info` says."""
        if isinstance(node, File):
            self._changes.file_stored(node, info)
        else:
            self._changes.marker_stored(node, info)

    def observed(self, node: File, info: ObjectInfo, when: float) -> None:
        """Record all that a HEAD which was sent at `when` has told of the object of `node`."""
        self._observations.described(node, info, when)

    def attributes_changed(self, node: Node) -> None:
        """Have the kernel ask again for attributes that changed by no request of its own."""
        self._cache.attributes_changed(node)

    def remove(self, node: Node) -> None:
        """Record that `node` was deleted; its directory stays, even when it is empty now."""
        self._changes.remove(node)

    def discard(self, node: Node) -> None:
        """Drop `node`, made here and never stored: what is stored of its name is seen at once."""
        self._changes.discard(node)

    def restore(self, node: File) -> None:
        """Give `node` its name back: its object is gone, and who has it open makes it anew."""
        self._changes.restore(node)

    def move(self, node: Node, parent: Directory, name: str) -> None:
        """Give `node` a new name, over whatever had it; its inode number is kept."""
        self._changes.move(node, parent, name)

    def invalidate(self, parent: Directory, name: str) -> None:
        """Believe nothing any more of one name, of which a change has failed half-way."""
        invalidate(self._cache, parent, name)
        self._reader.begin_anew(parent)

    # The mount

    def forgotten(self, node: Node) -> None:
        """Evict `node`, which the kernel knows no more, if there are too many names."""
        self._cache.eviction.forgotten(node)

    async def refresh(self, node: Node, path: str = "", *, recursive: bool = False) -> int:
        """Believe nothing any more of `node` and the names in it, but ask nobody.

        Takes effect at once, for whoever asks from then on, also where an answer is under way.

        Args:
            path: names of what is meant, below `node`.
            recursive: nor of anything below it.

        Returns how many names the kernel was told to look up again, when it has let go of them.
        """
        self._reader.begin_anew()
        self._fetcher.outdate()
        entries = expire_path(self._cache, node, path, recursive=recursive)
        await self._kernel.entries_changed(entries)
        return len(entries)

    async def close(self) -> None:
        """Tell the kernel nothing from now on; return when it has let go of what it was told."""
        await self._kernel.end()

    @property
    def statistics(self) -> Statistics:
        """The numbers of now."""
        eviction = self._cache.eviction
        return Statistics(
            entries=eviction.entries,
            hidden={d.key or "/": d.hidden for d in eviction.directories if d.hidden},
            answered=self._answered,
            asked=self._asked,
        )
