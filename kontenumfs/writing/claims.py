# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Who may change names now: requests take time, and nothing may come between those of a rename."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from kontenumfs.tree.node import Directory, Node


@dataclass(eq=False, slots=True)
class Claim:
    """One change that waits or takes place.

    Args:
        held: nodes that nobody else may touch, nor what is below them.
        within: directories that must stay where they are.
    """

    held: tuple[Node, ...]
    within: tuple[Directory, ...]
    ended: trio.Event = field(default_factory=trio.Event)

    def forbids(self, other: "Claim") -> bool:
        """Whether `other` must wait for this one; the same is true the other way round."""
        return _covers(self.held, other.held + other.within) or _covers(
            other.held, self.held + self.within
        )


def _covers(held: tuple[Node, ...], nodes: tuple[Node, ...]) -> bool:
    """Whether one of `nodes` is held, or below a node that is."""
    for node in nodes if held else ():
        at: Node | None = node
        while at is not None:
            if at in held:
                return True
            at = at.parent
    return False


class Claims:
    """Changes of names in the order in which they came; those that do not meet run side by side.

    A task that has a claim must not ask for a second one: each is given as a whole, so that no
    two wait for each other.
    """

    def __init__(self) -> None:
        self._claims: list[Claim] = []

    @asynccontextmanager
    async def hold(self, *held: Node, within: tuple[Directory, ...] = ()) -> AsyncIterator[None]:
        """In the block, no other claim touches `held` or moves what `within` names.

        Waits for all claims that came before and are in the way.
        """
        claim = Claim(held, within)
        earlier = self._claims.copy()
        self._claims.append(claim)
        try:
            for other in earlier:
                # Judged when its turn comes: directories may have been moved meanwhile.
                if not other.ended.is_set() and other.forbids(claim):
                    await other.ended.wait()
            yield
        finally:
            self._claims.remove(claim)
            claim.ended.set()
