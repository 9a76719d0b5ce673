# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Signing as an httpx.Auth: each attempt anew, with a corrected clock and a second key pair."""

import logging
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from kontenumfs.protocol.errors import UnexpectedAnswer
from kontenumfs.protocol.signing import KeyPair, Signable, Signer
from kontenumfs.protocol.xml import parse
from kontenumfs.store.keys import KeyRing

log = logging.getLogger(__name__)

KEY_REFUSED = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch"})
SMALLEST_SKEW = timedelta(seconds=2)
"""The Date header counts whole seconds, and an answer takes its time."""
TOLERATED_SKEW = timedelta(minutes=5)
"""No store allows less; a HEAD that was refused without a code may have been off by more."""


class S3Auth(httpx.Auth):
    """Signs requests, and tries once more where the clock or the key pair was to blame.

    Reads from a request's extensions: ``path`` (as on the wire), ``query`` (decoded) and
    ``payload_hash``. A pair that worked where the other was refused is used from then on.

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
        """Yield the signed request, and once more for the clock and for the other key pair."""
        unsigned = request.headers.raw
        keys = self._keys.current
        self._sign(request, unsigned, keys)
        response = yield request
        if response.status_code != 403:
            return
        code = await _error_code(response)
        if self._clock_is_to_blame(request, response, code):
            self._sign(request, unsigned, keys)
            response = yield request
            if response.status_code != 403:
                return
            code = await _error_code(response)
        # The answer to a HEAD has no code: its refusal may be the key's fault.
        if code in KEY_REFUSED or (not code and request.method == "HEAD"):
            other = self._keys.other_than(keys)
            if other is not None:
                self._sign(request, unsigned, other)
                response = yield request
                if response.status_code not in (401, 403):
                    self._keys.prefer(other)

    def _sign(
        self, request: httpx.Request, unsigned: list[tuple[bytes, bytes]], keys: KeyPair
    ) -> None:
        extensions = request.extensions
        signable = Signable(
            request.method,
            extensions["path"],
            extensions["query"],
            {name.decode(): value.decode() for name, value in unsigned},
            extensions["payload_hash"],
            self._bucket_in_host,
        )
        added = self._signer.sign(signable, keys, self._now() + self.skew)
        request.headers = httpx.Headers(
            unsigned + [(name.encode(), value.encode()) for name, value in added.items()]
        )

    def _clock_is_to_blame(
        self, request: httpx.Request, response: httpx.Response, code: str
    ) -> bool:
        """Learn how far the clocks differ; whether that can help."""
        silent = request.method == "HEAD" and not code
        if code != "RequestTimeTooSkewed" and not silent:
            return False
        try:
            theirs = parsedate_to_datetime(response.headers["date"])
        except (KeyError, ValueError):
            return False
        if theirs.tzinfo is None:
            theirs = theirs.replace(tzinfo=UTC)
        skew = theirs - self._now()
        if abs(skew - self.skew) < (TOLERATED_SKEW if silent else SMALLEST_SKEW):
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
