# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A mount as systemd's service: its status, its watchdog, and time to store what is left."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import trio

from kontenumfs.admin.mounts import ask_mount
from kontenumfs.admin.notify import Notifier
from kontenumfs.daemon.logs import LastError

log = logging.getLogger(__name__)

STATUS_SECONDS = 1.0
"""Between two looks at what the status says; it is sent when it has changed."""
EXTEND_SECONDS = 2.0
"""Between two requests for more time."""
EXTENSION_SECONDS = 10.0
"""The time that is asked for: a daemon that hangs is killed so much later."""
FEEDS = 3
"""Messages to the watchdog in the time that it allows."""


class Service:
    """The guest of a mount that talks with systemd; without systemd it does nothing.

    Args:
        title: what is mounted and where, for the status.
        mountpoint: what the watchdog's self-check asks, through the kernel.
        pending: what is not stored yet: ``pending_bytes``, ``open_files``, and with a spool
            ``spool_requests`` and ``spool_bytes``.
        patience: seconds in which the mount must answer, however busy it is: longer than any
            of its operations may take.
        errors: what the status says last.
    """

    def __init__(
        self,
        notifier: Notifier,
        title: str,
        mountpoint: Path,
        pending: Callable[[], dict[str, Any]],
        patience: float,
        errors: LastError,
    ) -> None:
        self._notifier = notifier
        self._title = title
        self._mountpoint = mountpoint
        self._pending = pending
        self._patience = patience
        self._errors = errors
        self._state = "starting"
        self._said = ""
        self._answers = True
        self.device: int | None = None
        """The device that the self-check must find at the mountpoint, once it is known."""

    async def run(self) -> None:
        """Keep the status true and the watchdog fed, until cancelled."""
        if not self._notifier:
            return
        async with trio.open_nursery() as nursery:
            if self._notifier.watchdog is not None:
                nursery.start_soon(self._feed, self._notifier.watchdog / FEEDS)
                nursery.start_soon(self._check, self._notifier.watchdog / FEEDS)
            while True:
                self._notify()
                await trio.sleep(STATUS_SECONDS)

    def ready(self) -> None:
        """Say that the mount has answered through the kernel."""
        self._state = "mounted"
        self._notify(READY=1)

    def gone(self) -> None:
        """Say that the mount is no longer in its place, and those who have files open go on."""
        self._state = "unmounted, with files still open"
        self._notify()

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Say that the block reads the settings anew."""
        self._notifier.reloading()
        try:
            yield
        finally:
            self._notify(READY=1)

    @asynccontextmanager
    async def stopping(self) -> AsyncIterator[None]:
        """Ask systemd for time for as long as the block stores what is left."""
        self._state = "storing what is left"
        self._notify(STOPPING=1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._extend)
            yield
            nursery.cancel_scope.cancel()

    def ended(self, lost: list[str], left: str = "") -> None:
        """Say that everything is stored but `lost`, and what is `left` in the spool."""
        stored = left or "everything is stored"
        self._state = f"{len(lost)} files could not be stored" if lost else stored
        self._notify()

    async def _extend(self) -> None:
        while True:
            self._notify(EXTEND_TIMEOUT_USEC=int(EXTENSION_SECONDS * 1e6))
            await trio.sleep(EXTEND_SECONDS)

    async def _feed(self, every: float) -> None:
        while True:
            if self._answers:
                self._notifier.send(WATCHDOG=1)
            await trio.sleep(every)

    async def _check(self, every: float) -> None:
        """Ask the mount through the kernel; once it does not answer, nobody feeds the watchdog."""
        while True:
            await trio.sleep(every)
            try:
                with trio.fail_after(self._patience):
                    await trio.to_thread.run_sync(
                        ask_mount, self._mountpoint, self.device, abandon_on_cancel=True
                    )
            except trio.TooSlowError:
                why = f"has not answered for {self._patience:g} s"
            except OSError as error:
                why = f"cannot be used: {error.strerror}"
            else:
                continue
            if self._state != "mounted":
                continue  # it has gone from the tree, as it should
            log.error("%s %s: leaving it to the watchdog", self._mountpoint, why)
            self._answers = False
            return

    def _notify(self, **variables: object) -> None:
        status = self._status()
        if variables or status != self._said:
            self._said = status
            self._notifier.send(**variables, STATUS=status)

    def _status(self) -> str:
        now = self._pending()
        files, pending = now["open_files"], now["pending_bytes"]
        parts = [f"{self._title}: {self._state}", f"{pending} bytes pending in {files} open files"]
        if waiting := now.get("spool_requests"):
            parts.append(f"{waiting} requests with {now['spool_bytes']} bytes in the spool")
        if self._errors.last:
            parts.append(f"last error at {self._errors.last}")
        return "; ".join(parts)
