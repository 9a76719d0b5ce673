# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The tree against a history of the bucket: it shows nothing that was not true within the ttl."""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from kontenumfs.protocol.errors import FileMissing
from kontenumfs.store.api import Attributes
from kontenumfs.tree.node import Directory, File, Node
from kontenumfs.tree.remembered import RememberedAttributes
from kontenumfs.tree.tree import Tree
from tests.tree.conftest import EPOCH, StagedStore

TTL = 60.0
PATHS = ["a", "d/a", "d/b", "d/e/a", "b/x", "b"]
WAITS = [1.0, 20.0, 40.0, TTL - 1, TTL, TTL + 10]
"""Seconds: one for each path."""
DIRECTORIES = ["b", "d", "d/e"]
Shown = str | None
"""``dir``, what a file's attributes say of its version, or None for nothing."""


@dataclass(frozen=True)
class Moment:
    """What the bucket had from `since` on: a version for each key."""

    since: float
    versions: dict[str, str]

    def shows(self, path: str) -> Shown:
        """What a mount would show of it."""
        if any(key.startswith(f"{path}/") for key in self.versions):
            return "dir"
        return self.versions.get(path)


class World:
    """A bucket, a mount of it, others who change it, and its history."""

    def __init__(self, *, large: bool, limit: int) -> None:
        self.store = StagedStore()
        remembered = RememberedAttributes(None, limit=0, wall=lambda: EPOCH + trio.current_time())
        self.tree = Tree(self.store, ttl=TTL, remembered=remembered, entries=limit)
        self.tree.root.large = large
        self.history = [Moment(float("-inf"), {})]
        self.own: dict[str, int] = {}
        """How much history there was when this mount changed a path itself, or refreshed it."""
        self.own_directories: set[str] = set()
        self.own_files: set[str] = set()
        """Changed here, where others may have made a directory that was not seen yet."""
        self.versions = itertools.count()

    # Changes

    async def foreign(self, key: str, body: bytes) -> None:
        """Somebody else writes."""
        await trio.sleep(3)  # else the same bytes with other metadata would look the same
        await self._put(key, body)

    async def _put(self, key: str, body: bytes) -> str:
        version = f"v{next(self.versions)}"
        await self.store.put(key, [body], Attributes({"version": version}))
        self._note({**self.history[-1].versions, key: version})
        return version

    def _note(self, versions: dict[str, str]) -> None:
        self.history.append(Moment(trio.current_time(), versions))

    async def vanish(self, key: str) -> None:
        """Somebody else deletes."""
        await self.store.delete(key)
        self._note({k: v for k, v in self.history[-1].versions.items() if k != key})

    def _changed_here(self, path: str) -> None:
        self.own[path] = len(self.history) - 1
        self.own_files.add(path)

    def _emptied_here(self, path: str) -> None:
        """The directories above have lost a key, perhaps their last: they stay until a refresh."""
        self._changed_here(path)
        while "/" in path:
            path = path.rpartition("/")[0]
            self.own_directories.add(path)

    async def _find(self, path: str) -> Node | None:
        at: Node = self.tree.root
        for name in path.split("/") if path else ():
            if not isinstance(at, Directory):
                return None
            try:
                at = await self.tree.lookup(at, name)
            except FileMissing:
                return None
        return at

    async def write(self, path: str) -> None:
        """This mount writes a file, where its directory is."""
        parent = await self._find(path.rpartition("/")[0])
        node = await self._find(path)
        if not isinstance(parent, Directory) or isinstance(node, Directory):
            return
        file = node if isinstance(node, File) else self.tree.add_file(parent, path.split("/")[-1])
        await self._put(path, b"own")
        self.tree.stored(file, await self.store.head(path))
        self._changed_here(path)

    async def remove(self, path: str) -> None:
        """This mount deletes a file that it sees."""
        node = await self._find(path)
        if isinstance(node, File):
            await self.vanish(path)
            self.tree.remove(node)
            self._emptied_here(path)

    async def rename(self, path: str) -> None:
        """This mount renames a file that it sees to one that nobody else has."""
        node = await self._find(path)
        parent = node.parent if node is not None else None
        if not isinstance(node, File) or parent is None or path not in self.store.objects:
            return
        target = path + "-renamed"
        version = self.history[-1].versions[path]
        await self.store.copy(path, target)
        await self.store.delete(path)
        versions = {k: v for k, v in self.history[-1].versions.items() if k != path}
        self._note({**versions, target: version})
        self.tree.stored(node, await self.store.head(target))
        self.tree.move(node, parent, node.name + "-renamed")
        self._emptied_here(path)
        self._changed_here(target)

    async def wait(self, path: str) -> None:
        """Time passes."""
        await trio.sleep(WAITS[PATHS.index(path)])

    async def refresh(self, _: str) -> None:
        """Nothing is believed from here on."""
        await self.tree.refresh(self.tree.root, recursive=True)
        for path in (*PATHS, *DIRECTORIES, *self.own):
            self.own[path] = len(self.history) - 1
        self.own_directories.clear()

    # What is seen

    async def look(self, path: str) -> None:
        """stat() of one path."""
        self._check(path, await self._shown(await self._find(path)))

    async def walk(self, _: str) -> None:
        """Everything, as find sees it: what it does not name it takes for absent."""
        seen: dict[str, Shown] = {}
        waiting = [self.tree.root]
        while waiting:
            for node in await self.tree.children(waiting.pop()):
                seen[node.key.rstrip("/")] = await self._shown(node)
                if isinstance(node, Directory):
                    waiting.append(node)
        for path in {*seen, *PATHS, *DIRECTORIES}:
            self._check(path, seen.get(path))

    async def _shown(self, node: Node | None) -> Shown:
        if node is None:
            return None
        if isinstance(node, Directory):
            return "dir"
        try:
            await self.tree.fetch_attributes(node)
        except FileMissing:
            return None
        info = node.info
        return info.attributes.metadata["version"] if info and info.attributes else None

    def _check(self, path: str, shown: Shown) -> None:
        window = self._window(self.own.get(path, 0))
        allowed = {moment.shows(path) for moment in window}
        if path in self.own_directories:
            allowed.add("dir")
        if path in self.own_files or any(shows not in ("dir", None) for shows in allowed):
            # That it is a file is one answer, and which version of it is another.
            allowed |= {moment.versions.get(path) for moment in window}
        above = _above(path)
        if any(parent in self.own_directories for parent in above):
            allowed.add(self.history[-1].shows(path))
        # A directory that is taken for a file, or for nothing, hides what is in it.
        if any(moment.shows(parent) != "dir" for moment in self._window(0) for parent in above):
            allowed.add(None)
        assert shown in allowed, (path, shown, allowed)

    def _window(self, first: int) -> list[Moment]:
        """What was true within the ttl, from a moment of the history on."""
        begin = trio.current_time() - TTL
        ends = [moment.since for moment in self.history[1:]] + [float("inf")]
        pairs = list(zip(self.history, ends, strict=True))[first:]
        return [moment for moment, until in pairs if until > begin]


def _above(path: str) -> list[str]:
    return ["/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 1)]


STEPS: dict[str, Callable[[World, str], Awaitable[None]]] = {
    "put": lambda world, path: world.foreign(path, path.encode()),
    "marker": lambda world, path: world.foreign(path + "/", b""),
    "vanish": World.vanish,
    "write": World.write,
    "remove": World.remove,
    "rename": World.rename,
    "refresh": World.refresh,
    "look": World.look,
    "walk": World.walk,
    "wait": World.wait,
}
programs = st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.sampled_from(PATHS)), max_size=60)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(program=programs, large=st.booleans(), limit=st.sampled_from([3, 1000]))
@example(program=[("put", "a"), ("look", "a"), ("put", "a"), ("walk", "a")], large=True, limit=3)
def test_nothing_is_shown_that_was_not_true_within_the_ttl(
    program: list[tuple[str, str]], large: bool, limit: int
) -> None:
    """Whoever changed it, by whatever way it is seen, however little memory there is."""

    async def main() -> None:
        world = World(large=large, limit=limit)
        for step, path in program:
            await STEPS[step](world, path)
        await world.walk("")

    trio.run(main, clock=MockClock(autojump_threshold=0))
