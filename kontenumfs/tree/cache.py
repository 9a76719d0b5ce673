# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Names in memory: which are known, for how long that is believed, and how one takes a name.

Everything that changes names is built upon this class: `observations` (what the store said),
`changes` (what this mount does itself) and `refresh` (what is believed no more).
"""

from collections.abc import Callable

from kontenumfs.protocol.errors import FileMissing
from kontenumfs.store.outage import PAUSE, Outage
from kontenumfs.tree.eviction import Eviction
from kontenumfs.tree.kernel import Kernel
from kontenumfs.tree.node import FOREVER, NEVER, Directory, Node, is_local

MISSING = 4096
"""Absent names that are remembered of one directory, beside what its listing tells."""


class NameCache:
    """Every name that the kernel was told of, and what listings said of the others.

    It asks nobody, and nothing in it awaits: between two lines that do not, what it tells stays
    true.

    Args:
        prefix: what every key of this mount starts with: empty, or ends with a slash.
        ttl: seconds that an answer of the store is believed.
        entries: names that are kept in memory.
        kernel: is told of changes that the kernel did not ask for.
        clock: monotonic seconds.
        outage: while it lasts, whatever is known is believed.
    """

    def __init__(
        self,
        *,
        prefix: str,
        ttl: float,
        entries: int,
        kernel: Kernel,
        clock: Callable[[], float],
        outage: Outage | None = None,
    ) -> None:
        self.ttl = ttl
        self.clock = clock
        self.root = Directory(None, prefix)
        self.root.own_since = FOREVER
        self.eviction = Eviction(entries, kernel)
        self._kernel = kernel
        self._outage = outage

    def fresh(self, when: float) -> bool:
        """Return True while an answer that was given at `when` is believed."""
        return self.clock() - when < self.ttl or self._is_all_there_is(when)

    def _is_all_there_is(self, when: float) -> bool:
        return self._outage is not None and self._outage.is_on and when != NEVER

    def freshness(self, when: float) -> float:
        """Return for how many more seconds an answer of `when` is believed."""
        least = PAUSE if self._is_all_there_is(when) else 0.0
        return max(least, when + self.ttl - self.clock())

    def find(self, parent: Directory, name: str, *, anyhow: bool = False) -> Node | None:
        """Return the node called `name`; None where only the store can tell.

        Args:
            anyhow: believe what is known, however old it is.

        Raises FileMissing where it is known that there is none. That is remembered of the name by
        itself: it stays known when the listing that has told it counts no more.
        """
        self.eviction.use(parent)
        node = parent.children.get(name)
        if node is not None:
            is_believed = anyhow or self.fresh(node.checked) or is_local(node)
            return node if is_believed else None
        since = parent.absent_since(name)
        if self.fresh(since) or (anyhow and since != NEVER):
            self.note_absent(parent, name, since)
            raise FileMissing(name)
        return None

    def current(self, node: Node) -> Node:
        """Return the node that has the name of `node`, or `node`, put back if it was evicted."""
        if node.parent is None or node.removed:
            return node
        return node.parent.children.setdefault(node.name, node)

    def put(self, parent: Directory, name: str, node: Node) -> None:
        """Let `node` have a name, over whatever has it now."""
        old = parent.children.get(name)
        if old is not None and old is not node:
            self.drop(parent, name)
        parent.children[name] = node
        parent.missing.pop(name, None)
        node.parent, node.name, node.removed = parent, name, False
        node.checked = self.clock()
        self.eviction.make_room(parent)

    def drop(self, parent: Directory, name: str) -> None:
        """Remove a name, which the kernel knows already, and with it what is in a directory."""
        node = parent.children.pop(name, None)
        if node is not None:
            node.removed = True
            self.eviction.dropped(node)

    def lose(self, parent: Directory, name: str) -> None:
        """Remove a name that others have deleted, and tell the kernel."""
        node = parent.children.get(name)
        if node is not None:
            self.drop(parent, name)
            if node.lookups:
                self._kernel.entry_changed(parent.inode, name)

    def note_absent(self, parent: Directory, name: str, when: float) -> None:
        """Remember that there was no `name` at `when`."""
        missing = parent.missing
        missing[name] = max(when, missing.get(name, when))
        if len(missing) > MISSING:
            del missing[next(iter(missing))]

    def entry_changed(self, parent: Directory, name: str) -> None:
        """Have the kernel look `name` up again."""
        self._kernel.entry_changed(parent.inode, name)

    def attributes_changed(self, node: Node) -> None:
        """Have the kernel ask again for the attributes of `node`, if it knows it."""
        if node.lookups:
            self._kernel.attributes_changed(node.inode)
