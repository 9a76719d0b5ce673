# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Background tasks whose defects end nothing but what they were doing.

A mount that ends by itself is worse than one that lacks a helper: whoever writes next writes to the
bare directory below it.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.incidents import Incident, report

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 60.0
CALM_SECONDS = 300.0
"""A task that has run for so long begins to count anew."""


class Supervisor:
    """Runs tasks in a nursery that none of them ends, but one that is said to (`may_end`).

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

    def keep(
        self, run: Callable[[], Awaitable[object]], name: str, *, may_end: bool = False
    ) -> None:
        """Run `run` until it returns; after a defect it is begun again, later each time.

        Args:
            may_end: whether a UserError of it ends all the others, and is raised by the nursery.
        """
        self._nursery.start_soon(self._kept, run, name, may_end, name=f"{name}: {name_of(run)}")

    async def _once(self, call: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        await guarded(lambda: call(*args), f"background task {name_of(call)}")

    async def _kept(self, run: Callable[[], Awaitable[object]], name: str, may_end: bool) -> None:
        began = trio.current_time()
        failures = 0
        kind = UserError if may_end else ()
        while not await guarded(run, f"background task {name}", but=kind):
            if trio.current_time() - began > CALM_SECONDS:
                failures = 0
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 20))
            failures += 1
            await trio.sleep(longest / 2 + self._uniform(0, longest / 2))
            began = trio.current_time()


async def guarded(
    run: Callable[[], Awaitable[object]],
    operation: str,
    *,
    but: type[Exception] | tuple[type[Exception], ...] = (),
) -> bool:
    """Run `run`; returns whether it has returned, for a defect in it is an incident of `operation`.

    Only what ends more than one task passes: cancellation, an interrupt, an exit, and `but`. What
    else was in a group with them is an incident all the same.
    """
    try:
        await run()
    except but:
        raise
    except Exception as error:
        report(Incident("defect", operation, error))
        return False
    except BaseExceptionGroup as group:
        defects, rest = group.split(Exception)
        if defects is not None:
            report(Incident("defect", operation, defects))
        assert rest is not None, "a group of nothing but defects is an Exception"
        raise rest from None
    return True


def name_of(call: object) -> str:
    """Return a task's name in an incident."""
    call = getattr(call, "func", call)  # of a partial
    return str(getattr(call, "__qualname__", call))
