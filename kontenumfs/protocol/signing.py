# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Signatures of S3 requests: SigV4, SigV2 and the plain key pair, without any I/O.

Sources: AWS, "Authenticating Requests: Using the Authorization Header (SigV4)" and "Signing and
Authenticating REST Requests" (SigV2); Kontenum's three subresources are in `dialect`.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote

from kontenumfs.protocol.dialect import SUBRESOURCES_V2

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
ALGORITHM_V4 = "AWS4-HMAC-SHA256"
TIMESTAMP_V4 = "%Y%m%dT%H%M%SZ"

Query = Sequence[tuple[str, str]]
"""Decoded names and values; the value is empty for a bare subresource such as ``?append``."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An access key and its secret, which no repr shows."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Signable:
    """All that a signature covers.

    Args:
        path: percent-encoded, exactly as on the wire.
        query: decoded.
        headers: names in any case; Host must be among them.
        payload_hash: SHA-256 of the body in hex, or UNSIGNED_PAYLOAD.
        bucket_in_host: the bucket, when it is addressed by host name.
    """

    method: str
    path: str
    query: Query
    headers: Mapping[str, str]
    payload_hash: str = UNSIGNED_PAYLOAD
    bucket_in_host: str = ""


class Signer(Protocol):
    """One way to authenticate a request."""

    name: str

    def sign(self, request: Signable, keys: KeyPair, now: datetime) -> dict[str, str]:
        """The headers to add to `request`; `now` is in UTC."""


class SigV4:
    """AWS Signature Version 4 in the Authorization header."""

    name = "v4"

    def __init__(self, region: str = "us-east-1", service: str = "s3") -> None:
        self._region = region
        self._service = service

    def sign(self, request: Signable, keys: KeyPair, now: datetime) -> dict[str, str]:
        """The headers to add: x-amz-date, x-amz-content-sha256 and Authorization."""
        timestamp = now.strftime(TIMESTAMP_V4)
        added = {"x-amz-date": timestamp, "x-amz-content-sha256": request.payload_hash}
        headers = {name.lower(): value for name, value in request.headers.items()} | added
        signed = sorted(
            name
            for name in headers
            if name in ("host", "content-type", "content-md5") or name.startswith("x-amz-")
        )
        canonical = canonical_request_v4(
            request.method, request.path, request.query, headers, signed, request.payload_hash
        )
        scope = f"{timestamp[:8]}/{self._region}/{self._service}/aws4_request"
        key = signing_key_v4(keys.secret_key, timestamp[:8], self._region, self._service)
        signature = signature_v4(key, string_to_sign_v4(canonical, timestamp, scope))
        added["Authorization"] = (
            f"{ALGORITHM_V4} Credential={keys.access_key}/{scope},"
            f"SignedHeaders={';'.join(signed)},Signature={signature}"
        )
        return added


class SigV2:
    """AWS Signature Version 2 in the Authorization header, with Kontenum's subresources."""

    name = "v2"

    def sign(self, request: Signable, keys: KeyPair, now: datetime) -> dict[str, str]:
        """The headers to add: x-amz-date and Authorization."""
        added = {"x-amz-date": format_datetime(now, usegmt=True)}
        dated = Signable(
            request.method,
            request.path,
            request.query,
            {**request.headers, **added},
            request.payload_hash,
            request.bucket_in_host,
        )
        signature = signature_v2(keys.secret_key, string_to_sign_v2(dated))
        added["Authorization"] = f"AWS {keys.access_key}:{signature}"
        return added


class PlainKeys:
    """The literal ``Authorization: ACCESS:SECRET`` of the vendor's page: TLS or loopback only."""

    name = "plain"

    def sign(self, request: Signable, keys: KeyPair, now: datetime) -> dict[str, str]:
        """The one header to add."""
        return {"Authorization": f"{keys.access_key}:{keys.secret_key}"}


def signer_for(name: str, region: str) -> Signer:
    """The signer that the option ``signature`` names."""
    if name == "v2":
        return SigV2()
    return PlainKeys() if name == "plain" else SigV4(region)


def canonical_query(query: Query) -> str:
    """Names and values encoded as RFC 3986 says, sorted by their encoded form."""
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query)
    return "&".join(f"{name}={value}" for name, value in pairs)


def wire_query(query: Query) -> str:
    """The query as it is sent: a bare subresource without ``=``, as SigV2 signs it."""
    return "&".join(
        quote(name, safe="-_.~") + (f"={quote(value, safe='-_.~')}" if value else "")
        for name, value in query
    )


def canonical_request_v4(
    method: str,
    path: str,
    query: Query,
    headers: Mapping[str, str],
    signed_headers: Sequence[str],
    payload_hash: str,
) -> str:
    """SigV4's canonical request; header names must be in lower case."""
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in signed_headers)
    return "\n".join(
        (method, path or "/", canonical_query(query), lines, ";".join(signed_headers), payload_hash)
    )


def string_to_sign_v4(canonical: str, timestamp: str, scope: str) -> str:
    """What SigV4 signs: the canonical request's digest, bound to a time and a scope."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return f"{ALGORITHM_V4}\n{timestamp}\n{scope}\n{digest}"


@lru_cache(maxsize=64)
def signing_key_v4(secret: str, date: str, region: str, service: str = "s3") -> bytes:
    """The key of one day, region and service, derived from the secret."""
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def signature_v4(key: bytes, string_to_sign: str) -> str:
    """SigV4's signature, in hex."""
    return hmac.new(key, string_to_sign.encode(), hashlib.sha256).hexdigest()


def string_to_sign_v2(request: Signable, *, expires: str | None = None) -> str:
    """What SigV2 signs; `expires` stands for the date in query authentication."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    # With x-amz-date the Date line stays empty, for that header is among the amz lines.
    date = expires or ("" if "x-amz-date" in headers else headers.get("date", ""))
    amz = "".join(
        f"{name}:{headers[name].strip()}\n" for name in sorted(headers) if name.startswith("x-amz-")
    )
    bucket = f"/{request.bucket_in_host}" if request.bucket_in_host else ""
    signed = sorted((name, value) for name, value in request.query if name in SUBRESOURCES_V2)
    query = "&".join(f"{name}={value}" if value else name for name, value in signed)
    resource = bucket + (request.path or "/") + (f"?{query}" if query else "")
    lines = (
        request.method,
        headers.get("content-md5", ""),
        headers.get("content-type", ""),
        date,
        amz + resource,
    )
    return "\n".join(lines)


def signature_v2(secret: str, string_to_sign: str) -> str:
    """SigV2's signature, in base64."""
    digest = hmac.digest(secret.encode(), string_to_sign.encode(), "sha1")
    return base64.b64encode(digest).decode()
