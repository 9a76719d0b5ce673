# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Asking a running mount over its control socket.

One JSON line asks, lines answer, and the last one has ``result`` or ``error``; lines before it tell
how far the command is. Server: daemon.control.
"""

import json
import os
import socket
import struct
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Protocol

from kontenumfs.admin.runtime import own_runtime_file, runtime_file
from kontenumfs.admin.safe_files import SafeDirectory, UnsafePlaceError
from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit

CREDENTIALS = struct.Struct("3i")
"""struct ucred: process, user and group."""


class Connected(Protocol):
    """A connected socket, of the standard library or of trio."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """Return an option's bytes (getsockopt(2))."""


def peer(connected: Connected) -> int:
    """Return the user at the other end of a local socket (SO_PEERCRED, unix(7))."""
    raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return int(CREDENTIALS.unpack(raw)[1])


def ask(
    mountpoint: Path, request: dict[str, Any], *, timeout: float | None = None
) -> Generator[dict[str, Any], None, None]:
    """Send a request and yield the lines of the answer; raises UserError where no daemon answers.

    Args:
        timeout: seconds without a line after which TimeoutError is raised; None for no limit.
    """
    path = runtime_file(mountpoint, "sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout)
        try:
            _connect(client, path, is_own=path == own_runtime_file(mountpoint, "sock"))
            client.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise UserError(f"{mountpoint}: {path}: {error.strerror}", Exit.MOUNTPOINT) from None
        with client.makefile("rb") as lines:
            for line in lines:
                yield _answer_in(line, mountpoint)


def _answer_in(line: bytes, mountpoint: Path) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise UserError(
            f"{mountpoint}: what answers there is no kontenumfs of ours", Exit.MOUNTPOINT
        )
    return answer


def _connect(client: socket.socket, path: Path, *, is_own: bool) -> None:
    """Connect; raises OSError, also where somebody else than the directory's user answers."""
    owner = None if is_own else os.stat(path.parent).st_uid
    with SafeDirectory(path.parent, owner=owner) as directory:
        client.connect(directory.at(path.name))
        allowed = {0, os.geteuid()} if owner is None else {owner}
        if (user := peer(client)) not in allowed:
            raise UnsafePlaceError(path, f"user {user} answers there")


def follow(mountpoint: Path, request: dict[str, Any], about: str) -> Iterator[dict[str, Any]]:
    """Send a command and yield the lines of the answer, up to the one with its ``result``.

    Args:
        about: what the command is to change or show, for messages.

    Raises UserError where the command fails, and where no daemon answers to its end.
    """
    for line in ask(mountpoint, request):
        if "error" in line:
            raise UserError(f"{about}: {line['error']}", Exit.FAILED)
        yield line
        if "result" in line:
            return
    raise UserError(f"{mountpoint}: the daemon has ended: see its log", Exit.FAILED)
