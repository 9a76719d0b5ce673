# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Storing what is left when a mount ends, within one deadline; what is lost is named."""

import logging
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import trio

from kontenumfs.daemon.supervision import guarded

log = logging.getLogger(__name__)


class Files(Protocol):
    """The open files (writing.files.OpenFiles)."""

    async def drain(self, lost: list[str]) -> None:
        """Store everything; adds to `lost` what cannot be, and why."""

    def unsent(self) -> list[str]:
        """List the keys that are not stored."""


class Spool(Protocol):
    """What is acknowledged and not stored yet (store.spool.Spool)."""

    async def drain(self, seconds: float) -> int:
        """Send what can be sent; returns how many requests are left when time is up."""


class Stopping(Protocol):
    """The service manager's side of it (daemon.service.Service)."""

    def stopping(self) -> AbstractAsyncContextManager[None]:
        """Tell systemd of it while the block stores what is left."""


class Draining:
    """The last uploads of a mount.

    Args:
        deadline: seconds for all of it, from the first of its beginnings: a mount that is told to
            end stores what is left while requests are answered, and again when none comes any more.
        lost: gets the keys that could not be stored, each with the reason.
        spool: has what is safe on the disk, and goes to the store as long as there is time.
    """

    def __init__(
        self,
        files: Files,
        service: Stopping,
        deadline: float,
        lost: list[str],
        spool: Spool | None = None,
    ) -> None:
        self._files = files
        self._service = service
        self._deadline = deadline
        self._until: float | None = None
        self._done = False
        self._failed: list[str] = []
        self._lost = lost
        self._spool = spool
        self.left = 0
        """Requests that stay in the spool for the next mount."""

    async def run(self) -> None:
        """Store what is left; whatever happens, what could not be is named. Raises nothing."""
        if self._until is None:
            self._until = trio.current_time() + self._deadline
        self._done = False
        with trio.CancelScope(shield=True):
            await guarded(self._store, "storing what is left")
        # A failed file may be forgotten before it is drained a second time.
        before, found = list(self._lost), list(dict.fromkeys(self._failed))
        if not self._done:
            found += [line for line in self._files.unsent() if line not in found]
        self._lost[:] = found
        for line in found:
            if line not in before:
                log.error("not stored: %s", line)

    async def _store(self) -> None:
        assert self._until is not None
        async with self._service.stopping():
            with trio.CancelScope(deadline=self._until):
                await self._files.drain(self._failed)
                self._done = True
            if self._spool is not None:
                self.left = await self._spool.drain(max(0.0, self._until - trio.current_time()))
