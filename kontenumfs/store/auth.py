# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Signing as an httpx.Auth: each attempt anew, with a corrected clock and a second key pair."""

import logging
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from kontenumfs.protocol.errors import UnexpectedAnswer
from kontenumfs.protocol.signing import UNSIGNED_PAYLOAD, KeyPair, Query, Signable, Signer
from kontenumfs.protocol.xml import parse
from kontenumfs.store.keys import KeyRing

log = logging.getLogger(__name__)

KEY_REFUSED = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch"})
SMALLEST_SKEW = timedelta(seconds=2)
"""The Date header counts whole seconds, and an answer takes its time."""


class S3Auth(httpx.Auth):
    """Signs requests; what a signature covers stands in the request's extensions.

    Args:
        bucket_in_host: the bucket, when it is addressed by host name.
        now: the time of day in UTC.
    """

    def __init__(
        self,
        signer: Signer,
        keys: KeyRing,
        *,
        bucket_in_host: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._signer = signer
        self._keys = keys
        self._bucket_in_host = bucket_in_host
        self._now = now
        self.skew = timedelta()
        """The store's clock less ours, once it was learnt."""

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Yield the signed request, and once more where a key or the clock was to blame."""
        keys = self._keys.current
        self._sign(request, keys)
        response = yield request
        if response.status_code != 403:
            return
        code = await _error_code(response)
        if code == "RequestTimeTooSkewed" and self._correct_clock(response):
            self._sign(request, keys)
            response = yield request
            code = await _error_code(response) if response.status_code == 403 else ""
        if code in KEY_REFUSED or (not code and request.method == "HEAD"):
            other = self._keys.fall_over(keys) if code else None
            if other is not None:
                self._sign(request, other)
                yield request

    def _sign(self, request: httpx.Request, keys: KeyPair) -> None:
        query: Query = request.extensions["query"]
        signable = Signable(
            request.method,
            request.url.raw_path.partition(b"?")[0].decode("ascii"),
            query,
            {
                name: value
                for name, value in request.headers.items()
                if name not in ("authorization", "x-amz-date", "x-amz-content-sha256")
            },
            request.extensions.get("payload_hash", UNSIGNED_PAYLOAD),
            self._bucket_in_host,
        )
        request.headers.update(self._signer.sign(signable, keys, self._now() + self.skew))

    def _correct_clock(self, response: httpx.Response) -> bool:
        """Learn how far the clocks differ; whether that can help."""
        try:
            theirs = parsedate_to_datetime(response.headers["date"])
        except (KeyError, ValueError):
            return False
        skew = theirs - self._now()
        if abs(skew - self.skew) < SMALLEST_SKEW:
            return False
        log.warning("this machine's clock differs from the store's by %s; corrected", skew)
        self.skew = skew
        return True


async def _error_code(response: httpx.Response) -> str:
    body = await response.aread()
    if not body:
        return ""
    try:
        return parse(body).get("Code")
    except UnexpectedAnswer:
        return ""
