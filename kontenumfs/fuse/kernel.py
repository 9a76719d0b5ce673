# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The kernel's caches of the mount that this process serves, by pyfuse3's notifications."""

import errno
import os
from collections.abc import Iterable

import pyfuse3
import trio

UNKNOWN = (errno.ENOENT, errno.ENOTDIR)
"""The kernel does not have what it is to drop."""


class FuseKernel:
    """See tree.kernel.Kernel."""

    def attributes_changed(self, inode: int) -> None:
        """Have the kernel ask for the attributes of an inode again."""
        try:
            pyfuse3.invalidate_inode(inode, attr_only=True)
        except OSError as error:
            if error.errno not in UNKNOWN:
                raise

    def entry_changed(self, parent: int, name: str) -> None:
        """Have the kernel look a name up again, soon: a thread of pyfuse3's tells it."""
        pyfuse3.invalidate_entry_async(parent, os.fsencode(name), ignore_enoent=True)

    async def entries_changed(self, entries: Iterable[tuple[int, str]]) -> None:
        """Have the kernel look names up again, from now on."""
        # It waits where a directory is locked, perhaps for a request that only we can end.
        await trio.to_thread.run_sync(_drop, list(entries), abandon_on_cancel=True)


def _drop(entries: list[tuple[int, str]]) -> None:
    for parent, name in entries:
        try:
            pyfuse3.invalidate_entry(parent, os.fsencode(name))
        except OSError as error:
            if error.errno not in UNKNOWN:
                raise
