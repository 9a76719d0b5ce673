# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Who sent a request, and whether the signature proves it: SigV4, SigV2 and the plain pair."""

import hmac
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from kontenumfs.emulator.errors import S3Error
from kontenumfs.protocol.signing import (
    ALGORITHM_V4,
    TIMESTAMP_V4,
    UNSIGNED_PAYLOAD,
    Signable,
    canonical_request_v4,
    signature_v2,
    signature_v4,
    signing_key_v4,
    string_to_sign_v2,
    string_to_sign_v4,
)

MAX_SKEW = 900
"""Seconds that clocks may differ (AWS: 15 minutes)."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A verified signature.

    Args:
        payload: what x-amz-content-sha256 announced, or UNSIGNED-PAYLOAD.
        signature: of the headers: the seed of chunk signatures.
        key: SigV4's signing key, for chunk signatures.
        timestamp: and the rest of what those are bound to.
    """

    payload: str = UNSIGNED_PAYLOAD
    signature: str = ""
    key: bytes = b""
    timestamp: str = ""
    scope: str = ""


class Authenticator:
    """The key pairs that are active; may be changed while the server runs."""

    def __init__(self, pairs: dict[str, str]) -> None:
        self._pairs = pairs
        self.active = set(pairs)

    def _secret(self, access: str) -> str:
        if access not in self.active or access not in self._pairs:
            raise S3Error("InvalidAccessKeyId")
        return self._pairs[access]

    def verify(self, request: Signable) -> Proof:
        """Prove a request; raises S3Error. Its payload is checked while it arrives."""
        query = dict(request.query)
        header = request.headers.get("authorization", "")
        if header.startswith(ALGORITHM_V4):
            return self._header_v4(request, header)
        if header.startswith("AWS "):
            return self._header_v2(request, header[4:])
        if header:
            return self._plain(header)
        if "X-Amz-Signature" in query:
            return self._query_v4(request, query)
        if "Signature" in query:
            return self._query_v2(request, query)
        raise S3Error("AccessDenied")

    def _plain(self, header: str) -> Proof:
        access, _, secret = header.partition(":")
        if not hmac.compare_digest(self._secret(access).encode(), secret.encode()):
            raise S3Error("SignatureDoesNotMatch")
        return Proof()

    def _header_v4(self, request: Signable, header: str) -> Proof:
        fields = dict(
            part.strip().partition("=")[::2] for part in header[len(ALGORITHM_V4) :].split(",")
        )
        payload = request.headers.get("x-amz-content-sha256", "")
        if not payload:
            raise S3Error("InvalidRequest", "Missing required header: x-amz-content-sha256")
        timestamp = request.headers.get("x-amz-date", "")
        _check_skew(_time_v4(timestamp))
        signed = fields.get("SignedHeaders", "").split(";")
        unsigned = [
            name for name in request.headers if name.startswith("x-amz-") and name not in signed
        ]
        if "host" not in signed or unsigned:
            raise S3Error("AccessDenied", "There were headers present which were not signed")
        return self._prove_v4(
            request,
            fields.get("Credential", ""),
            signed,
            fields.get("Signature", ""),
            timestamp,
            payload,
        )

    def _query_v4(self, request: Signable, query: dict[str, str]) -> Proof:
        timestamp = query.get("X-Amz-Date", "")
        began, expires = _time_v4(timestamp), query.get("X-Amz-Expires", "")
        if not expires.isdigit() or not 1 <= int(expires) <= 604800:
            raise S3Error("AuthorizationHeaderMalformed", "X-Amz-Expires must be 1 to 604800")
        if not began - MAX_SKEW <= time.time() <= began + int(expires):
            raise S3Error("AccessDenied", "Request has expired")
        rest = Signable(
            request.method,
            request.path,
            [pair for pair in request.query if pair[0] != "X-Amz-Signature"],
            request.headers,
        )
        signed = query.get("X-Amz-SignedHeaders", "").split(";")
        payload = query.get("X-Amz-Content-Sha256", UNSIGNED_PAYLOAD)
        return self._prove_v4(
            rest,
            query.get("X-Amz-Credential", ""),
            signed,
            query["X-Amz-Signature"],
            timestamp,
            payload,
        )

    def _prove_v4(
        self,
        request: Signable,
        credential: str,
        signed: list[str],
        signature: str,
        timestamp: str,
        payload: str,
    ) -> Proof:
        access, _, scope = credential.partition("/")
        parts = scope.split("/")
        if len(parts) != 4 or parts[3] != "aws4_request" or parts[0] != timestamp[:8]:
            raise S3Error("AuthorizationHeaderMalformed")
        key = signing_key_v4(self._secret(access), parts[0], parts[1], parts[2])
        try:
            canonical = canonical_request_v4(
                request.method, request.path, request.query, request.headers, signed, payload
            )
        except KeyError:
            raise S3Error("SignatureDoesNotMatch") from None
        expected = signature_v4(key, string_to_sign_v4(canonical, timestamp, scope))
        if not hmac.compare_digest(expected, signature):
            raise S3Error("SignatureDoesNotMatch")
        return Proof(payload, signature, key, timestamp, scope)

    def _header_v2(self, request: Signable, credential: str) -> Proof:
        access, _, signature = credential.partition(":")
        dated = request.headers.get("x-amz-date") or request.headers.get("date", "")
        try:
            _check_skew(parsedate_to_datetime(dated).timestamp())
        except ValueError:
            raise S3Error("AccessDenied", "a valid Date or x-amz-date header is needed") from None
        expected = signature_v2(self._secret(access), string_to_sign_v2(request))
        if not hmac.compare_digest(expected, signature):
            raise S3Error("SignatureDoesNotMatch")
        return Proof()

    def _query_v2(self, request: Signable, query: dict[str, str]) -> Proof:
        expires = query.get("Expires", "")
        if not expires.isdigit() or time.time() > int(expires):
            raise S3Error("AccessDenied", "Request has expired")
        expected = signature_v2(
            self._secret(query.get("AWSAccessKeyId", "")),
            string_to_sign_v2(request, expires=expires),
        )
        if not hmac.compare_digest(expected, query["Signature"]):
            raise S3Error("SignatureDoesNotMatch")
        return Proof()


def _time_v4(text: str) -> float:
    try:
        return datetime.strptime(text, TIMESTAMP_V4).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise S3Error("AccessDenied", "a valid x-amz-date header is needed") from None


def _check_skew(when: float) -> None:
    if abs(time.time() - when) > MAX_SKEW:
        raise S3Error("RequestTimeTooSkewed")
