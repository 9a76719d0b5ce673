# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The kernel's caches of the mount that this process serves, by pyfuse3's notifications."""

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import SimpleQueue

import pyfuse3
import trio

log = logging.getLogger(__name__)

UNKNOWN = (errno.ENOENT, errno.ENOTDIR)
"""The kernel does not have what it is to drop."""


class FuseKernel:
    """See tree.kernel.Kernel.

    Names are told by a thread of its own, in order: the kernel may let it wait for a directory
    that is locked for a request, which perhaps only this process can end. It is not pyfuse3's own
    (``invalidate_entry_async``): that outlives the session, and then uses what libfuse has freed.
    """

    def __init__(self) -> None:
        self._told: SimpleQueue[tuple[list[tuple[int, bytes]], Callable[[], None]] | None] = (
            SimpleQueue()
        )
        self._thread: threading.Thread | None = None
        self._ended = False

    def attributes_changed(self, inode: int) -> None:
        """Have the kernel ask for the attributes of an inode again."""
        if self._ended:
            return
        try:
            pyfuse3.invalidate_inode(inode, attr_only=True)
        except OSError as error:
            if error.errno not in UNKNOWN:
                raise

    def entry_changed(self, parent: int, name: str) -> None:
        """Have the kernel look a name up again, soon."""
        self._tell([(parent, os.fsencode(name))], lambda: None)

    async def entries_changed(self, entries: Iterable[tuple[int, str]]) -> None:
        """Have the kernel look names up again, from now on."""
        heard, token = trio.Event(), trio.lowlevel.current_trio_token()
        names = [(parent, os.fsencode(name)) for parent, name in entries]
        self._tell(names, lambda: token.run_sync_soon(heard.set))
        if not self._ended:
            await heard.wait()

    async def end(self) -> None:
        """Tell the kernel nothing any more; returns when it has taken what it is being told.

        To be awaited before the session ends, best while requests are still answered: the kernel
        takes a name when no request holds its directory. May be awaited again after a cancel.
        """
        if not self._ended and self._thread is not None:
            self._told.put(None)
        self._ended = True
        if self._thread is not None:
            await trio.to_thread.run_sync(self._thread.join, abandon_on_cancel=True)

    def _tell(self, entries: list[tuple[int, bytes]], heard: Callable[[], None]) -> None:
        if self._ended:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="kernel", daemon=True)
            self._thread.start()
        self._told.put((entries, heard))

    def _run(self) -> None:
        while (told := self._told.get()) is not None:
            entries, heard = told
            for parent, name in entries:
                if not self._ended:
                    _drop(parent, name)
            with suppress(trio.RunFinishedError):
                heard()


def _drop(parent: int, name: bytes) -> None:
    try:
        pyfuse3.invalidate_entry(parent, name)
    except OSError as error:
        if error.errno not in UNKNOWN:
            log.warning("the kernel keeps what it knows of %s: %s", name, error.strerror)
