# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The end of a mount as ``kontenumfs unmount`` follows it: what is pending, and what was lost."""

from collections.abc import Callable, Sequence
from typing import Any

import trio

from kontenumfs.daemon.control import Send

PROGRESS_SECONDS = 0.25
"""Between two lines of progress."""
LEAVE_SECONDS = 2.0
"""The longest that the end waits for its followers to hear of it."""


class Shutdown:
    """The end of one mount.

    Args:
        pending: what is not stored yet, for the lines of progress.
    """

    def __init__(self, pending: Callable[[], dict[str, Any]]) -> None:
        self._pending = pending
        self._lost: list[str] = []
        self._left = ""
        self._over = trio.Event()
        self._followers = 0
        self._alone = trio.Event()

    async def follow(self, request: dict[str, Any], send: Send) -> None:
        """Answer the control command: a line now and then, and ``lost`` and ``left`` at the end."""
        self._followers += 1
        try:
            while not self._over.is_set():
                await send(self._pending())
                with trio.move_on_after(PROGRESS_SECONDS):
                    await self._over.wait()
            await send({"lost": self._lost, "left": self._left})
        finally:
            self._followers -= 1
            if not self._followers:
                self._alone.set()
                self._alone = trio.Event()

    async def announce(self, lost: Sequence[str], left: str = "") -> None:
        """Tell all followers that everything is stored but `lost`, and what the spool has."""
        self._lost = list(lost)
        self._left = left
        self._over.set()
        with trio.move_on_after(LEAVE_SECONDS, shield=True):
            while self._followers:
                await self._alone.wait()
