# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Which headers a user may give to objects, and what their values can be.

A header of HTTP itself, or one that a request carries for another reason, would make every
request fail, or mean something else; a value that HTTP would trim spoils the signature.
"""

import re

NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
"""RFC 9110, token."""
VALUE_LENGTH = 2048
PROTOCOL = frozenset(
    {
        # Hop by hop: RFC 9110, 7.6.1, and what RFC 2616 named.
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "trailers"),
        *("transfer-encoding", "upgrade", "proxy-authenticate", "proxy-authorization"),
        # The message and its sender.
        *("accept", "accept-charset", "accept-encoding", "authorization", "content-length"),
        *("content-location", "content-md5", "content-range", "cookie", "date", "expect"),
        *("forwarded", "from", "host", "max-forwards", "origin", "range", "referer", "user-agent"),
        *("via", "content-digest", "repr-digest", "want-digest", "digest", "etag"),
        *("last-modified", "location", "set-cookie", "age", "server", "www-authenticate"),
    }
)
CONDITIONS = "if-"
AMAZON = "x-amz-"
STORED = (
    *("x-amz-acl", "x-amz-grant-", "x-amz-storage-class", "x-amz-tagging"),
    *("x-amz-website-redirect-location", "x-amz-server-side-encryption"),
    *("x-amz-object-lock-", "x-amz-expected-bucket-owner", "x-amz-request-payer"),
)
"""What of Amazon's own headers a request that makes an object takes (AWS, PutObject)."""
SECRET = "x-amz-server-side-encryption-customer-"
"""Needed by every later request too, which this mount does not send it with."""
META = "x-amz-meta-"


def name_fault(name: str) -> str:
    """Why an object cannot be given this header; empty where it can."""
    lower = name.lower()
    if not NAME.fullmatch(name):
        return "is no name of a header"
    if lower in PROTOCOL or lower.startswith((CONDITIONS, "proxy-", "sec-", "x-forwarded-")):
        return "is a header of the request itself, not of the object: take it out"
    if lower.startswith(META):
        return "is metadata of one file: set it by setfattr -n user.meta.NAME"
    if lower.startswith(SECRET) or (lower.startswith(AMAZON) and not lower.startswith(STORED)):
        return "belongs to the request: of x-amz-* there are acl, storage-class, tagging and such"
    return ""


def value_fault(value: str) -> str:
    """Why a header cannot have this value; empty where it can."""
    if not value.isascii() or not value.isprintable():
        return "takes one line of ASCII text"
    if value != value.strip():
        return "has a blank at an end, which HTTP cuts off: take it out"
    if len(value) > VALUE_LENGTH:
        return f"takes {VALUE_LENGTH} characters at most"
    return ""
