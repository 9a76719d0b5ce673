# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the fake alone can be asked: small limits, and the part of a plain S3 server."""

import hashlib

import pytest

from kontenumfs.protocol import errors as e
from kontenumfs.protocol.dialect import Limits
from kontenumfs.store.api import Attributes
from kontenumfs.store.beliefs import ABSENT, Version
from kontenumfs.store.proof import Verb
from tests.doubles.fake import FakeStore

SMALL = Limits(max_appends=2, max_components=2, max_put=4, max_part=4, max_parts=2, max_copy=3)


async def test_appends_are_counted_and_copying_starts_anew() -> None:
    store = FakeStore(limits=SMALL)
    await store.put("k", [b"1"], Attributes())
    for _ in range(2):
        await store.append("k", [b"2"])
    with pytest.raises(e.TooManyAppends):
        await store.append("k", [b"3"])
    await store.copy("k", "k", Attributes())
    await store.append("k", [b"4"])
    assert store.data("k") == b"1224"


async def test_sizes_and_numbers_are_limited() -> None:
    store = FakeStore(limits=SMALL)
    with pytest.raises(e.EntityTooLarge):
        await store.put("k", [b"12345"], Attributes())
    await store.put("k", [b"1234"], Attributes())
    with pytest.raises(e.InvalidRequest):
        await store.copy("k", "l")
    with pytest.raises(e.InvalidRequest):
        await store.compose("l", ["k"] * 3, Attributes())
    upload_id = await store.create_multipart("k", Attributes())
    with pytest.raises(e.EntityTooLarge):
        await store.upload_part("k", upload_id, 1, [b"12345"])
    with pytest.raises(e.InvalidRequest):
        await store.upload_part("k", upload_id, 3, [b"1"])
    with pytest.raises(e.NoSuchUpload):
        await store.upload_part("other", upload_id, 1, [b"1"])


async def test_a_plain_server_replaces() -> None:
    store = FakeStore(append=False, compose=False)
    await store.put("k", [b"long enough"], Attributes())
    await store.append("k", [b"tail"])
    assert store.data("k") == b"tail"
    await store.compose("k", ["k", "k"], Attributes())
    assert store.data("k").startswith(b"<ComposeRequest>")


async def test_calls_times_and_closing_are_seen() -> None:
    store = FakeStore(now=lambda: 12.9)
    await store.put("k", [b"123"], Attributes())
    assert [(call.operation, call.key, call.sent) for call in store.calls] == [
        ("PutObject", "k", 3)
    ]
    assert (await store.head("k")).last_modified == 12.0
    await store.aclose()
    assert store.closed


async def test_conditions_are_honoured_one_by_one() -> None:
    store = FakeStore(conditions={Verb.PUT_ABSENT})
    first = await store.put("k", [b"1"], Attributes())
    with pytest.raises(e.PreconditionFailed):
        await store.put("k", [b"2"], Attributes(), expected=ABSENT)
    await store.put("k", [b"3"], Attributes(), expected=Version("0" * 32, 1))
    await store.append("k", [b"4"], expected=Version(first.etag, 1))
    await store.delete("k", expected=Version(first.etag, 1))
    assert store.objects == {}


async def test_copied_parts_may_be_without_digest_or_of_large_sources_only() -> None:
    store = FakeStore(digest=False, min_range_source=5)
    await store.put("small", [b"1234"], Attributes())
    await store.put("large", [b"12345"], Attributes())
    upload = await store.create_multipart("k", Attributes())
    with pytest.raises(e.InvalidRequest):
        await store.upload_part_copy("k", upload, 1, "small", first=0, last=3)
    part = await store.upload_part_copy("k", upload, 1, "large", first=0, last=3)
    assert part.etag != hashlib.md5(b"1234", usedforsecurity=False).hexdigest()
    await store.complete_multipart("k", upload, [part])
    assert store.data("k") == b"1234"
