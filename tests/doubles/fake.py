# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A store in memory, for tests: the same answers as Kontenum's, without a wire.

It keeps what docs/protocol.md says, limits included, and can play a plain S3 server that takes
an append for a replacement, as most of them do.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count

import trio

from kontenumfs.protocol import dialect
from kontenumfs.protocol import errors as e
from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.xml import render_components
from kontenumfs.store.api import Attributes, Body, ListPage, ObjectInfo, Part, Upload, Written
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, Version, refusal
from kontenumfs.store.proof import Verb, target_condition
from tests.doubles.fake_state import FakeCall, FakeObject, FakePart, FakeUpload

DEFAULT_TYPE = "binary/octet-stream"
"""What S3 says of an object that was stored without a Content-Type."""


class FakeStore:
    """One bucket in memory; see `store.api.Store` for the promises.

    Args:
        append: False takes ``?append`` for a PutObject, as plain S3 servers do.
        compose: False stores the compose request's XML as the object, for the same reason.
        conditions: which conditions are honoured; the others are passed over.
        digest: False gives copied parts an ETag that is no digest, as AWS does with KMS.
        min_range_source: bytes that an object must have for ranges of it to be copied.
        now: seconds since the epoch; LastModified is cut to whole seconds.
    """

    def __init__(
        self,
        bucket: str = "bucket",
        *,
        append: bool = True,
        compose: bool = True,
        conditions: Collection[Verb] = frozenset(Verb),
        digest: bool = True,
        min_range_source: int = 0,
        limits: Limits | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.bucket = bucket
        self.objects: dict[str, FakeObject] = {}
        self.uploads: dict[str, FakeUpload] = {}
        self.calls: list[FakeCall] = []
        self.closed = False
        self._append = append
        self._compose = compose
        self._conditions = frozenset(conditions)
        self._digest = digest
        self._min_range_source = min_range_source
        self._limits = limits or Limits()
        self._now = now
        self._numbers = count(1)

    def data(self, key: str) -> bytes:
        """The bytes of an object, which no client of the real store can read; raises NoSuchKey."""
        return bytes(self._find(key, "TestOnly").data)

    def request_id(self, key: str) -> str:
        """None: nothing crosses a wire."""
        return ""

    async def head_bucket(self) -> None:
        """Return, for the bucket exists."""
        await self._enter("HeadBucket", self.bucket)

    async def head(self, key: str) -> ObjectInfo:
        """Describe an object; raises NoSuchKey."""
        await self._enter("HeadObject", key)
        found = self._find(key, "HeadObject")
        return ObjectInfo(key, len(found.data), found.etag, found.last_modified, found.attributes)

    async def list_page(
        self,
        prefix: str = "",
        *,
        delimiter: str = "",
        max_keys: int = 1000,
        token: str | None = None,
        start_after: str = "",
    ) -> ListPage:
        """One page, in byte order; a common prefix counts as one key."""
        await self._enter("ListObjectsV2", prefix)
        objects: list[ObjectInfo] = []
        prefixes: list[str] = []
        last = token or start_after
        limit = min(max_keys, 1000)
        for key in sorted(self.objects) if limit > 0 else ():
            if not key.startswith(prefix) or key <= last or _below(key, last, prefix, delimiter):
                continue
            if len(objects) + len(prefixes) == limit:
                return ListPage(tuple(objects), tuple(prefixes), last)
            head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if found:
                last = prefix + head + delimiter
                prefixes.append(last)
            else:
                last = key
                item = self.objects[key]
                objects.append(ObjectInfo(key, len(item.data), item.etag, item.last_modified))
        return ListPage(tuple(objects), tuple(prefixes), None)

    async def put(
        self,
        key: str,
        body: Body,
        attributes: Attributes,
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """Create or replace an object as a whole."""
        data = bytearray().join(body)
        await self._enter("PutObject", key, len(data))
        self._check_size(key, len(data), self._limits.max_put, "PutObject")
        self._check(key, target_condition(expected, Verb.PUT_ABSENT, Verb.PUT_MATCH), expected)
        return self._store(key, data, attributes, hashlib.md5(data, usedforsecurity=False))

    async def append(
        self,
        key: str,
        body: Body,
        *,
        expected: Belief = UNKNOWN,
        attributes: Attributes | None = None,
    ) -> Written:
        """Add bytes to an object's end, creating it when missing."""
        data = bytearray().join(body)
        await self._enter("AppendObject", key, len(data))
        self._check(
            key, target_condition(expected, Verb.APPEND_ABSENT, Verb.APPEND_MATCH), expected
        )
        found = self.objects.get(key)
        if found is None or not self._append:
            made = attributes or Attributes()
            return self._store(key, data, made, hashlib.md5(data, usedforsecurity=False))
        if found.appends >= self._limits.max_appends:
            raise _error(e.TooManyAppends, 400, "AppendObject", key)
        found.data += data
        found.appends += 1
        found.etag = self._opaque_etag("a")
        found.last_modified = float(int(self._now()))
        return self._receipt(found)

    async def compose(self, key: str, components: Sequence[str], attributes: Attributes) -> Written:
        """Make an object of others; a missing one leaves the target untouched."""
        names = list(components)
        await self._enter("ComposeObject", key, sum(len(name) for name in names))
        if not 1 <= len(names) <= self._limits.max_components:
            raise _error(e.InvalidRequest, 400, "ComposeObject", key, "InvalidRequest")
        if not self._compose:
            document = bytearray(render_components(names))
            digest = hashlib.md5(document, usedforsecurity=False)
            return self._store(key, document, attributes, digest)
        data = bytearray().join(self._find(name, "ComposeObject").data for name in names)
        return self._store(key, data, attributes, self._opaque_etag("c"))

    async def copy(
        self,
        source: str,
        target: str,
        attributes: Attributes | None = None,
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """CopyObject, with the limits of the real one."""
        await self._enter("CopyObject", target)
        self._check(source, Verb.COPY_SOURCE, expected)
        found = self._find(source, "CopyObject")
        if len(found.data) > self._limits.max_copy:
            raise _error(e.InvalidRequest, 400, "CopyObject", source, "InvalidRequest")
        if source == target and attributes is None:
            raise _error(e.InvalidRequest, 400, "CopyObject", target, "InvalidRequest")
        data = bytearray(found.data)
        kept = found.attributes if attributes is None else attributes
        return self._store(target, data, kept, hashlib.md5(data, usedforsecurity=False))

    async def delete(self, key: str, *, expected: Belief = UNKNOWN) -> bool:
        """Delete an object; a missing one is no error."""
        await self._enter("DeleteObject", key)
        if key not in self.objects:
            return expected is UNKNOWN or Verb.DELETE_MATCH not in self._conditions
        self._check(key, Verb.DELETE_MATCH, expected)
        del self.objects[key]
        return True

    async def delete_many(self, keys: Mapping[str, Belief]) -> dict[str, str]:
        """Delete any number of objects, those that are what is believed of them."""
        failed: dict[str, str] = {}
        items = list(keys.items())
        for start in range(0, len(items), dialect.MAX_DELETE_MANY):
            await self._enter("DeleteObjects", self.bucket)
            for key, expected in items[start : start + dialect.MAX_DELETE_MANY]:
                try:
                    if key in self.objects:
                        self._check(key, Verb.DELETE_MANY_MATCH, expected)
                    self.objects.pop(key, None)
                except e.PreconditionFailed as error:
                    failed[key] = error.code
        return failed

    async def create_multipart(self, key: str, attributes: Attributes) -> str:
        """Begin a multipart upload; returns its upload id."""
        await self._enter("CreateMultipartUpload", key)
        upload_id = f"upload-{next(self._numbers)}"
        self.uploads[upload_id] = FakeUpload(key, _as_stored(attributes), self._now())
        return upload_id

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body) -> Part:
        """Keep one part; the same number again replaces it."""
        data = b"".join(body)
        await self._enter("UploadPart", key, len(data))
        return self._keep_part(key, upload_id, number, data, "UploadPart")

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
        """Make a part of the bytes `first` to `last` (inclusive) of another object."""
        await self._enter("UploadPartCopy", key)
        self._check(source, Verb.PART_COPY_SOURCE, expected)
        found = self._find(source, "UploadPartCopy")
        if len(found.data) < self._min_range_source:
            raise _error(e.InvalidRequest, 400, "UploadPartCopy", source, "InvalidRequest")
        if not 0 <= first <= last < len(found.data):
            raise _error(e.InvalidRequest, 416, "UploadPartCopy", source, "InvalidRange")
        part = bytes(memoryview(found.data)[first : last + 1])
        etag = "" if self._digest else self._opaque_etag("p")
        return self._keep_part(key, upload_id, number, part, "UploadPartCopy", etag)

    async def complete_multipart(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[Part],
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """Publish the upload as the object; the upload is gone then."""
        operation = "CompleteMultipartUpload"
        await self._enter(operation, key)
        upload = self._find_upload(key, upload_id, operation)
        numbers = [part.number for part in parts]
        if not parts or numbers != sorted(set(numbers)):
            raise _error(e.InvalidRequest, 400, operation, key, "InvalidPartOrder")
        for part in parts:
            if part.number not in upload.parts or upload.parts[part.number].etag != part.etag:
                raise _error(e.InvalidRequest, 400, operation, key, "InvalidPart")
            size = len(upload.parts[part.number].data)
            if size < self._limits.min_part and part is not parts[-1]:
                raise _error(e.InvalidRequest, 400, operation, key, "EntityTooSmall")
        kept = [upload.parts[number] for number in numbers]
        data = bytearray().join(part.data for part in kept)
        condition = target_condition(expected, Verb.COMPLETE_ABSENT, Verb.COMPLETE_MATCH)
        self._check(key, condition, expected)
        digests = b"".join(part.digest() for part in kept)
        del self.uploads[upload_id]
        etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
        return self._store(key, data, upload.attributes, etag)

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Drop an upload and its parts; a missing one is no error."""
        await self._enter("AbortMultipartUpload", key)
        self.uploads.pop(upload_id, None)

    async def list_uploads(self, prefix: str) -> list[Upload]:
        """Uploads under way, of keys below `prefix`."""
        await self._enter("ListMultipartUploads", prefix)
        found = [Upload(up.key, number, up.initiated) for number, up in self.uploads.items()]
        return [upload for upload in found if upload.key.startswith(prefix)]

    async def aclose(self) -> None:
        """Remember that it was closed, for tests to see."""
        self.closed = True
        await trio.lowlevel.checkpoint()

    async def _enter(self, operation: str, key: str, sent: int = 0) -> None:
        """Let others run, as a request does, and note it; the effect takes place after."""
        await trio.lowlevel.checkpoint()
        if len(key.encode()) > dialect.MAX_KEY_BYTES:
            raise _error(e.KeyTooLong, 400, operation, key, "KeyTooLongError")
        self.calls.append(FakeCall(operation, key, sent))

    def _find(self, key: str, operation: str) -> FakeObject:
        if key not in self.objects:
            raise _error(e.NoSuchKey, 404, operation, key)
        return self.objects[key]

    def _find_upload(self, key: str, upload_id: str, operation: str) -> FakeUpload:
        upload = self.uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise _error(e.NoSuchUpload, 404, operation, key)
        return upload

    def _keep_part(
        self, key: str, upload_id: str, number: int, data: bytes, operation: str, etag: str = ""
    ) -> Part:
        upload = self._find_upload(key, upload_id, operation)
        if not 1 <= number <= self._limits.max_parts:
            raise _error(e.InvalidRequest, 400, operation, key, "InvalidArgument")
        self._check_size(key, len(data), self._limits.max_part, operation)
        etag = etag or hashlib.md5(data, usedforsecurity=False).hexdigest()
        upload.parts[number] = FakePart(data, etag)
        return Part(number, etag)

    def _check_size(self, key: str, size: int, limit: int, operation: str) -> None:
        if size > limit:
            raise _error(e.EntityTooLarge, 400, operation, key)

    def _check(self, key: str, condition: Verb | None, expected: Belief) -> None:
        """Refuse what rests on a wrong belief, where this condition is honoured."""
        if condition not in self._conditions:
            return
        found = self.objects.get(key)
        if isinstance(expected, Version) and (found is None or found.etag != expected.etag):
            there = Version(found.etag, len(found.data)) if found else ABSENT
            raise refusal(condition.value, key, expected, there)
        if expected is ABSENT and found is not None:
            raise refusal(condition.value, key, expected, Version(found.etag, len(found.data)))

    def _store(
        self, key: str, data: bytearray, attributes: Attributes, etag: "str | hashlib._Hash"
    ) -> Written:
        text = etag if isinstance(etag, str) else etag.hexdigest()
        made = FakeObject(data, _as_stored(attributes), text, float(int(self._now())))
        self.objects[key] = made
        return self._receipt(made)

    def _opaque_etag(self, kind: str) -> str:
        """An ETag that is no digest of the bytes: nobody may read one out of it."""
        return f"{next(self._numbers):032x}-{kind}"

    def _receipt(self, made: FakeObject) -> Written:
        return Written(made.etag, f"request-{len(self.calls)}")


def _below(key: str, last: str, prefix: str, delimiter: str) -> bool:
    """Whether `key` belongs to the common prefix that ended the page before."""
    return bool(delimiter) and delimiter in last[len(prefix) :] and key.startswith(last)


def _as_stored(attributes: Attributes) -> Attributes:
    headers = {"content-type": DEFAULT_TYPE, **attributes.headers}
    return Attributes(dict(attributes.metadata), headers)


def _error(
    kind: type[e.StoreError], status: int, operation: str, key: str, code: str = ""
) -> e.StoreError:
    said = code or kind.__name__
    # The answer to a HEAD has no body and so no code.
    said = "NoSuchKey" if operation == "HeadObject" and status == 404 else said
    return kind("", code=said, status=status, operation=operation, resource=key)
