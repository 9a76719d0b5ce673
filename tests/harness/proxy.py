# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A proxy between a mount and the emulator that answers some requests by itself."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from tests.harness.mounts import Server


class LyingProxy:
    """Passes every request on, unless `lie` has an answer to it.

    Args:
        server: what is behind it.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        behind = urlsplit(server.s3_url)
        assert behind.hostname
        assert behind.port
        self._behind = (behind.hostname, behind.port)
        self.lie: Callable[[bytes], bytes | None] = lambda head: None
        """From a request's head to what is answered; None passes it on."""
        self.heads: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.s3_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def fetch(self, key: str) -> bytes:
        """See Server."""
        return self._server.fetch(key)

    def exists(self, key: str) -> bool:
        """See Server."""
        return self._server.exists(key)

    def mark(self) -> None:
        """See Server."""
        self._server.mark()

    def close(self) -> None:
        """Answer nothing more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer, suppress(OSError), peer.makefile("rb") as requests:
            while line := requests.readline():
                lines = [line]
                while line not in (b"\r\n", b""):
                    line = requests.readline()
                    lines.append(line)
                head = b"".join(lines)
                lengths = [n for n in lines if n.lower().startswith(b"content-length:")]
                body = requests.read(int(lengths[0].split(b":")[1])) if lengths else b""
                self.heads.append(head)
                said = self.lie(head)
                if said is None:
                    self._pass_on(head, body, peer)
                    return
                peer.sendall(said)
                if b"Content-Length" not in said:
                    return

    def _pass_on(self, head: bytes, body: bytes, peer: socket.socket) -> None:
        with socket.create_connection(self._behind) as behind:
            behind.sendall(head[:-2] + b"Connection: close\r\n\r\n" + body)
            while data := behind.recv(1 << 16):
                peer.sendall(data)
