# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Requests byte for byte: signed properly, and then spoilt as a test likes."""

import hashlib
import re
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from typing import Self
from urllib.parse import urlsplit

from tests.emulator.signers import V4
from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator


@dataclass(frozen=True)
class Answer:
    """An answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The S3 error code, or an empty string."""
        return self.element("Code")

    def element(self, name: str) -> str:
        """The text of an element of the body, or an empty string."""
        found = re.search(f"<{name}>([^<]*)</{name}>", self.body.decode())
        return found[1] if found else ""


@dataclass
class Prepared:
    """A request that can still be changed."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def head(self, length: int) -> bytes:
        """The request line and the headers, for a body of `length` bytes."""
        headers = self.headers | {"content-length": str(length)}
        lines = [
            f"{self.method} {self.target} HTTP/1.1",
            *(f"{n}: {v}" for n, v in headers.items()),
        ]
        return "\r\n".join((*lines, "", "")).encode()


class Wire:
    """One connection to the S3 side.

    Args:
        host: the name to connect to and to say in Host, where it is not the address.
    """

    def __init__(
        self,
        emulator: Emulator,
        *,
        access: str = ACCESS,
        secret: str = SECRET,
        region: str = "us-east-1",
        tls: ssl.SSLContext | None = None,
        host: str = "",
    ) -> None:
        address = urlsplit(emulator.s3_url)
        name = host or address.hostname or ""
        self.host = f"{name}:{address.port}"
        self._address = (name, address.port)
        self._keys = (access, secret, region)
        self._connection: HTTPConnection = HTTPConnection(name, address.port, timeout=30)
        if tls is not None:
            self._connection = HTTPSConnection(name, address.port, timeout=30, context=tls)

    def signer(self) -> V4:
        """SigV4 with the key pair of this connection, now."""
        return V4(*self._keys)

    def target(self, target: str) -> str:
        """A key, perhaps with a query, becomes a path; a path stays as it is."""
        return target if target.startswith("/") else f"/{BUCKET}/{target}"

    def prepare(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        payload: str | None = None,
        signer: V4 | None = None,
    ) -> Prepared:
        """A request with a good signature.

        Args:
            payload: what x-amz-content-sha256 says, where it is not the body's digest.
        """
        target = self.target(target)
        given = {"host": self.host, **(headers or {})}
        told = hashlib.sha256(body).hexdigest() if payload is None else payload
        signed = (signer or self.signer()).in_header(method, target, given, told)
        return Prepared(method, target, signed, body)

    def exchange(self, request: Prepared, pieces: Iterable[bytes] | None = None) -> Answer:
        """Send it as it is now, or with a body that need not be in memory."""
        body = pieces or request.body or (b"" if request.method in ("PUT", "POST") else None)
        self._connection.request(request.method, request.target, body, request.headers)
        answer = self._connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, headers, answer.read())

    def send(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        payload: str | None = None,
    ) -> Answer:
        """Prepare and send."""
        return self.exchange(self.prepare(method, target, body, headers, payload=payload))

    def compose(self, target: str, *keys: str) -> Answer:
        """ComposeObject."""
        items = "".join(f"<Component><Name>{key}</Name></Component>" for key in keys)
        body = f"<ComposeRequest>{items}</ComposeRequest>".encode()
        return self.send("PUT", f"{target}?compose", body)

    def plain_socket(self) -> socket.socket:
        """Another connection, for what a client library does not do."""
        return socket.create_connection(self._address, timeout=30)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
