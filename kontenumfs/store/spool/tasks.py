# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The same for each of several things, side by side."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVarTuple

from kontenumfs.store.tasks import open_flat_nursery

Ts = TypeVarTuple("Ts")


async def each(call: Callable[[*Ts], Awaitable[None]], these: Iterable[tuple[*Ts]]) -> None:
    """Call with each of the arguments; the first error is raised, and ends the others."""
    async with open_flat_nursery() as nursery:
        for arguments in these:
            nursery.start_soon(call, *arguments)
