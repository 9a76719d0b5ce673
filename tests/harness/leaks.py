# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What a test must not leave behind: mounts, and processes however far they went astray."""

import ctypes
import os
import select
import signal
from contextlib import suppress
from pathlib import Path

from kontenumfs.admin.mounts import detach, mounts
from tests.harness.processes import children_of_all_threads, words

PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): orphans among our descendants become our own children, daemons included."""
PATIENCE_MS = 5_000
"""How long a process that is ending may take to do so."""

LASTING: set[int] = set()
"""Processes that serve the whole session, whichever test was the first to need them."""


def adopt_orphans() -> None:
    """Have the daemons that the tests start show up among this process's children."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> set[int]:
    """The processes that this one has, zombies included."""
    return children_of_all_threads()


def mountpoints(below: Path) -> set[Path]:
    """Where something is mounted below a directory; the rest of the machine is not ours."""
    return {path for path, _ in mounts() if path.is_relative_to(below)}


class Leaks:
    """What there was when this was made, to compare with.

    Args:
        directory: where the tests make their mounts.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._mounts = mountpoints(directory)
        self._children = children()

    def collect(self) -> list[str]:
        """Clear away what was left behind since, and name it."""
        found = []
        for path in mountpoints(self._directory) - self._mounts:
            found.append(f"a mount at {path}")
            detach(path)
        for pid in children() - self._children - LASTING:
            name = " ".join(words(pid))
            if not _reap(pid):
                found.append(f"process {pid}: {name}")
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        return found


def _reap(pid: int) -> bool:
    """Whether `pid` ends by itself."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        if not waiting.poll(PATIENCE_MS):
            return False
    finally:
        os.close(handle)
    with suppress(ChildProcessError):  # where subprocess has reaped it
        os.waitpid(pid, os.WNOHANG)
    return True
