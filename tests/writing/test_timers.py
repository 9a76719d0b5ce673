# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Slow writers' bytes are sent when their time has come, and cost others nothing until then."""

from functools import partial

import trio
import trio.lowlevel
from trio.testing import MockClock

from kontenumfs.writing.timers import Timers
from tests.doubles.fake import FakeStore
from tests.writing.harness import workbench
from tests.writing.test_meetings import APPEND


async def test_what_is_set_comes_in_the_order_of_time(autojump_clock: MockClock) -> None:
    """Also what is set while others wait, and what is set for an earlier time."""
    timers = Timers()
    came: list[tuple[float, str]] = []
    start = trio.current_time()

    def come(item: str) -> None:
        came.append((round(trio.current_time() - start, 3), item))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        await trio.sleep(1)
        for after, item in ((3, "last"), (1, "first"), (2, "second")):
            timers.call_at(trio.current_time() + after, partial(come, item))
            await trio.lowlevel.checkpoint()
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert came == [(2, "first"), (3, "second"), (4, "last")]


async def test_many_slow_writers_are_all_seen_in_time(autojump_clock: MockClock) -> None:
    """A line in each of 2,000 open logs: every one is stored a second later."""
    store = FakeStore()
    async with workbench(store) as bench:
        logs = [await bench.open(f"log-{number}", APPEND) for number in range(2000)]
        for log in logs:
            await log.write(0, b"line\n")
        await trio.sleep(5)
        assert sum(key.startswith("log-") for key in store.objects) == 2000
        for log in logs:
            await bench.close(log)
