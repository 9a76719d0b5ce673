# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs unmount``: unmount, and wait until everything is stored."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from kontenumfs.admin.client import ask
from kontenumfs.admin.mounts import (
    FSTYPE,
    clear_dead,
    detach,
    end_connection,
    holders,
    is_mountpoint,
    unmount,
    uppermost,
)
from kontenumfs.admin.runtime import Running
from kontenumfs.cli import arguments as given
from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit

SILENT_SECONDS = 10.0
"""A daemon that says nothing for so long is not listened to any more."""
KILLED_SECONDS = 10.0
"""The longest that a killed process takes to be gone."""


def main(argv: Sequence[str]) -> int:
    """Return when the mount is gone and its daemon has ended."""
    arguments = parser().parse_args(argv)
    mountpoint = Path(os.path.abspath(arguments.mountpoint))
    if not is_mountpoint(mountpoint, FSTYPE):
        raise UserError(f"{mountpoint}: no kontenumfs is mounted here", Exit.MOUNTPOINT)
    found = uppermost(mountpoint)
    if found is not None and found.fstype != FSTYPE:
        over = f"{found.fstype} is mounted over it: unmount that first"
        raise UserError(f"{mountpoint}: {over}", Exit.MOUNTPOINT)
    daemon = Running(mountpoint)
    pid, device = daemon.pid(), None if found is None else found.device
    until = time.monotonic() + arguments.timeout
    with closing(_Progress(mountpoint, arguments.timeout)) as progress:
        if arguments.force:
            # Out of the tree first, so that nothing new comes in; open files go on until they
            # are stored or the daemon gives them up.
            if pid is None:
                clear_dead(mountpoint)
            else:
                detach(mountpoint)
                _signal(pid, signal.SIGTERM)
        else:
            _unmount(mountpoint)
        if device is not None and (others := holders(device)):
            where = "mounted in other mount namespaces too, and ends there"
            print(f"{mountpoint}: {where}: {', '.join(others)}", file=sys.stderr)
        lost, left = progress.until_the_end(until)
    if not daemon.wait_for_end(max(0.0, until - time.monotonic())):
        if not arguments.force:
            raise UserError(
                f"{mountpoint}: unmounted, but the daemon still stores data after "
                f"{arguments.timeout:g} s{progress.left}: see its log",
                Exit.DEADLINE,
            )
        _signal(pid, signal.SIGKILL)
        if device is not None:
            # A request that nobody answers would keep the process from ending.
            end_connection(device)
        daemon.wait_for_end(KILLED_SECONDS)
        raise UserError(f"{mountpoint}: the daemon was killed{progress.left}", Exit.FAILED)
    if lost:
        for line in lost[1:]:
            print(f"not stored: {line}", file=sys.stderr)
        raise UserError(f"{len(lost)} files could not be stored: {lost[0]}", Exit.FAILED)
    if left:
        raise UserError(f"{mountpoint}: {left}", Exit.SPOOLED)
    return Exit.OK


class _Progress:
    """The daemon's lines of pending data, from before the unmount to its end.

    Args:
        patience: seconds after which a daemon that says nothing is given up, at most.
    """

    def __init__(self, mountpoint: Path, patience: float) -> None:
        silent = min(SILENT_SECONDS, max(0.1, patience))
        self._lines = ask(mountpoint, {"command": "end"}, timeout=silent)
        self._show = sys.stderr.isatty()
        self.left = ""
        """The pending data of the last line, for messages."""
        # A dead mount and one of another user have no control socket for us: only the lock tells.
        self._hear()

    def _hear(self) -> dict[str, Any] | None:
        try:
            line = next(self._lines, None)
        except (UserError, OSError, ValueError):
            return None
        if line is not None and "pending_bytes" in line:
            pending, count = line["pending_bytes"], line["open_files"]
            self.left = f", {pending:,} bytes of {count} files pending" if count else ""
            spooled = line.get("spool_requests", 0)
            if self._show and (count or spooled):
                beside = f"and {spooled:,} requests of the spool " if spooled else ""
                what = f"storing {pending:,} bytes of {count} files {beside}"
                print(f"\r\033[K{what}", end="", file=sys.stderr)
        return line

    def until_the_end(self, until: float) -> tuple[list[str], str]:
        """Listen to the end; returns what could not be stored and what the spool has, if told."""
        lost: list[str] = []
        left = ""
        while time.monotonic() < until and (line := self._hear()) is not None:
            if "lost" in line:
                lost, left = line["lost"], line.get("left", "")
                break
        if self._show and self.left:
            print(file=sys.stderr)
        return lost, left

    def close(self) -> None:
        """Hang up."""
        self._lines.close()


def _unmount(mountpoint: Path) -> None:
    try:
        unmount(mountpoint)
    except UserError as error:
        if "busy" not in str(error):
            raise
        raise UserError(
            f"{mountpoint}: programs use it: end them (fuser -vm {mountpoint} lists them), "
            "or use --force",
            Exit.MOUNTPOINT,
        ) from None


def _signal(pid: int | None, number: signal.Signals) -> None:
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``kontenumfs unmount``."""
    made = given.parser(
        "unmount",
        "Unmount, and wait until everything is stored.\n"
        "What is pending is shown on a terminal; what could not be stored is named.",
    )
    made.add_argument(
        "--force",
        action="store_true",
        help="although programs use it; a daemon that has not ended in time is killed",
    )
    made.add_argument(
        "--timeout",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="how long to wait for the daemon (default 300)",
    )
    made.add_argument("mountpoint", metavar="MOUNTPOINT")
    return made
