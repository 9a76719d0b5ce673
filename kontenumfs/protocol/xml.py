# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""S3's XML messages, parsed safely: a document type, and with it every entity, is refused."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus
from xml.parsers import expat
from xml.sax.saxutils import escape

from kontenumfs.protocol import fields
from kontenumfs.protocol.dialect import MAX_COMPONENTS
from kontenumfs.protocol.errors import UnexpectedAnswer

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot carry in any way; a key may have them."""

MAX_DEPTH = 16
"""Elements within each other; S3 needs five."""
MAX_ELEMENTS = 100_000
"""Elements of a message: 10,000 parts with their checksums have half as many."""
LONGEST_TAG = 64 * 1024
"""Bytes that are parsed at once, and of one tag at most, give or take as many again: a tag of a
hundred thousand attributes is one step of the parser, in which nobody else has the processor."""

ENCODINGS = ("utf-8", "us-ascii", "ascii")
"""What S3 writes, and what is a part of it."""


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

    elements = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal elements
        elements += 1
        if elements > MAX_ELEMENTS or len(stack) > MAX_DEPTH:
            raise UnexpectedAnswer("the XML has more elements, or deeper ones, than S3's")
        element = Element(tag.rpartition(":")[2])
        stack[-1].children.append(element)
        stack.append(element)
        texts.clear()

    def end(tag: str) -> None:
        element = stack.pop()
        if not element.children:
            element.text = "".join(texts)
        texts.clear()

    def declared(version: str, encoding: str | None, standalone: int) -> None:
        if (encoding or ENCODINGS[0]).lower() not in ENCODINGS:
            raise UnexpectedAnswer("the XML is not in UTF-8")

    def refuse(*_: object) -> None:
        raise UnexpectedAnswer("the XML has a document type, which S3 never sends")

    # Said here, so that no other table of characters is ever loaded.
    parser = expat.ParserCreate(encoding="utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = texts.append
    parser.StartDoctypeDeclHandler = refuse
    parser.XmlDeclHandler = declared
    try:
        # S3 sends white space to keep a connection alive, and XML allows none before its head.
        _feed(parser, document.lstrip())
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise UnexpectedAnswer(f"the body is not XML: {error}") from None
    return stack[0].children[0]


def _feed(parser: expat.XMLParserType, document: bytes) -> None:
    """Parse it piece by piece; raises UnexpectedAnswer where a tag is longer than S3's are."""
    for at in range(0, len(document), LONGEST_TAG):
        parser.Parse(document[at : at + LONGEST_TAG], False)
        if at - parser.CurrentByteIndex > LONGEST_TAG:
            raise UnexpectedAnswer("the XML has a longer tag than S3's")
    parser.Parse(b"", True)


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One entry of a listing: size in bytes, LastModified in seconds since the epoch."""

    key: str
    size: int
    etag: str
    last_modified: float


@dataclass(frozen=True, slots=True)
class Listing:
    """One answer of ListObjectsV2, as it stands there.

    Args:
        objects: the entries that can be read.
        prefixes: common prefixes.
        next_token: how to go on; None at the end.
        asked: the prefix that the answer says it was asked for, in each way to read it; empty
            where it does not say.
        unreadable: entries without a usable key or size.
    """

    objects: tuple[ListedObject, ...]
    prefixes: tuple[str, ...]
    next_token: str | None
    asked: tuple[str, ...] = ()
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class ListedUploads:
    """One answer of ListMultipartUploads: keys, upload ids and when they were initiated.

    `asked` is as in a Listing.
    """

    uploads: tuple[tuple[str, str, float | None], ...]
    asked: tuple[str, ...] = ()


def parse_listing(document: bytes) -> Listing:
    """Read a ListBucketResult; keys are decoded only where the answer says they are encoded.

    An entry whose key or size is none is left out and counted: one bad entry must not hide a
    directory. A time that is none is the epoch's, and an ETag that is none is empty.
    """
    root = parse(document)
    if root.tag != "ListBucketResult":
        raise UnexpectedAnswer(f"a listing was expected, not <{root.tag}>")
    decode = _decoder(root)
    objects: list[ListedObject] = []
    unreadable = 0
    for item in root.all("Contents"):
        entry = _entry(item, decode)
        if entry is None:
            unreadable += 1
        else:
            objects.append(entry)
    prefixes = tuple(decode(item.get("Prefix")) for item in root.all("CommonPrefixes"))
    token: str | None = None
    if root.get("IsTruncated").strip().lower() == "true":
        # A NextMarker is of no use: who says that has taken the request for one of version 1.
        try:
            token = fields.token(root.get("NextContinuationToken"))
        except ValueError:
            raise UnexpectedAnswer(
                "the listing is truncated and does not say how to go on"
            ) from None
    return Listing(tuple(objects), prefixes, token, _echoed(root, decode), unreadable)


def _entry(item: Element, decode: Callable[[str], str]) -> ListedObject | None:
    key = decode(item.get("Key"))
    try:
        size = fields.size(item.get("Size"))
    except ValueError:
        return None
    try:
        etag = fields.etag(item.get("ETag"))
    except ValueError:
        etag = ""
    try:
        modified = fields.iso_time(item.get("LastModified"))
    except ValueError:
        modified = 0.0
    return ListedObject(key, size, etag, modified) if key else None


def parse_uploads(document: bytes) -> ListedUploads:
    """Read a ListMultipartUploadsResult."""
    root = parse(document)
    if root.tag != "ListMultipartUploadsResult":
        raise UnexpectedAnswer(f"a list of uploads was expected, not <{root.tag}>")
    decode = _decoder(root)
    uploads = (
        (decode(item.get("Key")), item.get("UploadId"), _initiated(item))
        for item in root.all("Upload")
    )
    return ListedUploads(tuple(uploads), _echoed(root, decode))


def _initiated(item: Element) -> float | None:
    """A time that may be missing or odd, which then says nothing."""
    try:
        return fields.iso_time(item.get("Initiated"))
    except ValueError:
        return None


def _decoder(root: Element) -> Callable[[str], str]:
    """How keys are written; some servers write a space as + and others as %20."""
    if root.get("EncodingType").strip().lower() != "url":
        return str
    # A key of bytes that are no text stays itself (PEP 383), and is hidden; it is not another.
    return lambda text: unquote_plus(text, errors="surrogateescape")


def _echoed(root: Element, decode: Callable[[str], str]) -> tuple[str, ...]:
    said = root.get("Prefix")
    return (said, decode(said)) if said else ()


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
