# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The gate for listings: every page is judged against what was asked, and must lead on.

Byte order is not demanded, within a page or across pages: servers differ. What is demanded is
that keys lie where they were asked for, that there are no more than asked for, and that the pages
of one listing do not go round in a circle.
"""

import logging
from dataclasses import dataclass
from hashlib import blake2b

import httpx
from cachetools import LRUCache

from kontenumfs.protocol import fields, xml
from kontenumfs.protocol.errors import UnexpectedAnswer
from kontenumfs.store.api import ListPage, ObjectInfo, Upload
from kontenumfs.store.gate import read, refuse
from kontenumfs.store.wire import Call

log = logging.getLogger(__name__)

LISTINGS = 1024
"""Listings under way whose course is remembered."""
BARREN_PAGES = 32
"""Pages without anything new that may follow one another: real ones have few, or none."""
EXISTENCE = 2
"""A page of so few keys is asked to know whether there is anything: then all of it counts."""
MAX_UPLOADS = 1000


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked of a listing."""

    prefix: str
    delimiter: str
    max_keys: int
    token: str | None


@dataclass(frozen=True, slots=True)
class Course:
    """Where a listing has been, in little: Brent's way to find a circle in a sequence.

    One page of the past is kept for comparison, and replaced at each power of two; whatever the
    length of the circle, a later page will meet it.

    Args:
        pages: how many there were.
        mark: the token and the content of the page that is kept.
        last: the content of the last page.
        barren: how many of the last pages had nothing new.
    """

    pages: int = 0
    mark: tuple[bytes, bytes] = (b"", b"")
    last: bytes = b""
    barren: int = 0

    def after(self, token: str, names: list[str]) -> "Course":
        """The course with one more page, which is followed by `token`; raises ValueError."""
        place, content = _digest([token]), _digest(sorted(names)) if names else b""
        if self.pages and place == self.mark[0]:
            raise ValueError("the listing never ends: it comes back to where it was")
        is_known = not content or content in (self.last, self.mark[1])
        barren = self.barren + 1 if is_known else 0
        if barren > BARREN_PAGES:
            raise ValueError(f"the listing never ends: {barren} pages with nothing new")
        pages = self.pages + 1
        mark = (place, content) if pages & (pages - 1) == 0 else self.mark
        return Course(pages, mark, content or self.last, barren)


class Pages:
    """Judges the pages of listings, of which any number are under way."""

    def __init__(self) -> None:
        self._courses: LRUCache[tuple[str, str, str], Course] = LRUCache(LISTINGS)

    async def judge(self, response: httpx.Response, call: Call, asked: Question) -> ListPage:
        """The page that an answer holds; raises UnexpectedAnswer where it does not fit."""
        try:
            listing = await read(xml.parse_listing, response.content)
        except UnexpectedAnswer as error:
            refuse(call, error.message)
        _judge_prefix(call, asked.prefix, listing.asked)
        if max(len(listing.objects) + listing.unreadable, len(listing.prefixes)) > asked.max_keys:
            refuse(call, f"more entries than the {asked.max_keys} that were asked for")
        for item in listing.objects:
            _judge_key(call, asked, item.key)
        for prefix in listing.prefixes:
            _judge_common_prefix(call, asked, prefix)
        self._judge_unreadable(call, asked, listing)
        if listing.next_token is not None:
            self._judge_course(call, asked, listing)
        # A name that is told twice is one name; the first entry counts.
        objects = {item.key: item for item in reversed(listing.objects)}
        return ListPage(
            tuple(
                ObjectInfo(item.key, item.size, item.etag, item.last_modified)
                for item in reversed(objects.values())
            ),
            tuple(name for name in dict.fromkeys(listing.prefixes) if name != asked.prefix),
            listing.next_token,
        )

    def _judge_unreadable(self, call: Call, asked: Question, listing: xml.Listing) -> None:
        """One bad entry is hidden, and does not hide the others; nothing is concluded from none."""
        if not listing.unreadable:
            return
        if asked.max_keys <= EXISTENCE or not (listing.objects or listing.prefixes):
            refuse(call, "an entry has no usable key or size")
        log.warning(
            "%r: %d entries without a usable key or size are hidden",
            asked.prefix,
            listing.unreadable,
        )

    def _judge_course(self, call: Call, asked: Question, listing: xml.Listing) -> None:
        assert listing.next_token is not None
        names = [item.key for item in listing.objects] + list(listing.prefixes)
        if asked.token == listing.next_token:
            refuse(call, "the listing never ends: its next page is itself")
        before = Course()
        if asked.token is not None:
            at = (asked.prefix, asked.delimiter, asked.token)
            before = self._courses.get(at, before)
        try:
            course = before.after(listing.next_token, names)
        except ValueError as error:
            refuse(call, str(error))
        self._courses[asked.prefix, asked.delimiter, listing.next_token] = course


async def judge_uploads(response: httpx.Response, call: Call, prefix: str) -> list[Upload]:
    """The uploads that an answer holds; raises UnexpectedAnswer where it does not fit."""
    try:
        listed = await read(xml.parse_uploads, response.content)
    except UnexpectedAnswer as error:
        refuse(call, error.message)
    _judge_prefix(call, prefix, listed.asked)
    if len(listed.uploads) > MAX_UPLOADS:
        refuse(call, f"more than {MAX_UPLOADS} uploads")
    found: dict[tuple[str, str], Upload] = {}
    for key, upload_id, initiated in listed.uploads:
        if not key or not key.startswith(prefix):
            refuse(call, f"an upload of {key[:100]!r} lies outside of what was asked for")
        try:
            found[key, upload_id] = Upload(key, fields.token(upload_id), initiated)
        except ValueError as error:
            refuse(call, f"an upload's id: {error}")
    return list(found.values())


def _judge_prefix(call: Call, prefix: str, echoed: tuple[str, ...]) -> None:
    """A cache that does not look at the query gives the answer to another question."""
    if echoed and prefix not in echoed:
        refuse(call, f"the answer is for the prefix {echoed[-1][:100]!r}")


def _judge_key(call: Call, asked: Question, key: str) -> None:
    if not key.startswith(asked.prefix):
        refuse(call, f"{key[:100]!r} lies outside of the prefix that was asked for")
    # Some servers list a directory's marker itself, with its slash, where S3 has a prefix.
    rest = key[len(asked.prefix) :].removesuffix(asked.delimiter)
    if asked.delimiter and asked.delimiter in rest:
        refuse(call, f"{key[:100]!r} lies behind a delimiter")


def _judge_common_prefix(call: Call, asked: Question, name: str) -> None:
    if not asked.delimiter:
        refuse(call, "common prefixes were not asked for")
    if not name.startswith(asked.prefix) or not name.endswith(asked.delimiter):
        refuse(call, f"{name[:100]!r} is no common prefix of what was asked for")
    if asked.delimiter in name[len(asked.prefix) : -len(asked.delimiter)]:
        refuse(call, f"{name[:100]!r} lies behind a delimiter")


def _digest(names: list[str]) -> bytes:
    text = "\0".join(names).encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=16).digest()
