# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The end of a mount while programs are still writing: what was closed stays as it is."""

import os
import random

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol.errors import AccessDenied
from tests.doubles.fake import FakeStore
from tests.writing.harness import workbench
from tests.writing.test_memory import SlowStore


@pytest.mark.parametrize("moment", range(0, 40, 2))
async def test_drain_meets_files_that_are_being_closed(
    moment: int, autojump_clock: MockClock
) -> None:
    """Whenever it comes: a file that was closed since is not published again, empty."""
    store: FakeStore = SlowStore(random.Random(moment))
    async with workbench(store) as bench:

        async def copy(name: str) -> None:
            handle = await bench.open(name)
            await handle.write(0, b"content of " + name.encode())
            await bench.close(handle)

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(copy, f"f{number}")
            await trio.sleep(moment / 1000)
            lost: list[str] = []
            await bench.files.drain(lost)
    assert lost == []
    for number in range(8):
        assert store.data(f"f{number}") == f"content of f{number}".encode()


async def test_what_was_touched_before_the_end(autojump_clock: MockClock) -> None:
    """`touch .part`: closed, empty, and waiting for its final name when the mount ends."""
    store = FakeStore()
    async with workbench(store) as bench:
        await bench.close(await bench.open(".f.abcdef", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        assert store.objects == {}
        lost: list[str] = []
        await bench.files.drain(lost)
    assert lost == []
    assert store.data(".f.abcdef") == b""


class TroubledStore(FakeStore):
    """One key is refused, another never gets an answer."""

    async def _enter(self, operation: str, key: str, sent: int = 0) -> None:
        if key == "refused":
            raise AccessDenied("no", code="AccessDenied", operation=operation, resource=key)
        if key == "silent":
            await trio.sleep_forever()
        await super()._enter(operation, key, sent)


async def test_a_deadline_leaves_nothing_unnamed(autojump_clock: MockClock) -> None:
    """What is refused and what gets no answer are both told, and keep nobody else waiting."""
    store = TroubledStore()
    async with workbench(store) as bench:
        for name in ("silent", "refused", "good"):
            handle = await bench.open(name)
            await handle.write(0, b"content")
        lost: list[str] = []
        with trio.move_on_after(60) as scope:
            await bench.files.drain(lost)
        assert scope.cancelled_caught
        assert [line.partition(":")[0] for line in lost] == ["refused"]
        assert bench.files.unsent() == ["silent: 7 bytes were not sent"]
        assert store.data("good") == b"content"
