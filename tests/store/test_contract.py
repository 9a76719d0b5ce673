# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What `store.api.Store` promises, proven on every implementation of it."""

import pytest

from kontenumfs.protocol import errors as e
from kontenumfs.protocol.dialect import MAX_COMPONENTS, MIN_PART
from kontenumfs.store.api import Attributes, Part
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Version
from tests.store.conftest import Subject

ODD_NAMES = [
    "a b",
    "a+b",
    "100%",
    "%41",
    "ünïcödé/日本",
    "new\nline",
    "tab\tand\rreturn",
    "q?a=b&c#d",
    "'quoted\"<&>",
    "dots/../up/./here",
    "double//slash",
    "~tilde!*()",
    "\x01control",
    "dir/",
]


async def test_head_bucket_returns(subject: Subject) -> None:
    await subject.store.head_bucket()


async def test_a_missing_key_is_no_such_key(subject: Subject) -> None:
    with pytest.raises(e.NoSuchKey):
        await subject.store.head(subject.prefix + "missing")


async def test_put_keeps_bytes_and_attributes(subject: Subject) -> None:
    key = subject.prefix + "file.txt"
    attributes = Attributes(
        {"mode": "33188", "mtime": "1.5"},
        {"content-type": "text/plain", "cache-control": "max-age=60"},
    )
    written = await subject.store.put(key, [b"he", bytearray(b"ll"), memoryview(b"o")], attributes)
    info = await subject.store.head(key)
    assert (info.key, info.size, info.etag) == (key, 5, written.etag)
    assert info.attributes is not None
    assert info.attributes.metadata == attributes.metadata
    assert attributes.headers.items() <= info.attributes.headers.items()
    assert subject.fetch(key) == b"hello"
    assert info.last_modified > 1_600_000_000


async def test_metadata_may_hold_any_text(subject: Subject) -> None:
    key = subject.prefix + "text"
    metadata = {"name": "grün 日本"}
    await subject.store.put(key, [], Attributes(metadata))
    info = await subject.store.head(key)
    assert info.attributes is not None
    assert info.attributes.metadata == metadata


async def test_put_replaces_all_attributes(subject: Subject) -> None:
    key = subject.prefix + "x"
    await subject.store.put(key, [b"1"], Attributes({"old": "1"}))
    await subject.store.put(key, [], Attributes())
    info = await subject.store.head(key)
    assert info.size == 0
    assert info.attributes is not None
    assert info.attributes.metadata == {}


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
async def test_any_name_is_kept(subject: Subject, name: str) -> None:
    key = await subject.put(name, b"odd")
    assert (await subject.store.head(key)).size == 3
    page = await subject.store.list_page(subject.prefix)
    assert [item.key for item in page.objects] == [key]
    copy = subject.prefix + "copy of " + name
    await subject.store.copy(key, copy)
    assert subject.fetch(copy) == b"odd"
    await subject.store.delete(key)
    with pytest.raises(e.NoSuchKey):
        await subject.store.head(key)
    assert await subject.store.delete_many({copy: UNKNOWN}) == {}
    assert (await subject.store.list_page(subject.prefix)).objects == ()


async def test_a_key_of_1024_bytes_is_the_longest(subject: Subject) -> None:
    longest = subject.prefix + "k" * (1024 - len(subject.prefix))
    await subject.store.put(longest, [b"x"], Attributes())
    assert (await subject.store.head(longest)).size == 1
    with pytest.raises(e.KeyTooLong):
        await subject.store.put(longest + "k", [b"x"], Attributes())


async def test_conditions_of_put(subject: Subject) -> None:
    key = subject.prefix + "x"
    first = await subject.store.put(key, [b"1"], Attributes(), expected=ABSENT)
    with pytest.raises(e.PreconditionFailed):
        await subject.store.put(key, [b"2"], Attributes(), expected=ABSENT)
    await subject.store.put(key, [b"22"], Attributes(), expected=Version(first.etag, 1))
    with pytest.raises(e.PreconditionFailed):
        await subject.store.put(key, [b"3"], Attributes(), expected=Version(first.etag, 1))
    assert subject.fetch(key) == b"22"


async def test_listing_by_delimiter_in_pages(subject: Subject) -> None:
    for name in ("d/", "d/a", "d/b/c", "d/b/d", "d/b c", "d/z", "e"):
        await subject.put(name, b"x")
    found: list[str] = []
    token: str | None = None
    for _ in range(10):
        page = await subject.store.list_page(
            subject.prefix + "d/", delimiter="/", max_keys=2, token=token
        )
        assert len(page.objects) + len(page.prefixes) <= 2
        found += [item.key for item in page.objects] + list(page.prefixes)
        token = page.next_token
        if token is None:
            break
    expected = [subject.prefix + name for name in ("d/", "d/a", "d/b c", "d/b/", "d/z")]
    assert sorted(found) == expected


async def test_a_listing_describes_what_head_does(subject: Subject) -> None:
    key = await subject.put("x", b"12345")
    (item,) = (await subject.store.list_page(subject.prefix)).objects
    info = await subject.store.head(key)
    assert item.attributes is None
    assert (item.key, item.size, item.etag) == (info.key, info.size, info.etag)
    assert int(item.last_modified) == int(info.last_modified)


async def test_an_empty_listing(subject: Subject) -> None:
    page = await subject.store.list_page(subject.prefix, delimiter="/")
    assert (page.objects, page.prefixes, page.next_token) == ((), (), None)


async def test_append_adds_to_the_end_and_keeps_attributes(subject: Subject) -> None:
    key = subject.prefix + "log"
    await subject.store.put(key, [b"one\n"], Attributes({"mode": "33188"}))
    written = await subject.store.append(key, [b"tw", b"o\n"])
    assert subject.fetch(key) == b"one\ntwo\n"
    info = await subject.store.head(key)
    assert (info.size, info.etag) == (8, written.etag)
    assert info.attributes is not None
    assert info.attributes.metadata == {"mode": "33188"}


async def test_append_creates(subject: Subject) -> None:
    key = subject.prefix + "new"
    await subject.store.append(key, [b"one"])
    assert subject.fetch(key) == b"one"


async def test_append_on_condition(subject: Subject) -> None:
    key = subject.prefix + "log"
    first = await subject.store.put(key, [b"1"], Attributes())
    second = await subject.store.append(key, [b"2"], expected=Version(first.etag, 1))
    with pytest.raises(e.PreconditionFailed):
        await subject.store.append(key, [b"!"], expected=Version(first.etag, 1))
    await subject.store.append(key, [b"3"], expected=Version(second.etag, 2))
    assert subject.fetch(key) == b"123"


async def test_compose_joins_in_order_with_repeats_and_itself(subject: Subject) -> None:
    one, two = await subject.put("one", b"1"), await subject.put("two & <2>", b"22")
    target = subject.prefix + "target"
    attributes = Attributes({"mode": "33188"}, {"content-type": "text/plain"})
    written = await subject.store.compose(target, [one, two, one], attributes)
    assert subject.fetch(target) == b"1221"
    info = await subject.store.head(target)
    assert info.etag == written.etag
    assert info.attributes is not None
    assert info.attributes.metadata == {"mode": "33188"}
    assert info.attributes.headers["content-type"] == "text/plain"
    await subject.store.compose(target, [target, two], attributes)
    assert subject.fetch(target) == b"122122"


async def test_compose_of_a_missing_object_changes_nothing(subject: Subject) -> None:
    key = await subject.put("target", b"old")
    with pytest.raises(e.NoSuchKey):
        await subject.store.compose(key, [key, subject.prefix + "missing"], Attributes())
    assert subject.fetch(key) == b"old"


@pytest.mark.parametrize("number", [0, MAX_COMPONENTS + 1])
async def test_compose_takes_1_to_32(subject: Subject, number: int) -> None:
    key = await subject.put("x", b"x")
    with pytest.raises(e.InvalidRequest):
        await subject.store.compose(key, [key] * number, Attributes())
    await subject.store.compose(key, [key] * MAX_COMPONENTS, Attributes())
    assert subject.fetch(key) == b"x" * MAX_COMPONENTS


async def test_copy_keeps_or_replaces_attributes(subject: Subject) -> None:
    source, target = subject.prefix + "s", subject.prefix + "t"
    await subject.store.put(source, [b"data"], Attributes({"old": "1"}))
    await subject.store.copy(source, target)
    kept = await subject.store.head(target)
    assert kept.attributes is not None
    assert kept.attributes.metadata == {"old": "1"}
    await subject.store.copy(source, target, Attributes({"new": "2"}))
    replaced = await subject.store.head(target)
    assert replaced.attributes is not None
    assert replaced.attributes.metadata == {"new": "2"}
    assert subject.fetch(target) == b"data"


async def test_copy_onto_itself_replaces_attributes(subject: Subject) -> None:
    key = await subject.put("x", b"data")
    await subject.store.copy(key, key, Attributes({"new": "2"}))
    info = await subject.store.head(key)
    assert info.attributes is not None
    assert info.attributes.metadata == {"new": "2"}
    with pytest.raises(e.InvalidRequest):
        await subject.store.copy(key, key)


async def test_copy_of_a_changed_or_missing_source(subject: Subject) -> None:
    source, target = subject.prefix + "s", subject.prefix + "t"
    written = await subject.store.put(source, [b"data"], Attributes())
    with pytest.raises(e.PreconditionFailed):
        await subject.store.copy(source, target, expected=Version("0" * 32, 1))
    await subject.store.copy(source, target, expected=Version(written.etag, 1))
    with pytest.raises(e.NoSuchKey):
        await subject.store.copy(subject.prefix + "missing", target)


async def test_deleting_twice_is_no_error(subject: Subject) -> None:
    key = await subject.put("x", b"x")
    await subject.store.delete(key)
    await subject.store.delete(key)
    assert await subject.store.delete_many({key: UNKNOWN}) == {}
    assert await subject.store.delete_many({}) == {}


async def test_multipart_of_new_and_copied_bytes(subject: Subject) -> None:
    key = subject.prefix + "big"
    old = bytes(range(256)) * (MIN_PART // 128)
    source = await subject.put("source", old)
    upload_id = await subject.store.create_multipart(key, Attributes({"mode": "33188"}))
    half = MIN_PART // 2
    new: list[bytes | bytearray] = [b"n" * half, bytearray(b"e" * (MIN_PART - half))]
    parts = [
        await subject.store.upload_part(key, upload_id, 1, new),
        await subject.store.upload_part_copy(key, upload_id, 2, source, first=1, last=MIN_PART + 9),
        await subject.store.upload_part(key, upload_id, 5, [b"end"]),
    ]
    with pytest.raises(e.NoSuchKey):
        await subject.store.head(key)
    written = await subject.store.complete_multipart(key, upload_id, parts)
    assert subject.fetch(key) == b"".join(new) + old[1 : MIN_PART + 10] + b"end"
    info = await subject.store.head(key)
    assert info.etag == written.etag
    assert info.attributes is not None
    assert info.attributes.metadata == {"mode": "33188"}


async def test_refused_multipart(subject: Subject) -> None:
    key = subject.prefix + "big"
    upload_id = await subject.store.create_multipart(key, Attributes())
    small = [await subject.store.upload_part(key, upload_id, n, [b"x"]) for n in (1, 2)]
    with pytest.raises(e.InvalidRequest):
        await subject.store.complete_multipart(key, upload_id, small)
    with pytest.raises(e.InvalidRequest):
        await subject.store.complete_multipart(key, upload_id, [Part(1, "0" * 32)])
    with pytest.raises(e.InvalidRequest):
        await subject.store.complete_multipart(key, upload_id, small[::-1])
    await subject.store.abort_multipart(key, upload_id)
    await subject.store.abort_multipart(key, upload_id)
    with pytest.raises(e.NoSuchUpload):
        await subject.store.upload_part(key, upload_id, 1, [b"x"])


async def test_part_copies_are_checked(subject: Subject) -> None:
    key = subject.prefix + "big"
    source = await subject.put("source", b"12345")
    upload_id = await subject.store.create_multipart(key, Attributes())
    with pytest.raises(e.PreconditionFailed):
        await subject.store.upload_part_copy(
            key, upload_id, 1, source, first=0, last=1, expected=Version("0" * 32, 1)
        )
    with pytest.raises(e.InvalidRequest):
        await subject.store.upload_part_copy(key, upload_id, 1, source, first=0, last=5)
    await subject.store.abort_multipart(key, upload_id)


async def test_uploads_that_were_left_behind_are_listed(subject: Subject) -> None:
    key = subject.prefix + "left/a b+c"
    upload_id = await subject.store.create_multipart(key, Attributes())
    (found,) = await subject.store.list_uploads(subject.prefix + "left/")
    assert (found.key, found.upload_id) == (key, upload_id)
    await subject.store.abort_multipart(key, upload_id)
    assert await subject.store.list_uploads(subject.prefix + "left/") == []
