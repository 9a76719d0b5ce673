# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the single values of an answer can be: each is read whole and within bounds, or refused.

Every function raises ValueError, with a reason, for what no store can mean.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from kontenumfs.protocol.dialect import MAX_OBJECT

_ETAG = re.compile(r"[!#-~]{0,256}")
"""RFC 9110, 8.8.3, without what lies beyond ASCII, and of a length that a header can carry."""
_SIZE = re.compile(r"[0-9]{1,16}")
_TOKEN_LENGTH = 8192
"""Characters of what goes into a later request's query: keys have 1,024 bytes."""
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(2200, 1, 1, tzinfo=UTC)


def etag(text: str) -> str:
    """An ETag in its one form: without quotes and without the mark of a weak one.

    The same object is told as ``"x"``, ``W/"x"`` and ``x`` by one store's several verbs, or
    through a proxy. Empty where the store gave an empty one.
    """
    text = text.strip()
    if text[:2] in ("W/", "w/") and text[2:3] == '"':
        text = text[2:]
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not _ETAG.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no ETag")
    return text


def size(text: str) -> int:
    """Bytes of an object."""
    text = text.strip()
    if not _SIZE.fullmatch(text) or int(text) > MAX_OBJECT:
        raise ValueError(f"{text[:40]!r} is no size of an object")
    return int(text)


def iso_time(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 time, as S3 writes it in XML."""
    return _sane(datetime.fromisoformat(text), text).timestamp()


def http_time(text: str) -> datetime:
    """The time in a Date or Last-Modified header."""
    try:
        return _sane(parsedate_to_datetime(text), text)
    except (TypeError, IndexError, OverflowError) as error:
        raise ValueError(f"{text[:40]!r} is no time: {error}") from None


def token(text: str) -> str:
    """An opaque text that goes back to the store as it is: an upload's id, a place in a listing."""
    if not text or len(text) > _TOKEN_LENGTH or not text.isprintable():
        raise ValueError(f"{text[:40]!r} cannot be sent back")
    return text


def _sane(moment: datetime, text: str) -> datetime:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not _FIRST <= moment <= _LAST:
        raise ValueError(f"{text[:40]!r} is no time that a store can mean")
    return moment
