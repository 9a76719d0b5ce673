# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The control socket of a running mount: one JSON line asks, lines answer, the last one is final.

It belongs to the daemon's user alone (mode 0600). A final line has ``result`` or ``error``; lines
before it tell how far the command is.
"""

import json
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio

from kontenumfs.daemon.background import own_runtime_file, runtime_file
from kontenumfs.daemon.preflight import Exit
from kontenumfs.daemon.safe_files import SafeDirectory, UnsafePlaceError
from kontenumfs.protocol.errors import KontenumError, UserError

log = logging.getLogger(__name__)

LONGEST_REQUEST = 64 << 20
"""Bytes: a concat of a million names."""
REQUEST_SECONDS = 30.0
"""How long a client may take to say what it wants."""

CREDENTIALS = struct.Struct("3i")
"""struct ucred: process, user and group."""

Tell = Callable[[dict[str, Any]], Awaitable[None]]
Command = Callable[[dict[str, Any], Tell], Awaitable[Any]]
"""``command(request, tell)`` returns the result; `tell` sends a line of progress."""


class Control:
    """Serves the commands of one mount.

    Args:
        mountpoint: which mount.
        commands: by name.
    """

    def __init__(self, mountpoint: Path, commands: Mapping[str, Command]) -> None:
        self._path = own_runtime_file(mountpoint, "sock")
        self._commands = commands

    async def serve(self) -> None:
        """Answer until cancelled; a mount works without, so a failure to begin is only logged."""
        try:
            listener = self._listen()
        except OSError as error:
            log.warning("no control socket: %s: %s", self._path, error.strerror)
            return
        try:
            await trio.serve_listeners(self._answer, [trio.SocketListener(listener)])
        finally:
            with suppress(OSError), SafeDirectory(self._path.parent) as directory:
                directory.unlink(self._path.name)

    def _listen(self) -> trio.socket.SocketType:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        old = os.umask(0o177)
        try:
            with SafeDirectory(self._path.parent, create=True, mode=0o755) as directory:
                directory.unlink(self._path.name)
                made.bind(directory.at(self._path.name))
        except BaseException:
            made.close()
            raise
        finally:
            os.umask(old)
        made.listen()
        return trio.socket.from_stdlib_socket(made)

    async def _answer(self, stream: trio.SocketStream) -> None:
        async with stream:
            if _peer(stream.socket) not in (0, os.geteuid()):
                return  # another user, however the socket came to him
            try:
                await self._serve_one(stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the client has gone
            except Exception:
                log.exception("a control command failed")

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        async def tell(line: dict[str, Any]) -> None:
            await stream.send_all(json.dumps(line).encode() + b"\n")

        request = None
        with trio.move_on_after(REQUEST_SECONDS):
            request = await _read_line(stream)
        if request is None:
            return
        command = self._commands.get(str(request.get("command")))
        if command is None:
            await tell({"error": f"unknown command {request.get('command')!r}"})
            return
        try:
            await tell({"result": await command(request, tell)})
        except KontenumError as error:
            await tell({"error": str(error) or type(error).__name__})
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise  # the client has gone
        except Exception:
            await tell({"error": "a defect of kontenumfs: see the daemon's log"})
            raise


def _peer(connected: socket.socket | trio.socket.SocketType) -> int:
    """The user at the other end of a local socket (SO_PEERCRED, unix(7))."""
    told = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return int(CREDENTIALS.unpack(told)[1])


async def _read_line(stream: trio.SocketStream) -> dict[str, Any] | None:
    received = bytearray()
    while not received.endswith(b"\n"):
        some = await stream.receive_some(65536)
        received += some
        if not some or len(received) > LONGEST_REQUEST:
            return None
    try:
        request = json.loads(received)
    except (ValueError, RecursionError):
        return None
    return request if isinstance(request, dict) else None


def ask(
    mountpoint: Path, request: dict[str, Any], *, timeout: float | None = None
) -> Generator[dict[str, Any], None, None]:
    """The lines that a mount answers with; raises UserError where no daemon answers.

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
            raise UserError(f"{mountpoint}: {path}: {error.strerror}", 3) from None
        with client.makefile("rb") as lines:
            for line in lines:
                yield _answer_in(line, mountpoint)


def _answer_in(line: bytes, mountpoint: Path) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise UserError(f"{mountpoint}: what answers there is no kontenumfs of ours", 3)
    return answer


def _connect(client: socket.socket, path: Path, *, is_own: bool) -> None:
    """Raises OSError, also where somebody else than the directory's user answers."""
    owner = None if is_own else os.stat(path.parent).st_uid
    with SafeDirectory(path.parent, owner=owner) as directory:
        client.connect(directory.at(path.name))
        allowed = {0, os.geteuid()} if owner is None else {owner}
        if (peer := _peer(client)) not in allowed:
            raise UnsafePlaceError(path, f"user {peer} answers there")


def follow(mountpoint: Path, request: dict[str, Any], about: str) -> Iterator[dict[str, Any]]:
    """The lines that a command answers with, up to the one with its ``result``.

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
