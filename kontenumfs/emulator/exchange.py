# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One request and its answer, between ASGI and the S3 operations."""

from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, unquote

from kontenumfs.emulator.body import Reader, Receive
from kontenumfs.protocol.signing import Signable

XML_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass(slots=True)
class Request:
    """A request, taken apart.

    Args:
        path: percent-encoded, as on the wire.
        headers: names in lower case.
        bucket: empty for the service itself.
        key: decoded; empty for the bucket itself.
    """

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    bucket: str
    key: str
    bucket_in_host: str
    reader: Reader

    @classmethod
    def of(cls, scope: dict[str, Any], receive: Receive, domains: tuple[str, ...]) -> "Request":
        """Take an ASGI scope apart; a bucket may stand in the host name before one of `domains`."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        raw = scope["raw_path"].decode("latin-1")
        path = raw.partition("?")[0]
        query = parse_qsl(
            scope["query_string"].decode("latin-1"), keep_blank_values=True, strict_parsing=False
        )
        host = headers.get("host", "").rsplit(":", 1)[0]
        in_host = next((host[: -len(d) - 1] for d in domains if host.endswith("." + d)), "")
        decoded = unquote(path, errors="surrogateescape")
        if in_host:
            bucket, key = in_host, decoded[1:]
        else:
            bucket, _, key = decoded[1:].partition("/")
        return cls(scope["method"], path, query, headers, bucket, key, in_host, Reader(receive))

    def parameter(self, name: str, default: str = "") -> str:
        """The value of a query parameter."""
        return next((value for key, value in self.query if key == name), default)

    def has(self, name: str) -> bool:
        """Whether the query names a subresource."""
        return any(key == name for key, _ in self.query)

    def signable(self) -> Signable:
        """What the signature covers."""
        return Signable(
            self.method, self.path, self.query, self.headers, bucket_in_host=self.bucket_in_host
        )


@dataclass(slots=True)
class Answer:
    """An answer whose body fits into memory; `operation` is the S3 name that the log shows."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def xml(cls, root: str, inner: str, **headers: str) -> "Answer":
        """An XML answer."""
        text = f'{XML_HEAD}<{root} xmlns="{NAMESPACE}">{inner}</{root}>'
        return cls(200, text.encode(), {"content-type": "application/xml", **headers})


def http_date(when: float) -> str:
    """A time as HTTP headers say it, cut to whole seconds."""
    return formatdate(int(when), usegmt=True)
