# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Tasks beside their callers, and requests side by side that fail together."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVarTuple

import trio

Ts = TypeVarTuple("Ts")


class Spawner(Protocol):
    """What runs tasks beside its callers: a nursery, or who watches over one."""

    def start_soon(
        self, call: Callable[..., Awaitable[Any]], /, *args: Any, name: object = None
    ) -> None:
        """Run `call` with `args`, beginning a moment later."""


@asynccontextmanager
async def open_flat_nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery that raises the first error itself, not a group that holds it."""
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        cause: BaseException = group
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        raise cause from None


async def each(call: Callable[[*Ts], Awaitable[None]], these: Iterable[tuple[*Ts]]) -> None:
    """Call with each of the arguments, side by side; the first error is raised, and ends all."""
    async with open_flat_nursery() as nursery:
        for arguments in these:
            nursery.start_soon(call, *arguments)
