# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Locks on names: requests take time, and nothing may come between those of a rename."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from kontenumfs.tree.node import Directory, Node


@dataclass(eq=False, slots=True)
class NamespaceLock:
    """One change that waits or takes place.

    Args:
        held: nodes that nobody else may touch, nor what is below them.
        within: directories that must stay where they are.
    """

    held: tuple[Node, ...]
    within: tuple[Directory, ...]
    task: trio.lowlevel.Task = field(default_factory=trio.lowlevel.current_task)
    ended: trio.Event = field(default_factory=trio.Event)

    def excludes(self, other: "NamespaceLock") -> bool:
        """Tell whether `other` must wait for this one; the same is true the other way round."""
        return _covers(self.held, other.held + other.within) or _covers(
            other.held, self.held + self.within
        )


def _covers(held: tuple[Node, ...], nodes: tuple[Node, ...]) -> bool:
    """Tell whether one of `nodes` is held, or below a node that is."""
    for node in nodes if held else ():
        at: Node | None = node
        while at is not None:
            if at in held:
                return True
            at = at.parent
    return False


class NamespaceLocks:
    """Changes of names in the order in which they came; those that do not meet run side by side.

    A task has one of them at a time: each is given as a whole, so that no two wait for each other.
    """

    def __init__(self) -> None:
        self._locks: list[NamespaceLock] = []

    @asynccontextmanager
    async def hold(self, *held: Node, within: tuple[Directory, ...] = ()) -> AsyncIterator[None]:
        """Let no other change touch `held`, or move what `within` names, in the block.

        Waits for all changes that came before and are in the way. A task that holds a lock already
        is a defect: AssertionError.
        """
        lock = NamespaceLock(held, within)
        earlier = self._locks.copy()
        assert all(other.task is not lock.task for other in earlier), "one namespace lock a task"
        self._locks.append(lock)
        try:
            for other in earlier:
                # Judged when its turn comes: directories may have been moved meanwhile.
                if not other.ended.is_set() and other.excludes(lock):
                    await other.ended.wait()
            yield
        finally:
            self._locks.remove(lock)
            lock.ended.set()
