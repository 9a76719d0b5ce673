# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One request, taken apart: between ASGI and the S3 operations."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from kontenumfs.emulator.errors import S3Error
from kontenumfs.emulator.reader import Reader, Receive
from kontenumfs.protocol.signing import Signable

_ADDRESS = re.compile(r"[\d.]+|\[.*\]")

_ONCE = frozenset(
    [
        "authorization",
        "content-length",
        "content-md5",
        "content-type",
        "date",
        "host",
        "range",
        "x-amz-content-sha256",
        "x-amz-copy-source",
        "x-amz-copy-source-range",
        "x-amz-date",
        "x-amz-decoded-content-length",
        "x-amz-metadata-directive",
        "x-amz-security-token",
    ]
)
"""Headers that have one value: of two, the signature might cover one and the store believe both."""
_ONCE_IN_QUERY = frozenset(
    [
        "AWSAccessKeyId",
        "Expires",
        "Signature",
        "X-Amz-Algorithm",
        "X-Amz-Content-Sha256",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Security-Token",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
    ]
)


@dataclass(frozen=True, slots=True)
class Hosts:
    """Which host names have a bucket in front.

    Args:
        domains: the server's own names: ``BUCKET.DOMAIN``, known or not.
        known: whether a bucket exists: ``BUCKET.anything``.
    """

    domains: tuple[str, ...] = ()
    known: Callable[[str], bool] = lambda _: False

    def bucket(self, host: str) -> str:
        """The bucket that stands in a Host header, or an empty string."""
        name = re.sub(r":\d*$", "", host).lower()
        if name in self.domains or _ADDRESS.fullmatch(name):
            return ""
        for domain in self.domains:
            if name.endswith("." + domain):
                return name[: -len(domain) - 1]
        labels = name.split(".")
        candidates = (".".join(labels[:count]) for count in range(len(labels) - 1, 0, -1))
        return next((candidate for candidate in candidates if self.known(candidate)), "")


@dataclass(slots=True)
class Request:
    """A request, taken apart.

    Args:
        path: percent-encoded, as on the wire.
        headers: names in lower case.
        bucket: empty for the service itself.
        key: decoded; empty for the bucket itself.
        message: the body, where the operation takes a small one; proven.
        repeated: a header or parameter that may be there once, and is there twice.
    """

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    bucket: str
    key: str
    bucket_in_host: str
    reader: Reader
    message: bytes = b""
    repeated: str = ""

    @classmethod
    def of(cls, scope: dict[str, Any], receive: Receive, hosts: Hosts) -> "Request":
        """Take an ASGI scope apart."""
        headers: dict[str, str] = {}
        repeated = ""
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            if name in headers and name in _ONCE:
                repeated = name
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        path = scope["raw_path"].decode("latin-1")
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        proofs = [name for name, _ in query if name in _ONCE_IN_QUERY]
        if len(set(proofs)) < len(proofs):
            repeated = max(proofs, key=proofs.count)
        in_host = hosts.bucket(headers.get("host", ""))
        decoded = unquote(path, errors="surrogateescape")
        if in_host:
            bucket, key = in_host, decoded[1:]
        else:
            bucket, _, key = decoded[1:].partition("/")
        return cls(
            scope["method"],
            path,
            query,
            headers,
            bucket,
            key,
            in_host,
            Reader(scope, receive),
            repeated=repeated,
        )

    def parameter(self, name: str, default: str = "") -> str:
        """The value of a query parameter."""
        return next((value for key, value in self.query if key == name), default)

    def number(self, name: str, default: int) -> int:
        """The value of a numeric query parameter; raises S3Error."""
        value = self.parameter(name) or str(default)
        if not re.fullmatch(r"[0-9]{1,9}", value):
            raise S3Error(
                "InvalidArgument", f"Provided {name} is not an integer", ArgumentName=name
            )
        return int(value)

    def has(self, name: str) -> bool:
        """Whether the query names a subresource."""
        return any(key == name for key, _ in self.query)

    def signable(self) -> Signable:
        """What the signature covers."""
        return Signable(
            self.method, self.path, self.query, self.headers, bucket_in_host=self.bucket_in_host
        )
