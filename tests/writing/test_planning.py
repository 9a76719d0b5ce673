# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Others are served while a file of many fragments is planned."""

import pytest
import trio
import trio.lowlevel

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import Unsupported
from kontenumfs.store.proof import CAPABLE
from kontenumfs.writing.extents import RemoteObject, Rope, whole
from kontenumfs.writing.planning import planned

GIB = 1 << 30


@pytest.mark.parametrize("count", [2_000, 20_000], ids=["planned", "refused"])
async def test_others_are_served_while_a_long_plan_is_made(count: int) -> None:
    """FAULTS 5.4: scattered writes into a large object, each of them a fragment."""
    current = RemoteObject("t", GIB, "etag")
    rope = whole(current)
    for number in range(count):
        rope.write(number * 50_000, b"x")
    served = 0

    async def serve() -> None:
        nonlocal served
        while True:
            await trio.lowlevel.checkpoint()
            served += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await trio.lowlevel.checkpoint()
        before = served
        target = RemoteObject("t", rope.size, "")
        if count > 10_000:
            with pytest.raises(Unsupported, match="too many fragments"):
                await planned(rope, target, current, CAPABLE, Limits())
        else:
            assert (await planned(rope, target, current, CAPABLE, Limits())).stages
        assert served > before + 1
        nursery.cancel_scope.cancel()


def test_a_snapshot_stays_as_it_is() -> None:
    """Whatever becomes of the rope that it was taken of."""
    rope = Rope()
    rope.write(10, bytes(100_000))
    same = rope.snapshot()
    rope.truncate(5)
    assert (same.size, same.literal, same.holes) == (100_010, 100_000, 10)
    assert sum(extent.length for extent in same) == same.size
