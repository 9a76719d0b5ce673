# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Around every answer to the kernel: a defect is one program's EIO, and what fails is reported.

pyfuse3 ends the mount of all where one of its handlers raises anything but FUSEError.
"""

import inspect
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from typing import Any, TypeVar

import pyfuse3

from kontenumfs.fuse.errors import QUIET, translated
from kontenumfs.protocol.errors import KontenumError, StaleInode
from kontenumfs.protocol.incidents import Incident, report
from kontenumfs.tree.inodes import InodeTable
from kontenumfs.tree.node import Directory

AnyOperations = TypeVar("AnyOperations", bound=pyfuse3.Operations)
Operation = Callable[..., Awaitable[Any]]
UNANSWERED = ("forget",)
"""The kernel asks, and waits for no answer: there is nobody to be told of an error."""
BY_NAME = ("lookup", "unlink", "rmdir", "create", "mknod", "mkdir", "symlink", "rename")
"""Their arguments begin with a directory's inode and a name."""
BY_INODE = (
    *BY_NAME,
    *("getattr", "setattr", "open", "opendir", "readlink", "access"),
    *("getxattr", "setxattr", "listxattr", "removexattr"),
)
OURS = ("copy_range",)
"""What the extension calls, beside pyfuse3's own."""


def guard(operations: AnyOperations, inodes: InodeTable) -> AnyOperations:
    """`operations`, whose coroutines raise nothing but FUSEError; failures are incidents.

    What programs provoke all day is no incident: see errors.QUIET.
    """
    for name, _ in inspect.getmembers(pyfuse3.Operations, inspect.iscoroutinefunction):
        setattr(operations, name, _guarded(name, getattr(operations, name), inodes))
    for name in OURS:
        if (operation := getattr(operations, name, None)) is not None:
            setattr(operations, name, _guarded(name, operation, inodes))
    return operations


def _guarded(name: str, operation: Operation, inodes: InodeTable) -> Operation:
    @wraps(operation)
    async def answer(*arguments: Any, **more: Any) -> Any:
        try:
            async with translated(name):
                return await operation(*arguments, **more)
        except pyfuse3.FUSEError as error:
            failure = error.__cause__
            if isinstance(failure, KontenumError) and not isinstance(failure, QUIET):
                report(Incident("request", name, failure, _key(name, arguments, inodes)))
            if name not in UNANSWERED:
                raise
            return None

    return answer


def _key(name: str, arguments: tuple[Any, ...], inodes: InodeTable) -> str:
    """Of what object a request is; empty where its arguments do not say."""
    if name not in BY_INODE:
        return ""
    with suppress(StaleInode):
        node = inodes.node(arguments[0])
        if isinstance(node, Directory) and name in BY_NAME:
            return node.key + os.fsdecode(arguments[1]).encode(errors="replace").decode()
        return node.key
    return ""
