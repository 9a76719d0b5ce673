# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Background tasks whose defects end nothing but what they were doing.

A mount that ends by itself is worse than one that lacks a helper: whoever writes next writes to the
bare directory below it.
"""

import random
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import trio

from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.incidents import Incident, report

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 60.0
CALM_SECONDS = 300.0
"""A task that has run for so long begins to count anew."""


class Supervisor:
    """Runs tasks in a nursery that none of them can end but by a UserError.

    Args:
        nursery: lives as long as the mount.
        uniform: a random number between two others; injected by tests.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._nursery = nursery
        self._uniform = uniform

    def start_soon(
        self, call: Callable[..., Awaitable[Any]], *args: Any, name: object = None
    ) -> None:
        """Run `call` once; what it fails with is an incident."""
        self._nursery.start_soon(self._once, call, args, name=name or name_of(call))

    def keep(self, run: Callable[[], Awaitable[object]], name: str) -> None:
        """Run `run` until it returns; after a defect it is begun again, later each time."""
        self._nursery.start_soon(self._kept, run, name, name=f"{name}: {name_of(run)}")

    async def _once(self, call: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        await self._guarded(lambda: call(*args), name_of(call))

    async def _kept(self, run: Callable[[], Awaitable[object]], name: str) -> None:
        began = trio.current_time()
        failures = 0
        for _ in count():
            if await self._guarded(run, name):
                return
            if trio.current_time() - began > CALM_SECONDS:
                failures = 0
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 20))
            failures += 1
            await trio.sleep(longest / 2 + self._uniform(0, longest / 2))
            began = trio.current_time()

    async def _guarded(self, run: Callable[[], Awaitable[object]], name: str) -> bool:
        """Whether it has returned; a group is a defect if anything in it is one."""
        try:
            await run()
        except UserError:
            raise
        except Exception as error:
            report(Incident("defect", f"background task {name}", error))
            return False
        except BaseExceptionGroup as group:
            cancelled, rest = group.split(trio.Cancelled)
            if cancelled is not None or rest is None or not isinstance(rest, ExceptionGroup):
                raise
            report(Incident("defect", f"background task {name}", rest))
            return False
        return True


def name_of(call: object) -> str:
    """What a task is called in an incident."""
    call = getattr(call, "func", call)  # of a partial
    return str(getattr(call, "__qualname__", call))
