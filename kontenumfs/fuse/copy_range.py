# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""copy_file_range: the kernel's requests, which pyfuse3 does not know, to an async handler."""

import errno
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pyfuse3
import trio

from kontenumfs.store.tasks import Spawner

try:
    from kontenumfs.fuse import _copy_range
except ImportError as error:
    MISSING: str | None = str(error)
    """Why there is no extension; None where there is."""
else:
    MISSING = None

log = logging.getLogger(__name__)

COPIES_AT_ONCE = 32
"""Handlers under way at once; further requests wait for their turn."""

Handler = Callable[[int, int, int, int, int, int], Awaitable[int]]
"""``handler(fh_in, off_in, fh_out, off_out, length, flags)`` returns how many bytes are copied.

It may be fewer than `length`: the program asks again for the rest. The kernel has cut `length` to
what the source's st_size says, asks for one copy at a time to one target (whose writers wait), and
never for one between two mounts. FUSEError is the program's errno, any other exception EIO.
"""


def install(handler: Handler, nursery: Spawner, *, at_once: int = COPIES_AT_ONCE) -> bool:
    """Have copy_file_range answered by `handler` in tasks of `nursery`; False where it cannot be.

    Call it between pyfuse3.init() and pyfuse3.main(). Where the answer is False the reason is
    logged, and programs are told EOPNOTSUPP, or copy by reading and writing. Every request is
    answered once: one that is cancelled with `nursery` is EIO.
    """
    if MISSING is not None:
        log.warning("copy_file_range is off: its extension was not built: %s", MISSING)
        return False
    turns = trio.CapacityLimiter(at_once)

    def request(
        answer: "_copy_range.Request",
        inode_in: int,
        off_in: int,
        fh_in: int,
        inode_out: int,
        off_out: int,
        fh_out: int,
        length: int,
        flags: int,
    ) -> None:
        async def copy() -> int:
            async with turns:
                return await handler(fh_in, off_in, fh_out, off_out, length, flags)

        nursery.start_soon(serve, answer, copy, "copy_file_range", name="copy_file_range")

    if not _copy_range.set_callback(request):
        _copy_range.set_callback(None)
        log.warning("copy_file_range is off: pyfuse3's session did not pass through its extension")
        return False
    return True


def caller() -> int:
    """The thread whose request libfuse has handed over last; 0 where that cannot be known.

    pyfuse3 tells handlers of open files nothing of who calls. A handler that asks before it awaits
    anything is told of its own request: libfuse's call and the handler's start are one step.
    """
    return 0 if MISSING is not None else _copy_range.caller()


async def serve(
    request: "_copy_range.Request", work: Callable[[], Awaitable[int]], operation: str
) -> None:
    """Answer a request that was taken over with the bytes that `work` returns, or its FUSEError.

    It is answered exactly once, and raises nothing but cancellation: any other exception is logged
    as `operation`, and that or a cancellation is EIO.
    """
    try:
        await _answer(request, work)
    except Exception:  # a count or an errno that is none, too
        log.exception("%s failed", operation)
    finally:
        # Whoever has failed or was cancelled without an answer; ValueError: there was one.
        with suppress(ValueError):
            _copy_range.reply_error(request, errno.EIO)


async def _answer(request: "_copy_range.Request", work: Callable[[], Awaitable[int]]) -> None:
    try:
        count = await work()
    except pyfuse3.FUSEError as error:
        _copy_range.reply_error(request, error.errno)
    else:
        _copy_range.reply_written(request, count)
