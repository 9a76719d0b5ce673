# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Who sent a request, and whether the signature proves it: SigV4, SigV2 and the plain pair."""

import hmac
import re
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote_from_bytes, unquote_to_bytes

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
MAX_EXPIRES = 604800
"""Seconds that a signed URL may live under SigV4 (AWS: 7 days)."""
SIGNED_CHUNKS = frozenset(
    {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"}
)
UNSIGNED_CHUNKS = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_FIELDS_V4 = frozenset({"Credential", "SignedHeaders", "Signature"})
_QUERY_V4 = frozenset({"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"})
_QUERY_V2 = frozenset({"AWSAccessKeyId", "Signature"})


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
    key: bytes = field(default=b"", repr=False)
    timestamp: str = ""
    scope: str = ""

    @property
    def is_chunked(self) -> bool:
        """Whether the body is aws-chunked."""
        return self.payload == UNSIGNED_CHUNKS or self.payload in SIGNED_CHUNKS

    @property
    def covers_body(self) -> bool:
        """Whether the signature covers the body too."""
        return len(self.payload) == 64 or self.payload in SIGNED_CHUNKS


class Authenticator:
    """The key pairs that are active; may be changed while the server runs.

    Args:
        pairs: secrets by access key.
        region: the one that SigV4 must be scoped to.
    """

    def __init__(self, pairs: dict[str, str], region: str = "us-east-1") -> None:
        self._pairs = pairs
        self._region = region
        self.active = set(pairs)

    def activate(self, keys: object) -> None:
        """Accept these access keys only; raises ValueError for one that is not known."""
        if not isinstance(keys, list) or not set(keys) <= self._pairs.keys():
            raise ValueError("active must be a list of access keys that were given at the start")
        self.active = set(keys)

    def _secret(self, access: str) -> str:
        if access not in self.active or access not in self._pairs:
            raise S3Error("InvalidAccessKeyId", AWSAccessKeyId=access)
        return self._pairs[access]

    def verify(self, request: Signable) -> Proof:
        """Prove a request; raises S3Error. Its payload is checked while it arrives."""
        query = dict(request.query)
        header = request.headers.get("authorization", "")
        ways = [not query.keys().isdisjoint(names) for names in (_QUERY_V4, _QUERY_V2)]
        if sum(ways) + ("authorization" in request.headers) > 1:
            raise S3Error("InvalidArgument", "Only one auth mechanism allowed")
        if header.startswith(ALGORITHM_V4 + " "):
            return self._header_v4(request, header)
        if header.startswith("AWS "):
            return self._header_v2(request, header[4:])
        if header:
            return self._plain(request, header)
        if "X-Amz-Signature" in query:
            return self._query_v4(request, query)
        if "Signature" in query:
            return self._query_v2(request, query)
        raise S3Error("AccessDenied")

    def _plain(self, request: Signable, header: str) -> Proof:
        access, colon, secret = header.partition(":")
        if not colon or " " in access:
            raise S3Error("InvalidArgument", "Unsupported Authorization Type")
        _compare(self._secret(access), secret)
        return self._proof_v2(request)

    def _header_v4(self, request: Signable, header: str) -> Proof:
        parts = header[len(ALGORITHM_V4) :].split(",")
        fields = dict(part.strip().partition("=")[::2] for part in parts)
        if len(fields) < len(parts) or not fields.keys() >= _FIELDS_V4:
            raise S3Error("AuthorizationHeaderMalformed")
        payload = request.headers.get("x-amz-content-sha256", "")
        if not payload:
            raise S3Error("InvalidRequest", "Missing required header: x-amz-content-sha256")
        timestamp = request.headers.get("x-amz-date", "")
        _check_skew(_time_v4(timestamp), timestamp)
        signed = fields["SignedHeaders"].split(";")
        return self._prove_v4(
            request, fields["Credential"], signed, fields["Signature"], timestamp, payload
        )

    def _query_v4(self, request: Signable, query: dict[str, str]) -> Proof:
        timestamp, expires = query.get("X-Amz-Date", ""), query.get("X-Amz-Expires", "")
        began = _time_v4(timestamp)
        if query.get("X-Amz-Algorithm") != ALGORITHM_V4:
            raise S3Error("AuthorizationQueryParametersError", "X-Amz-Algorithm is not known")
        if not re.fullmatch(r"[0-9]{1,9}", expires) or not 1 <= int(expires) <= MAX_EXPIRES:
            raise S3Error(
                "AuthorizationQueryParametersError", f"X-Amz-Expires must be 1 to {MAX_EXPIRES}"
            )
        if time.time() < began - MAX_SKEW:
            raise S3Error("AccessDenied", "Request is not valid yet")
        if time.time() > began + int(expires):
            raise S3Error("AccessDenied", "Request has expired")
        rest = Signable(
            request.method,
            request.path,
            [pair for pair in request.query if pair[0] != "X-Amz-Signature"],
            request.headers,
        )
        signed = query.get("X-Amz-SignedHeaders", "").split(";")
        payload = query.get("X-Amz-Content-Sha256", "") or request.headers.get(
            "x-amz-content-sha256", UNSIGNED_PAYLOAD
        )
        credential, signature = query.get("X-Amz-Credential", ""), query["X-Amz-Signature"]
        return self._prove_v4(rest, credential, signed, signature, timestamp, payload)

    def _prove_v4(
        self,
        request: Signable,
        credential: str,
        signed: list[str],
        signature: str,
        timestamp: str,
        payload: str,
    ) -> Proof:
        _check_payload(payload)
        unsigned = [
            name for name in request.headers if name.startswith("x-amz-") and name not in signed
        ]
        if "host" not in signed or unsigned:
            raise S3Error(
                "AccessDenied",
                "There were headers present in the request which were not signed",
                HeadersNotSigned=", ".join(unsigned or ["host"]),
            )
        access, _, scope = credential.partition("/")
        self._check_scope(scope, timestamp)
        key = signing_key_v4(self._secret(access), timestamp[:8], self._region)
        # AWS signs the decoded path, encoded again: a client that leaves a + or a ~ in the wrong
        # form must fail here as it does there.
        path = quote_from_bytes(unquote_to_bytes(request.path), safe="/-_.~")
        try:
            canonical = canonical_request_v4(
                request.method, path, request.query, request.headers, signed, payload
            )
        except KeyError:
            raise S3Error("SignatureDoesNotMatch") from None
        text = string_to_sign_v4(canonical, timestamp, scope)
        _compare(signature_v4(key, text), signature, StringToSign=text, CanonicalRequest=canonical)
        return Proof(payload, signature, key, timestamp, scope)

    def _check_scope(self, scope: str, timestamp: str) -> None:
        date, _, rest = scope.partition("/")
        region, _, service = rest.partition("/")
        if date != timestamp[:8] or service != "s3/aws4_request":
            raise S3Error("AuthorizationHeaderMalformed")
        if region != self._region:
            raise S3Error(
                "AuthorizationHeaderMalformed",
                f"The authorization header is malformed; the region '{region}' is wrong; "
                f"expecting '{self._region}'",
                Region=self._region,
            )

    def _header_v2(self, request: Signable, credential: str) -> Proof:
        access, _, signature = credential.partition(":")
        dated = request.headers.get("x-amz-date") or request.headers.get("date", "")
        try:
            moment = parsedate_to_datetime(dated)
        except ValueError:
            raise S3Error("AccessDenied", "a valid Date or x-amz-date header is needed") from None
        # "-0000" gives a time without a zone, which is UTC.
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        _check_skew(moment.timestamp(), dated)
        self._prove_v2(request, access, signature)
        return self._proof_v2(request)

    def _query_v2(self, request: Signable, query: dict[str, str]) -> Proof:
        expires = query.get("Expires", "")
        if not re.fullmatch(r"[0-9]{1,12}", expires) or time.time() > int(expires):
            raise S3Error("AccessDenied", "Request has expired")
        access = query.get("AWSAccessKeyId", "")
        self._prove_v2(request, access, query["Signature"], expires)
        return self._proof_v2(request)

    def _prove_v2(
        self, request: Signable, access: str, signature: str, expires: str | None = None
    ) -> None:
        secret = self._secret(access)
        text = string_to_sign_v2(request, expires=expires)
        if request.path.count("/") == 1 and request.path != "/" and not request.bucket_in_host:
            # A bucket's resource is /bucket/ whatever the wire says (boto3 signs it so), and
            # clients that sign the path as it is are right as well.
            slashed = replace(request, path=request.path + "/")
            other = string_to_sign_v2(slashed, expires=expires)
            if hmac.compare_digest(signature_v2(secret, other).encode(), signature.encode()):
                return
        _compare(signature_v2(secret, text), signature, StringToSign=text)

    def _proof_v2(self, request: Signable) -> Proof:
        """Neither SigV2 nor the plain pair knows a digest, but a header may have one."""
        payload = request.headers.get("x-amz-content-sha256", UNSIGNED_PAYLOAD)
        if payload in SIGNED_CHUNKS:
            raise S3Error("InvalidRequest", "signed chunks need SigV4")
        _check_payload(payload)
        return Proof(payload)


def _compare(expected: str, signature: str, **fields: str) -> None:
    """In constant time; raises S3Error, with what AWS shows of how it came to its own."""
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise S3Error("SignatureDoesNotMatch", "", None, **fields)


def _check_payload(payload: str) -> None:
    if payload in (UNSIGNED_PAYLOAD, UNSIGNED_CHUNKS, *SIGNED_CHUNKS):
        return
    if not re.fullmatch(r"[0-9a-f]{64}", payload):
        raise S3Error(
            "InvalidArgument",
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER "
            "or a valid sha256 value.",
        )


def _time_v4(text: str) -> float:
    try:
        return datetime.strptime(text, TIMESTAMP_V4).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise S3Error("AccessDenied", "a valid x-amz-date header is needed") from None


def _check_skew(when: float, said: str) -> None:
    now = time.time()
    if abs(now - when) > MAX_SKEW:
        raise S3Error(
            "RequestTimeTooSkewed",
            RequestTime=said,
            ServerTime=datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            MaxAllowedSkewMilliseconds=str(MAX_SKEW * 1000),
        )
