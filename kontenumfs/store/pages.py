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

REMEMBERED_PAGES = 100_000
"""Pages of listings under way that are remembered, some 200 bytes each."""
LONGEST_COURSE = 50_000
"""Pages of one listing that are remembered: a circle of fifty million keys would be found."""
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


class Course:
    """Where one listing has been: the tokens that led on, and what its pages held, as digests."""

    __slots__ = ("_barren", "_contents", "_tokens")

    def __init__(self) -> None:
        self._tokens: set[bytes] = set()
        self._contents: set[bytes] = set()
        self._barren = 0

    def __len__(self) -> int:
        return len(self._tokens)

    def take(self, token: str, names: list[str]) -> None:
        """Add a page, which is followed by `token`; raises ValueError where that leads nowhere."""
        place, content = _digest([token]), _digest(sorted(names)) if names else b""
        if place in self._tokens:
            raise ValueError("the listing never ends: it comes back to where it was")
        is_known = not content or content in self._contents
        self._barren = self._barren + 1 if is_known else 0
        if self._barren > BARREN_PAGES:
            raise ValueError(f"the listing never ends: {self._barren} pages with nothing new")
        if len(self._tokens) >= LONGEST_COURSE:
            self._tokens.clear()
            self._contents.clear()
        self._tokens.add(place)
        self._contents.add(content)


class Pages:
    """Judges the pages of listings, of which any number are under way."""

    def __init__(self) -> None:
        self._courses: LRUCache[tuple[str, str, str], Course] = LRUCache(REMEMBERED_PAGES, len)
        """By where they go on. Who goes on takes it out: two readers at one place share none."""

    async def judge(self, response: httpx.Response, call: Call, asked: Question) -> ListPage:
        """The page that an answer holds; raises UnexpectedAnswer where it does not fit."""
        try:
            listing = await read(xml.parse_listing, response.content)
        except UnexpectedAnswer as error:
            refuse(call, error.message)
        return self.judge_listing(listing, call, asked)

    def judge_listing(self, listing: xml.Listing, call: Call, asked: Question) -> ListPage:
        """The same for one that was read; tests have stores that send none."""
        _judge_prefix(call, asked.prefix, listing.asked)
        if max(len(listing.objects) + listing.unreadable, len(listing.prefixes)) > asked.max_keys:
            refuse(call, f"more entries than the {asked.max_keys} that were asked for")
        for item in listing.objects:
            _judge_key(call, asked, item.key)
        for prefix in listing.prefixes:
            _judge_common_prefix(call, asked, prefix)
        self._judge_unreadable(call, asked, listing)
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
        course: Course | None = None
        if asked.token is not None:
            course = self._courses.pop((asked.prefix, asked.delimiter, asked.token), None)
        if listing.next_token is None:
            return
        if asked.token == listing.next_token:
            refuse(call, "the listing never ends: its next page is itself")
        course = Course() if course is None else course
        try:
            course.take(
                listing.next_token, [item.key for item in listing.objects] + list(listing.prefixes)
            )
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
