# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What a store is to the rest of the product: one verb, one method, typed results.

There is no ``get``: Kontenum disables GetObject by design, and nothing here can ever need it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Body = Sequence[bytes | bytearray | memoryview]
"""A request body: buffers sent one after another, never joined. Their lengths are known."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is kept beside an object's bytes.

    Args:
        metadata: user metadata, names in lower case without the ``x-amz-meta-`` prefix.
        headers: system headers, names in lower case: content-type, cache-control, ...
    """

    metadata: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object as HEAD or a listing describes it.

    Args:
        key: the object key, whole (not relative to a prefix).
        size: bytes.
        etag: opaque, without its quotes; empty where the store gave none.
        last_modified: seconds since the epoch; the wire's resolution is one second.
        attributes: what HEAD shows; None in a listing, which does not show it.
    """

    key: str
    size: int
    etag: str
    last_modified: float
    attributes: Attributes | None = None


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a listing.

    Args:
        objects: the objects of this page.
        prefixes: common prefixes, each ending with the delimiter.
        next_token: hand it to the next call; None on the last page.
    """

    objects: tuple[ObjectInfo, ...]
    prefixes: tuple[str, ...]
    next_token: str | None


@dataclass(frozen=True, slots=True)
class Written:
    """The store's receipt for an object it has made or changed.

    Args:
        etag: of the whole object, without quotes; may be empty on careless servers.
        request_id: x-amz-request-id, for logs.
    """

    etag: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart upload.

    Args:
        number: 1 to 10,000.
        etag: as the store gave it, without quotes.
    """

    number: int
    etag: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload that is under way, or was left behind.

    Args:
        key: what it would become.
        upload_id: as the store named it.
    """

    key: str
    upload_id: str


class Store(Protocol):
    """One bucket of an S3 store with Kontenum's extensions.

    Every method raises a subclass of ``StoreError`` or ``TransportError`` and nothing else, and
    may be cancelled at any await; a cancelled write may or may not have taken place. Repeating
    what may safely be repeated, backing off and falling over to the second key pair happen
    inside, and every call ends within the store's deadline.
    """

    bucket: str

    def request_id(self, key: str) -> str:
        """Of the last request that wrote `key`, while it is remembered; else empty."""

    async def head_bucket(self) -> None:
        """Return if the bucket exists and these keys may see it."""

    async def head(self, key: str) -> ObjectInfo:
        """Describe an object, its attributes included; raises NoSuchKey."""

    async def list_page(
        self,
        prefix: str = "",
        *,
        delimiter: str = "",
        max_keys: int = 1000,
        token: str | None = None,
        start_after: str = "",
    ) -> ListPage:
        """One page of the keys that start with `prefix`.

        Args:
            token: the last page's next_token.
            start_after: without a token: the key after which the listing begins.
        """

    async def put(
        self,
        key: str,
        body: Body,
        attributes: Attributes,
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
    ) -> Written:
        """Create or replace an object as a whole.

        With a condition it is never repeated once it may have reached the store, for the
        condition would refuse the repetition of its own success: after AnswerLost, ServerError
        or DeadlineExceeded it is the caller's to ask whose the object is.
        """

    async def append(self, key: str, body: Body, *, if_match: str | None = None) -> Written:
        """Add bytes to an object's end, creating it when missing.

        Never repeated once it may have reached the store: after AnswerLost or ServerError only
        the object's length tells what happened, and that is the caller's to ask.
        """

    async def compose(self, key: str, components: Sequence[str], attributes: Attributes) -> Written:
        """Make an object of 1 to 32 objects of this bucket, in order."""

    async def copy(
        self,
        source: str,
        target: str,
        attributes: Attributes | None = None,
        *,
        if_match: str | None = None,
    ) -> Written:
        """CopyObject; with `attributes` they replace the source's, which are else kept.

        `if_match` is the ETag that the source must have.
        """

    async def delete(self, key: str) -> None:
        """Delete an object; a missing one is no error."""

    async def delete_many(self, keys: Sequence[str]) -> dict[str, str]:
        """Delete any number of objects; returns the error code of each key that failed."""

    async def create_multipart(self, key: str, attributes: Attributes) -> str:
        """Begin a multipart upload; returns its upload id."""

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body) -> Part:
        """Send one part; all but the last must have at least 5 MiB."""

    async def upload_part_copy(
        self,
        key: str,
        upload_id: str,
        number: int,
        source: str,
        *,
        first: int,
        last: int,
        if_match: str | None = None,
    ) -> Part:
        """Make a part of the bytes `first` to `last` (inclusive) of another object."""

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> Written:
        """Publish the upload as the object."""

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Drop an upload and its parts; a missing one is no error."""

    async def list_uploads(self, prefix: str) -> list[Upload]:
        """Up to 1,000 uploads that are neither completed nor aborted, of keys below `prefix`."""

    async def aclose(self) -> None:
        """Close every connection."""
