# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""S3's XML messages, parsed safely: a document type, and with it every entity, is refused."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote_plus
from xml.parsers import expat
from xml.sax.saxutils import escape

from kontenumfs.protocol.dialect import MAX_COMPONENTS
from kontenumfs.protocol.errors import UnexpectedAnswer

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot carry in any way; a key may have them."""


class Element:
    """A parsed element: its text, and its children by name without namespace."""

    __slots__ = ("children", "tag", "text")

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.text = ""
        self.children: list[Element] = []

    def get(self, tag: str, default: str = "") -> str:
        """The text of the first child called `tag`."""
        for child in self.children:
            if child.tag == tag:
                return child.text
        return default

    def all(self, tag: str) -> Iterator["Element"]:
        """Every child called `tag`."""
        return (child for child in self.children if child.tag == tag)


def parse(document: bytes) -> Element:
    """The root element of `document`; raises UnexpectedAnswer for what is not plain XML."""
    stack = [Element("")]
    texts: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag.rpartition(":")[2])
        stack[-1].children.append(element)
        stack.append(element)
        texts.clear()

    def end(tag: str) -> None:
        element = stack.pop()
        if not element.children:
            element.text = "".join(texts)
        texts.clear()

    def refuse(*_: object) -> None:
        raise UnexpectedAnswer("the XML has a document type, which S3 never sends")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = texts.append
    parser.StartDoctypeDeclHandler = refuse
    try:
        # S3 sends white space to keep a connection alive, and XML allows none before its head.
        parser.Parse(document.lstrip(), True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        # The latter two: an encoding that Python does not know, or that expat cannot use.
        raise UnexpectedAnswer(f"the body is not XML: {error}") from None
    return stack[0].children[0]


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One entry of a listing: size in bytes, LastModified in seconds since the epoch."""

    key: str
    size: int
    etag: str
    last_modified: float


@dataclass(frozen=True, slots=True)
class Listing:
    """One answer of ListObjectsV2."""

    objects: tuple[ListedObject, ...]
    prefixes: tuple[str, ...]
    next_token: str | None


def parse_listing(document: bytes) -> Listing:
    """Read a ListBucketResult; keys are decoded only where the answer says they are encoded."""
    root = parse(document)
    if root.tag != "ListBucketResult":
        raise UnexpectedAnswer(f"a listing was expected, not <{root.tag}>")
    # Some servers write a space as + and others as %20; both are right only when this is echoed.
    decode = unquote_plus if root.get("EncodingType").lower() == "url" else str
    try:
        objects = tuple(
            ListedObject(
                decode(item.get("Key")),
                int(item.get("Size", "0")),
                item.get("ETag").strip('"'),
                parse_time(item.get("LastModified")),
            )
            for item in root.all("Contents")
        )
    except ValueError as error:
        raise UnexpectedAnswer(f"the listing cannot be read: {error}") from None
    prefixes = tuple(decode(item.get("Prefix")) for item in root.all("CommonPrefixes"))
    token: str | None = None
    if root.get("IsTruncated").lower() == "true":
        # A NextMarker is of no use: who says that has taken the request for one of version 1.
        token = root.get("NextContinuationToken")
        if not token:
            raise UnexpectedAnswer("the listing is truncated and does not say how to go on")
    return Listing(objects, prefixes, token)


def parse_uploads(document: bytes) -> list[tuple[str, str, float | None]]:
    """The keys, ids and times of initiation of a ListMultipartUploadsResult."""
    root = parse(document)
    if root.tag != "ListMultipartUploadsResult":
        raise UnexpectedAnswer(f"a list of uploads was expected, not <{root.tag}>")
    decode = unquote_plus if root.get("EncodingType").lower() == "url" else str
    return [
        (decode(item.get("Key")), item.get("UploadId"), _time(item.get("Initiated")))
        for item in root.all("Upload")
    ]


def _time(text: str) -> float | None:
    """A time that may be missing or odd, which then says nothing."""
    try:
        return parse_time(text)
    except (ValueError, OverflowError):
        return None


def parse_time(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 time as S3 writes it."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def is_text(text: str) -> bool:
    """Whether XML 1.0 can carry `text`: most control characters it cannot, however written."""
    return not _NOT_XML.search(text)


def render_components(keys: Sequence[str]) -> bytes:
    """The body of a compose request."""
    if not 1 <= len(keys) <= MAX_COMPONENTS:
        raise ValueError(f"compose takes 1 to {MAX_COMPONENTS} components, not {len(keys)}")
    items = "".join(f"<Component><Name>{_text(key)}</Name></Component>" for key in keys)
    return f"<ComposeRequest>{items}</ComposeRequest>".encode()


def parse_components(document: bytes) -> list[str]:
    """The component keys of a compose request's body."""
    root = parse(document)
    if root.tag != "ComposeRequest":
        raise UnexpectedAnswer(f"a ComposeRequest was expected, not <{root.tag}>")
    return [item.get("Name") for item in root.all("Component")]


def render_parts(parts: Sequence[tuple[int, str]]) -> bytes:
    """The body of CompleteMultipartUpload: part numbers and ETags."""
    items = "".join(
        f'<Part><PartNumber>{number}</PartNumber><ETag>"{_text(etag)}"</ETag></Part>'
        for number, etag in parts
    )
    return f"<CompleteMultipartUpload>{items}</CompleteMultipartUpload>".encode()


def render_delete(keys: Sequence[tuple[str, str]]) -> bytes:
    """The body of DeleteObjects, answered with the failures only.

    Args:
        keys: each with the ETag that its object must have; empty for any.
    """
    items = "".join(f"<Object><Key>{_text(key)}</Key>{_etag(etag)}</Object>" for key, etag in keys)
    return f"<Delete><Quiet>true</Quiet>{items}</Delete>".encode()


def _etag(etag: str) -> str:
    return f"<ETag>{_text(etag)}</ETag>" if etag else ""


def _text(text: str) -> str:
    """Text that XML 1.0 gives back as it was: a carriage return would become a line feed."""
    return escape(text, {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})
