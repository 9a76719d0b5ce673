# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The address where Prometheus scrapes a mount: GET /metrics over HTTP/1.1, and nothing else."""

import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

import h11
import trio
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit

log = logging.getLogger(__name__)

SCRAPE_SECONDS = 10.0
"""The time of one connection from its first byte to its end."""
SCRAPERS = 8
"""Connections at a time; more are closed at once."""
UNIX = "unix:"


class Scraping:
    """Answers scrapes of one mount.

    Args:
        address: ``HOST:PORT`` or ``unix:PATH``.
        registry: what is shown.

    Raises UserError where nobody can listen there.
    """

    def __init__(self, address: str, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._limit = trio.CapacityLimiter(SCRAPERS)
        self._address = address
        self._path = Path(address.removeprefix(UNIX)) if address.startswith(UNIX) else None
        self._listening: socket.socket | None = None
        try:
            self._listening = self._listen()
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(
                f"metrics={address}: nothing can listen there: {reason}: take another address",
                Exit.USAGE,
            ) from None

    def _listen(self) -> socket.socket:
        return _listen_tcp(self._address) if self._path is None else _listen_unix(self._path)

    async def serve(self) -> None:
        """Answer until cancelled; may be begun again."""
        listening, self._listening = self._listening or self._listen(), None
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        try:
            await trio.serve_listeners(self._answer, [listener])
        finally:
            if self._path is not None:
                self._path.unlink(missing_ok=True)

    async def _answer(self, stream: trio.SocketStream) -> None:
        async with stream:
            if self._limit.available_tokens < 1:
                return
            async with self._limit:
                with trio.move_on_after(SCRAPE_SECONDS):
                    try:
                        await self._exchange(stream)
                    except (h11.RemoteProtocolError, trio.BrokenResourceError) as error:
                        log.debug("a scrape was given up: %s", error)
                    except Exception:
                        log.exception("a scrape failed")  # the mount goes on

    async def _exchange(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(65536))
        if not isinstance(event, h11.Request):
            return
        status, headers, body = self._page(event)
        headers += [("content-length", str(len(body))), ("connection", "close")]
        answer = connection.send(h11.Response(status_code=status, headers=headers)) or b""
        if event.method != b"HEAD":
            answer += connection.send(h11.Data(data=body)) or b""
        await stream.send_all(answer)
        await stream.send_eof()

    def _page(self, request: h11.Request) -> tuple[int, list[tuple[str, str]], bytes]:
        plain = [("content-type", "text/plain")]
        if request.target.partition(b"?")[0] != b"/metrics":
            return 404, plain, b"/metrics is what there is\n"
        if request.method not in (b"GET", b"HEAD"):
            return 405, [*plain, ("allow", "GET, HEAD")], b"GET it\n"
        accepted = dict(request.headers).get(b"accept", b"").decode("latin-1")
        encode: Callable[[CollectorRegistry], bytes]
        try:
            encode, content_type = choose_encoder(accepted)
        except Exception:  # it trusts the header: version=abc is a TypeError in it
            encode, content_type = choose_encoder("")
        return 200, [("content-type", content_type)], encode(self._registry)


def _listen_tcp(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, int(port)), family=family)


def _listen_unix(path: Path) -> socket.socket:
    """Listen at `path`; a socket that a dead daemon left there is replaced, nothing else is."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket() and not _answers(path):
            path.unlink()
        old = os.umask(0o117)
        try:
            made.bind(str(path))
        finally:
            os.umask(old)
        made.listen()
    except BaseException:
        made.close()
        raise
    return made


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1.0)
        return client.connect_ex(str(path)) == 0
