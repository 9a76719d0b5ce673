# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The kernel's caches of the mount that this process serves, by pyfuse3's notifications."""

import errno
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pyfuse3
import trio

from kontenumfs.protocol.incidents import Incident, report

log = logging.getLogger(__name__)

BELIEF_SECONDS = 1.0
"""How long the kernel may believe a name without asking."""
QUIET_SECONDS = 1.0
LOOK_SECONDS = 0.5
"""Between two looks whether a directory is quiet."""
MOST_WAITING = 10_000
"""Names of a directory for the kernel to let go of, at once."""
UNKNOWN = (errno.ENOENT, errno.ENOTDIR)
"""The kernel does not have what it is to drop."""
ENDED = (errno.ENODEV, errno.ENOTCONN)
"""Somebody has ended the connection, and the kernel believes nothing any more."""


class FuseKernel:
    """See tree.kernel.Kernel.

    The kernel takes a name from its cache under the lock of the name's directory
    (fuse_reverse_inval_entry), which it also holds while it waits for our answer to an rm there.
    A notice that waits for that lock cannot be killed, and as long as it waits /dev/fuse stays
    open: a daemon that is killed meanwhile never ends, and neither does the rm. So no promise
    rests on such a notice: the kernel believes a name for `BELIEF_SECONDS` at most. Notices have it
    let go of what we are to forget, and wait until nobody has used the directory for a while.

    They are given by a thread of its own, not pyfuse3's (``invalidate_entry_async``): that outlives
    the session, and then uses what libfuse has freed.

    Args:
        quiet: seconds for which nobody must have used a directory.
    """

    def __init__(self, *, quiet: float = QUIET_SECONDS) -> None:
        self._quiet = quiet
        self._change = threading.Condition()
        self._waiting: dict[int, dict[bytes, None]] = {}
        self._used: dict[int, int] = {}
        self._left: dict[int, float] = {}
        self._thread: threading.Thread | None = None
        self._ended = False

    def attributes_changed(self, inode: int) -> None:
        """Have the kernel ask for the attributes of an inode again; that takes no lock."""
        if self._ended:
            return
        try:
            pyfuse3.invalidate_inode(inode, attr_only=True)
        except OSError as error:
            # Of no concern to whoever changed it: what is stored is stored.
            if error.errno not in (*UNKNOWN, *ENDED):
                log.warning("the kernel keeps what it knows of %d: %s", inode, error.strerror)

    def entry_changed(self, parent: int, name: str) -> None:
        """Have the kernel let go of a name, which it asks for again soon in any case."""
        if self._ended:
            return
        with self._change:
            names = self._waiting.setdefault(parent, {})
            if len(names) < MOST_WAITING:
                names[os.fsencode(name)] = None
            self._change.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="kernel", daemon=True)
            self._thread.start()

    async def entries_changed(self, entries: Iterable[tuple[int, str]]) -> None:
        """Return when the kernel believes none of the names any more."""
        for parent, name in entries:
            self.entry_changed(parent, name)
        if not self._ended:
            await trio.sleep(BELIEF_SECONDS)

    @contextmanager
    def used(self, *directories: int) -> Iterator[None]:
        """A request is answered in the block, for which the kernel may have locked directories."""
        with self._change:
            for inode in directories:
                self._used[inode] = self._used.get(inode, 0) + 1
        try:
            yield
        finally:
            with self._change:
                for inode in directories:
                    self._used[inode] -= 1
                    if not self._used[inode]:
                        del self._used[inode]
                    if len(self._left) > MOST_WAITING:
                        self._forget_the_quiet()
                    self._left[inode] = time.monotonic()

    def _forget_the_quiet(self) -> None:
        until = time.monotonic() - self._quiet
        self._left = {inode: at for inode, at in self._left.items() if at > until}

    async def end(self) -> None:
        """Tell the kernel nothing any more; returns when it has taken what it is being told.

        To be awaited before the session ends. May be awaited again after a cancel.
        """
        with self._change:
            self._ended = True
            self._change.notify()
        if self._thread is not None:
            await trio.to_thread.run_sync(self._thread.join, abandon_on_cancel=True)

    def _run(self) -> None:
        while (notice := self._next()) is not None:
            try:
                _drop(*notice)
            except Exception as error:  # the next notice is another one
                report(Incident("defect", f"notice of {notice[1]!r}", error))

    def _next(self) -> tuple[int, bytes] | None:
        """A name of a quiet directory, as soon as there is one; None at the end."""
        with self._change:
            while not self._ended:
                for parent, names in self._waiting.items():
                    if self._is_quiet(parent):
                        name = next(iter(names))
                        del names[name]
                        if not names:
                            del self._waiting[parent]
                        return parent, name
                self._change.wait(LOOK_SECONDS if self._waiting else None)
        return None

    def _is_quiet(self, inode: int) -> bool:
        if inode in self._used:
            return False
        return time.monotonic() - self._left.get(inode, -self._quiet) >= self._quiet


def _drop(parent: int, name: bytes) -> None:
    try:
        pyfuse3.invalidate_entry(parent, name)
    except OSError as error:
        if error.errno not in (*UNKNOWN, *ENDED):
            log.warning("the kernel keeps what it knows of %s: %s", name, error.strerror)
