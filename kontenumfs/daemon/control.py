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
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio

from kontenumfs.admin.client import peer
from kontenumfs.admin.runtime import own_runtime_file
from kontenumfs.admin.safe_files import SafeDirectory
from kontenumfs.protocol.errors import KontenumError, UserError

log = logging.getLogger(__name__)

LONGEST_REQUEST = 64 << 20
"""Bytes: a concat of a million names."""
LONGEST_SHOWN = 100
"""Characters of a wrong value in an error."""
FIELDS: Mapping[str, type] = {
    "path": str,
    "target": str,
    "sources": list,
    "recursive": bool,
    "hidden": bool,
    "append": bool,
}
"""What a request may have beside its command; each of all commands by one name and type."""
REQUEST_SECONDS = 30.0
"""The time for a client to send its request."""

Send = Callable[[dict[str, Any]], Awaitable[None]]
Command = Callable[[dict[str, Any], Send], Awaitable[Any]]
"""``command(request, send)`` returns the result; `send` sends a line of progress."""


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
            if peer(stream.socket) not in (0, os.geteuid()):
                return  # another user, however the socket came to him
            try:
                await self._serve_one(stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the client has gone
            except Exception:
                log.exception("a control command failed")

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        async def send(line: dict[str, Any]) -> None:
            await stream.send_all(json.dumps(line).encode() + b"\n")

        request = None
        with trio.move_on_after(REQUEST_SECONDS):
            request = await _read_line(stream)
        if request is None:
            return
        try:
            asked = _parsed(request)
            command = self._commands.get(asked["command"])
            if command is None:
                raise UserError(f"unknown command {asked['command'][:LONGEST_SHOWN]!r}")
            await send({"result": await command(asked, send)})
        except KontenumError as error:
            await send({"error": str(error) or type(error).__name__})
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise  # the client has gone
        except Exception:
            await send({"error": "a defect of kontenumfs: see the daemon's log"})
            raise


async def _read_line(stream: trio.SocketStream) -> bytes | None:
    received = bytearray()
    while not received.endswith(b"\n"):
        some = await stream.receive_some(65536)
        received += some
        if not some or len(received) > LONGEST_REQUEST:
            return None
    return bytes(received)


def _parsed(line: bytes) -> dict[str, Any]:
    """Read a request whose values are of the types that commands take; raises UserError."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise UserError("a request is one line of JSON") from None
    if not isinstance(request, dict) or not isinstance(request.get("command"), str):
        raise UserError("a request is an object with the name of a command")
    for name, value in request.items():
        wanted = FIELDS.get(name)
        if wanted is not None and not isinstance(value, wanted):
            raise UserError(f"{name} must be a {wanted.__name__}")
        for text in value if isinstance(value, list) else [value]:
            if isinstance(value, list) and not isinstance(text, str):
                raise UserError(f"{name[:LONGEST_SHOWN]!r} has something else than text")
            if isinstance(text, str):
                _check(text)
    return request


def _check(text: str) -> None:
    """Raise UserError for text that no command line can have, so no path is meant by it."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise UserError(f"{text[:LONGEST_SHOWN]!a} is no text") from None
    if "\0" in text:
        raise UserError(f"{text[:LONGEST_SHOWN]!r} has a NUL character")
