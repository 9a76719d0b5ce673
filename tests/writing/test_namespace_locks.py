# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Names are locked as a whole and in order, so that no two changes wait for each other."""

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.tree.tree import Tree
from kontenumfs.writing.namespace_locks import NamespaceLocks
from tests.doubles.fake import FakeStore


async def test_a_task_holds_one_namespace_lock_at_a_time() -> None:
    """A second one could wait for somebody who waits for the first: that is a defect."""
    tree, locks = Tree(FakeStore()), NamespaceLocks()
    one, other = (tree.add_file(tree.root, name) for name in "ab")
    async with locks.hold(one):
        with pytest.raises(AssertionError, match="one namespace lock a task"):
            async with locks.hold(other):
                pass
    async with locks.hold(other):
        pass


async def test_changes_of_one_name_come_one_after_another(autojump_clock: MockClock) -> None:
    """And those of another name beside them."""
    tree, locks = Tree(FakeStore()), NamespaceLocks()
    nodes = {name: tree.add_file(tree.root, name) for name in "ab"}
    events: list[str] = []

    async def change(name: str, number: int) -> None:
        async with locks.hold(nodes[name]):
            events.append(f"{name}{number} begins")
            await trio.sleep(1)
            events.append(f"{name}{number} ends")

    async with trio.open_nursery() as nursery:
        for name, number in (("a", 1), ("a", 2), ("b", 1)):
            nursery.start_soon(change, name, number)
    of_a = [event for event in events if event.startswith("a")]
    assert sorted(of_a[:2]) == sorted(f"{of_a[0][:2]} {what}" for what in ("begins", "ends"))
    assert events.index("b1 begins") < events.index(of_a[1])
