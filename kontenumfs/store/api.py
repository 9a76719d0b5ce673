# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What a store is to the rest of the product: one verb, one method, typed results.

There is no ``get``: Kontenum disables GetObject by design, and nothing here can ever need it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kontenumfs.store.beliefs import UNKNOWN, Belief

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
        initiated: seconds since the epoch by the store's clock; None where it does not say.
    """

    key: str
    upload_id: str
    initiated: float | None = None


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
        """One page of the keys that start with `prefix`, and of no others.

        A common prefix ends with `delimiter`, and none is within a key or a prefix, beyond
        `prefix`, but at its end: callers cut names out without another look. Raises
        UnexpectedAnswer where the store says anything else, or where its pages lead nowhere.

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
        expected: Belief = UNKNOWN,
    ) -> Written:
        """Create or replace an object as a whole, where the key has what is `expected`.

        With a condition it is never repeated once it may have reached the store, for the
        condition would refuse the repetition of its own success: after AnswerLost, ServerError
        or DeadlineExceeded it is the caller's to ask whose the object is.

        Raises PreconditionFailed where the key has something else, ObjectVanished where
        it has nothing.
        """

    async def append(
        self,
        key: str,
        body: Body,
        *,
        expected: Belief = UNKNOWN,
        attributes: Attributes | None = None,
    ) -> Written:
        """Add bytes to an object's end, creating it when missing.

        Never repeated once it may have reached the store: after AnswerLost or ServerError only
        the object's state tells what happened, and that is the caller's to ask.

        Args:
            expected: ABSENT creates the object and adds to none that is there.
            attributes: of the object where this creates it; one that exists keeps its own.

        Raises PreconditionFailed where the key has something else, ObjectVanished where
        it has nothing.
        """

    async def compose(self, key: str, components: Sequence[str], attributes: Attributes) -> Written:
        """Make an object of 1 to 32 objects of this bucket, in order.

        No condition goes with it, neither on the target nor on the components: who minds looks
        before and after.
        """

    async def copy(
        self,
        source: str,
        target: str,
        attributes: Attributes | None = None,
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """CopyObject; with `attributes` they replace the source's, which are else kept.

        `expected` is what the source must be: S3 has no condition on the target (501). Raises
        PreconditionFailed where it is not, ObjectVanished where it is not there.
        """

    async def delete(self, key: str, *, expected: Belief = UNKNOWN) -> bool:
        """Delete an object; a missing one is no error.

        Returns False where somebody else has surely deleted what was expected: of two hosts that
        delete one version, one hears True, if the store has the condition. Raises
        PreconditionFailed where the key has something else than `expected`.
        """

    async def delete_many(self, keys: Mapping[str, Belief]) -> dict[str, str]:
        """Delete any number of objects, each as far as it is what is believed of it.

        Returns the error code of each key that failed: PreconditionFailed where it was not.
        """

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
        expected: Belief = UNKNOWN,
    ) -> Part:
        """Make a part of the bytes `first` to `last` (inclusive) of another object.

        `expected` is what that object must be; raises PreconditionFailed where it is not,
        ObjectVanished where it is not there.
        """

    async def complete_multipart(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[Part],
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """Publish the upload as the object, where the key has what is `expected`.

        With a condition it is never repeated once it may have reached the store.
        Raises PreconditionFailed where the key has something else, ObjectVanished where
        it has nothing.
        """

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Drop an upload and its parts; a missing one is no error."""

    async def list_uploads(self, prefix: str) -> list[Upload]:
        """Up to 1,000 uploads that are neither completed nor aborted, of keys below `prefix`."""

    async def aclose(self) -> None:
        """Close every connection."""
