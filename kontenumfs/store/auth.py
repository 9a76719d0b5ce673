# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Signing as an httpx.Auth: each attempt anew, with a corrected clock and a second key pair."""

import logging
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta

import httpx

from kontenumfs.protocol import fields
from kontenumfs.protocol.errors import UnexpectedAnswer
from kontenumfs.protocol.signing import KeyPair, Signable, Signer
from kontenumfs.protocol.xml import parse
from kontenumfs.store.keys import KeyRing

log = logging.getLogger(__name__)

KEY_REFUSED = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch"})
KEY_PROVEN = frozenset({304, 404, 409, 412})
"""What a store says, besides success, only once it has accepted the signature."""
SMALLEST_SKEW = timedelta(seconds=2)
"""The Date header counts whole seconds, and an answer takes its time."""
TOLERATED_SKEW = timedelta(minutes=5)
"""No store allows less; a HEAD that was refused without a code may have been off by more."""

LARGEST_CORRECTION = timedelta(hours=1, minutes=5)
"""An hour, and what answers take: a store that is further off, or a liar, is not followed."""


class Clock:
    """This machine's clock, and how far the store's is from it.

    Args:
        now: the time of day in UTC.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self.correction = timedelta()
        """What is added when signing, once the store has refused our time."""
        self.measured: timedelta | None = None
        """The store's clock less ours by its last answer, to about a second; None at first."""
        self._last = ""

    def now(self) -> datetime:
        """The time to sign with."""
        return self._now() + self.correction

    def measure(self, response: httpx.Response) -> None:
        """Learn from an answer's Date; cheap where its second is known."""
        said = response.headers.get("date", "")
        if said == self._last:
            return
        self._last = said
        self._read(said)

    def _read(self, said: str) -> None:
        try:
            self.measured = fields.http_time(said) - self._now()
        except ValueError:
            return

    def correct(self, refusal: httpx.Response, at_least: timedelta) -> bool:
        """Sign with the time of the store that refused ours; whether that is a change."""
        self.measured, before = None, self.measured
        self._read(refusal.headers.get("date", ""))
        skew = self.measured
        if skew is None:
            self.measured = before
            return False
        if abs(skew - self.correction) < at_least:
            return False
        if abs(skew) > LARGEST_CORRECTION:
            log.warning("the store's clock is %s from this machine's: not followed", skew)
            return False
        log.warning("this machine's clock differs from the store's by %s; corrected", skew)
        self.correction = skew
        return True


class S3Auth(httpx.Auth):
    """Signs requests, and tries once more where the clock or the key pair was to blame.

    Reads from a request's extensions: ``path`` (as on the wire), ``query`` (decoded) and
    ``payload_hash``. A pair that worked where the other was refused is used from then on.

    Args:
        bucket_in_host: the bucket, when it is addressed by host name.
        clock: learns how far the store's clock is from ours.
    """

    def __init__(
        self,
        signer: Signer,
        keys: KeyRing,
        *,
        bucket_in_host: str = "",
        clock: Clock | None = None,
    ) -> None:
        self._signer = signer
        self._keys = keys
        self._bucket_in_host = bucket_in_host
        self._clock = clock or Clock()

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Yield the signed request, and once more for the clock and for the other key pair."""
        unsigned = request.headers.raw
        keys = self._keys.current
        self._sign(request, unsigned, keys)
        response = yield request
        self._clock.measure(response)
        if response.status_code != 403:
            return
        code = await _error_code(response)
        # The answer to a HEAD has no code: its refusal may be the clock's fault, or the key's.
        silent = request.method == "HEAD" and not code
        tolerated = TOLERATED_SKEW if silent else SMALLEST_SKEW
        if (silent or code == "RequestTimeTooSkewed") and self._clock.correct(response, tolerated):
            self._sign(request, unsigned, keys)
            response = yield request
            if response.status_code != 403:
                return
            code = await _error_code(response)
        if code in KEY_REFUSED or (not code and request.method == "HEAD"):
            other = self._keys.other_than(keys)
            if other is not None:
                self._sign(request, unsigned, other)
                response = yield request
                if response.is_success or response.status_code in KEY_PROVEN:
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
        added = self._signer.sign(signable, keys, self._clock.now())
        request.headers = httpx.Headers(
            unsigned + [(name.encode(), value.encode()) for name, value in added.items()]
        )


async def _error_code(response: httpx.Response) -> str:
    body = await response.aread()
    if not body:
        return ""
    try:
        return parse(body).get("Code")
    except UnexpectedAnswer:
        return ""
