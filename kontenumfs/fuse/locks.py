# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Which directories the kernel may have locked for the requests that we are answering.

Its VFS locks a directory while a name in it is looked up, made, taken away or moved, and while it
is listed or changed itself (Documentation/filesystems/directory-locking.rst).
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from kontenumfs.fuse.kernel import FuseKernel

OF_FIRST = (
    *("lookup", "create", "mknod", "mkdir", "symlink", "unlink", "rmdir"),
    *("setattr", "setxattr", "removexattr"),
)
"""Operations that lock what their first argument says."""

Operation = Callable[..., Awaitable[Any]]


def watch_locks(operations: object, kernel: FuseKernel) -> None:
    """Have `kernel` know of every request that `operations` answers under a directory's lock."""

    def of(inodes: Callable[..., tuple[int, ...]], name: str) -> None:
        operation: Operation = getattr(operations, name)

        @wraps(operation)
        async def watched(*arguments: Any) -> Any:
            with kernel.used(*inodes(*arguments)):
                return await operation(*arguments)

        setattr(operations, name, watched)

    opened: dict[int, int] = {}
    opendir: Operation = getattr(operations, "opendir")  # noqa: B009
    releasedir: Operation = getattr(operations, "releasedir")  # noqa: B009

    async def remember(inode: int, ctx: Any) -> Any:
        number = await opendir(inode, ctx)
        opened[number] = inode
        return number

    async def forget(number: int) -> Any:
        opened.pop(number, None)
        return await releasedir(number)

    for name in OF_FIRST:
        of(lambda inode, *_: (inode,), name)
    of(lambda old, _, new, *__: (old, new), "rename")
    of(lambda number, *_: (opened[number],) if number in opened else (), "readdir")
    setattr(operations, "opendir", remember)  # noqa: B010
    setattr(operations, "releasedir", forget)  # noqa: B010
