# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the answers of several operations have in common: XML, times, an object's headers."""

import time
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from urllib.parse import quote
from xml.sax.saxutils import escape

from kontenumfs.emulator.storage import StoredObject

XML_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
CHECKSUM = "x-amz-checksum-"

# XML 1.0 has no control characters, not even escaped ones, and AWS sends them all the same: who
# must read such a key asks for encoding-type=url. A parser would make a line feed of \r.
_ESCAPES = {chr(code): f"&#{code};" for code in (*range(9), 11, 12, 13, *range(14, 32))}


@dataclass(slots=True)
class Answer:
    """An answer whose body fits into memory."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def xml(cls, root: str, inner: str, **headers: str) -> "Answer":
        """An XML answer."""
        document = f'{XML_HEAD}<{root} xmlns="{NAMESPACE}">{inner}</{root}>'
        return cls(200, document.encode(), {"content-type": "application/xml", **headers})


def text(value: str) -> str:
    """A key as it stands in XML."""
    return escape(value, _ESCAPES)


def url_text(value: str) -> str:
    """A key as it stands in XML where encoding-type=url was asked for."""
    return quote(value, safe="/-_.~*")


def http_date(when: float) -> str:
    """A time as HTTP headers say it, cut to whole seconds."""
    return formatdate(int(when), usegmt=True)


def iso_time(when: float) -> str:
    """A time as listings say it, cut to whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(int(when)))


def copy_result(etag: str, modified: float) -> str:
    """What CopyObject and UploadPartCopy answer."""
    return f"<LastModified>{iso_time(modified)}</LastModified><ETag>&quot;{etag}&quot;</ETag>"


def object_headers(found: StoredObject, *, with_checksums: bool = False) -> dict[str, str]:
    """What HEAD shows of an object."""
    kept = found.headers
    if not with_checksums:
        kept = {name: value for name, value in kept.items() if not name.startswith(CHECKSUM)}
    return {
        **kept,
        "etag": f'"{found.etag}"',
        "last-modified": http_date(found.modified),
        "accept-ranges": "bytes",
    }


def named_etags(header: str) -> set[str]:
    """The ETags of If-Match or If-None-Match, without quotes and without W/."""
    return {word.strip().removeprefix("W/").strip('"') for word in header.split(",")}


def read_status(headers: dict[str, str], found: StoredObject) -> int:
    """200, 304 or 412: what the conditions of a HEAD or GET come to (RFC 9110, 13.2.2)."""
    match = headers.get("if-match")
    if match is not None:
        if not named_etags(match) & {found.etag, "*"}:
            return 412
    elif int(found.modified) > _when(headers.get("if-unmodified-since"), float("inf")):
        return 412
    none_match = headers.get("if-none-match")
    if none_match is not None:
        return 304 if named_etags(none_match) & {found.etag, "*"} else 200
    return 304 if int(found.modified) <= _when(headers.get("if-modified-since"), -1) else 200


def _when(header: str | None, otherwise: float) -> float:
    if header is None:
        return otherwise
    try:
        return parsedate_to_datetime(header).timestamp()
    except ValueError:
        return otherwise  # RFC 9110: a date that cannot be read is as good as none
