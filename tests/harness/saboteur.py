# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The command line with a defect in it: ``python -m tests.harness.saboteur PLACE COMMAND ...``.

PLACE is ``begun:NAME`` for a background task that fails when it is begun, ``running:NAME`` for one
that fails later, ``call:NAME`` for one of the kernel's calls, ``main`` for the loop that hears the
kernel, ``drain`` for the last uploads. Each has one defect, and works after that: when it is begun
for the first time, or else when a file ``fail`` is beside the mountpoint.
"""

import importlib
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from kontenumfs.cli import main
from kontenumfs.daemon.supervision import Supervisor
from kontenumfs.fuse.operations import Operations
from kontenumfs.writing.files import OpenFiles

WORDS = "a defect that was put there"
LOOK_SECONDS = 0.05
Call = Callable[..., Awaitable[Any]]


class InjectedError(Exception):
    """What nobody expects."""


def once(call: Call, is_time: Callable[[], bool] = lambda: True) -> Call:
    """`call`, which fails the first time that it is called when `is_time`."""
    failed = False

    async def failing(*arguments: Any, **more: Any) -> Any:
        nonlocal failed
        if not failed and is_time():
            failed = True
            raise InjectedError(WORDS)
        return await call(*arguments, **more)

    return failing


def under_way(call: Call, trigger: Path) -> Call:
    """`call`, in which something fails as soon as there is a file, for the first time."""

    async def failing(*arguments: Any, **more: Any) -> Any:
        async with trio.open_nursery() as nursery:
            if not used:
                used.append(True)
                nursery.start_soon(_fail_when, trigger)
            await call(*arguments, **more)
            nursery.cancel_scope.cancel()

    used: list[bool] = []
    return failing


async def _fail_when(trigger: Path) -> None:
    while not trigger.exists():
        await trio.sleep(LOOK_SECONDS)
    raise InjectedError(WORDS)


def spoil_task(name: str, spoiled: Callable[[Call], Call]) -> None:
    """The supervisor's task of this name has the defect."""
    keep = Supervisor.keep

    def keep_spoiled(self: Supervisor, run: Any, called: str, **more: Any) -> None:
        keep(self, spoiled(run) if called == name else run, called, **more)

    supervisor: Any = Supervisor
    supervisor.keep = keep_spoiled


def spoil(place: str, trigger: Path) -> None:
    """Put the defect there."""
    # Here, for kontenumfs.fuse must be loaded first.
    fuse: Any = importlib.import_module("pyfuse3")
    files: Any = OpenFiles
    kind, _, name = place.partition(":")
    if kind == "begun":
        spoil_task(name, once)
    elif kind == "running":
        spoil_task(name, lambda run: under_way(run, trigger))
    elif kind == "call":
        setattr(Operations, name, once_as_method(name, trigger))
    elif kind == "drain":
        files.drain = _as_method(once(files.drain))
    else:
        fuse.main = under_way(fuse.main, trigger)


def _as_method(call: Call) -> Any:
    async def method(self: object, *arguments: Any, **more: Any) -> Any:
        return await call(self, *arguments, **more)

    return method


def once_as_method(name: str, trigger: Path) -> Any:
    """The method of this name, which fails once, called on any object."""
    return _as_method(once(getattr(Operations, name), trigger.exists))


if __name__ == "__main__":
    spoil(sys.argv[1], Path(sys.argv[-1]).with_name("fail"))
    sys.exit(main(sys.argv[2:]))
