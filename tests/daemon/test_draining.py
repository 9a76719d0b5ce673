# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The last uploads of a mount: within one deadline, and what is lost is named."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.daemon.draining import Draining

DEADLINE = 5.0


class Files:
    """What is open: stored in some seconds, or not at all."""

    def __init__(self, *turns: Callable[[list[str]], Awaitable[None]]) -> None:
        self._turns = list(turns)

    async def drain(self, lost: list[str]) -> None:
        """See writing.files.OpenFiles."""
        await self._turns.pop(0)(lost)

    def unsent(self) -> list[str]:
        """See writing.files.OpenFiles."""
        return ["key: 7 bytes were not sent"]


class Stopping:
    """Nobody is told."""

    @asynccontextmanager
    async def stopping(self) -> AsyncIterator[None]:
        """See daemon.service.Service."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            yield
            nursery.cancel_scope.cancel()


async def hangs(lost: list[str]) -> None:
    """The store does not answer."""
    await trio.sleep_forever()


async def stores(lost: list[str]) -> None:
    """All is stored."""
    await trio.sleep(1)


async def refuses(lost: list[str]) -> None:
    """One file is not."""
    lost.append("other: refused")


async def fails(lost: list[str]) -> None:
    """A defect, after one file."""
    lost.append("other: refused")
    raise ZeroDivisionError("a defect")


async def test_two_ends_have_one_deadline(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """SIGTERM, and then the kernel's last word: not twice as long, and each loss is told once."""
    lost: list[str] = []
    draining = Draining(Files(hangs, hangs), Stopping(), DEADLINE, lost)
    began = trio.current_time()
    await draining.run()
    await draining.run()
    assert trio.current_time() - began == pytest.approx(DEADLINE)
    assert lost == ["key: 7 bytes were not sent"]
    assert [record.getMessage() for record in caplog.records] == [f"not stored: {lost[0]}"]
    caplog.clear()


async def test_what_is_stored_is_not_lost(autojump_clock: MockClock) -> None:
    """Nothing is told."""
    lost: list[str] = []
    draining = Draining(Files(stores, stores), Stopping(), DEADLINE, lost)
    await draining.run()
    await draining.run()
    assert lost == []


async def test_a_failed_file_that_is_forgotten_stays_named(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The second time it is not open any more."""
    lost: list[str] = []
    draining = Draining(Files(refuses, stores), Stopping(), DEADLINE, lost)
    await draining.run()
    await draining.run()
    assert lost == ["other: refused"]
    caplog.clear()


async def test_a_defect_hides_no_loss(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is an incident, and what is not stored is named all the same."""
    lost: list[str] = []
    await Draining(Files(fails), Stopping(), DEADLINE, lost).run()
    assert lost == ["other: refused", "key: 7 bytes were not sent"]
    assert caplog.records[0].getMessage() == "storing what is left"
    caplog.clear()
