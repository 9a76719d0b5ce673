# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Waiting for the mount to leave our mount namespace, by the kernel's notices of its table.

Another namespace (a container's, unshare(1)) may keep a mount that is gone from ours. Nobody here
can unmount it then, and it would keep its daemon for ever.
"""

import os
import select
from collections.abc import Callable

import trio

from kontenumfs.admin.mounts import is_mounted

CALM_SECONDS = 0.2
"""The end of an ordinary unmount follows so soon: there is nothing to be said then."""
LOOK_SECONDS = 1.0
"""Between two looks whether files are still open."""


async def until_gone(device: int, is_gone: Callable[[int], bool] | None = None) -> None:
    """Return when our namespace has `device` nowhere any more.

    Args:
        is_gone: judges; given by tests.
    """
    judge = is_gone or (lambda device: not is_mounted(device))
    table = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
    changes = select.epoll()
    try:
        # The file can always be read; POLLERR and POLLPRI tell of a change (proc(5)).
        changes.register(table, select.EPOLLPRI | select.EPOLLERR)
        while not judge(device):
            await trio.lowlevel.wait_readable(changes.fileno())
            changes.poll(0)
    finally:
        changes.close()
        os.close(table)
