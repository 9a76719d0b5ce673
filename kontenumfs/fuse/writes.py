# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Writes that wait: beside pyfuse3's tasks and buffers, and in bounded memory.

pyfuse3 keeps a task and a receive buffer of 1 MiB for each request under way, and the bytes of a
write as long as it lasts. Two hundred programs that wait for a store which has stopped would take
all tasks, and 400 MiB. So writes are taken over as soon as they are received (`_copy_range`), and
where many wait already only the first bytes of a further one are taken: write() returns how many
those are, as it may, and the program comes again with the rest when there is room.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from kontenumfs.fuse.copy_range import MISSING, serve
from kontenumfs.store.tasks import Spawner

if MISSING is None:
    from kontenumfs.fuse import _copy_range

TAKEN_AT_LEAST = 64 * 1024
"""Bytes of a write that are taken in any case; a line of a log is never cut."""

Handler = Callable[[int, int, bytes], Awaitable[int]]
"""``handler(fh, offset, data)`` returns how many bytes are written."""


def install(handler: Handler, spawner: Spawner, *, room: int) -> bool:
    """Have writes answered by `handler` in tasks of `spawner`; False where pyfuse3 keeps them.

    Call it between pyfuse3.init() and pyfuse3.main().

    Args:
        room: bytes that the writes under way may hold before further ones are taken in part.
    """
    if MISSING is not None:
        return False
    writes = _Writes(handler, spawner, room)
    if not _copy_range.set_writer(writes.take):
        _copy_range.set_writer(None)
        return False
    return True


class _Writes:
    def __init__(self, handler: Handler, spawner: Spawner, room: int) -> None:
        self._handler = handler
        self._spawner = spawner
        self._room = room
        self._held = 0

    def take(self, request: "_copy_range.Request", fh: int, offset: int, data: bytes) -> None:
        """A write has arrived."""
        if self._held + len(data) > self._room:
            data = data[:TAKEN_AT_LEAST]
        self._held += len(data)
        self._spawner.start_soon(self._serve, request, fh, offset, data, name="write")

    async def _serve(
        self, request: "_copy_range.Request", fh: int, offset: int, data: bytes
    ) -> None:
        try:
            await serve(request, partial(self._handler, fh, offset, data), "write")
        finally:
            self._held -= len(data)
