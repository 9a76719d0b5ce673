# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What `store.api.Store` promises of beliefs, proven over the matrix of what stores honour."""

from collections.abc import Awaitable, Callable

import pytest

from kontenumfs.protocol import errors as e
from kontenumfs.store.api import Attributes, Part, Store
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, Version
from tests.store.conftest import Subject

STALE = Version("0" * 32, 1)
"""What no key ever has."""
Write = Callable[[Store, str, Belief], Awaitable[object]]


async def put(store: Store, key: str, expected: Belief) -> None:
    await store.put(key, [b"new"], Attributes(), expected=expected)


async def append(store: Store, key: str, expected: Belief) -> None:
    await store.append(key, [b"new"], expected=expected)


async def complete(store: Store, key: str, expected: Belief) -> None:
    upload, parts = await upload_of(store, key)
    try:
        await store.complete_multipart(key, upload, parts, expected=expected)
    finally:
        await store.abort_multipart(key, upload)


async def upload_of(store: Store, key: str) -> tuple[str, list[Part]]:
    """An upload that can be completed."""
    upload = await store.create_multipart(key, Attributes())
    return upload, [await store.upload_part(key, upload, 1, [b"new"])]


WRITES: list[Write] = [put, append, complete]


async def current(subject: Subject, key: str) -> Version:
    info = await subject.store.head(key)
    return Version(info.etag, info.size)


@pytest.mark.parametrize("write", WRITES)
async def test_writes_to_what_is_there(believer: Subject, write: Write) -> None:
    key = await believer.put("f", b"old")
    for wrong in (ABSENT, STALE):
        with pytest.raises(e.PreconditionFailed) as told:
            await write(believer.store, key, wrong)
        assert not isinstance(told.value, e.ObjectVanished)
        assert believer.fetch(key) == b"old"
    await write(believer.store, key, await current(believer, key))
    assert believer.fetch(key) == (b"oldnew" if write is append else b"new")
    await write(believer.store, key, UNKNOWN)


@pytest.mark.parametrize("write", WRITES)
async def test_writes_to_what_is_not_there(believer: Subject, write: Write) -> None:
    key = believer.prefix + "f"
    with pytest.raises(e.ObjectVanished):
        await write(believer.store, key, STALE)
    with pytest.raises(e.NoSuchKey):
        await believer.store.head(key)
    await write(believer.store, key, ABSENT)
    assert believer.fetch(key) == b"new"


async def test_deletes(believer: Subject) -> None:
    key, other = await believer.put("f", b"old"), await believer.put("g", b"old")
    with pytest.raises(e.PreconditionFailed):
        await believer.store.delete(key, expected=STALE)
    failed = await believer.store.delete_many({key: STALE, other: await current(believer, other)})
    assert failed == {key: "PreconditionFailed"}
    assert believer.fetch(key) == b"old"
    with pytest.raises(e.NoSuchKey):
        await believer.store.head(other)
    await believer.store.delete(other, expected=STALE)
    assert await believer.store.delete_many({other: STALE}) == {}
    await believer.store.delete(key, expected=await current(believer, key))
    with pytest.raises(e.NoSuchKey):
        await believer.store.head(key)


async def test_copies(believer: Subject) -> None:
    source, target = await believer.put("s", b"12345"), believer.prefix + "t"
    missing = believer.prefix + "missing"
    upload = await believer.store.create_multipart(target, Attributes())

    async def copy(source: str, expected: Belief) -> None:
        await believer.store.copy(source, target, expected=expected)

    async def part_copy(source: str, expected: Belief) -> None:
        await believer.store.upload_part_copy(
            target, upload, 1, source, first=1, last=3, expected=expected
        )

    for made in (copy, part_copy):
        with pytest.raises(e.PreconditionFailed):
            await made(source, STALE)
        with pytest.raises(e.ObjectVanished):
            await made(missing, STALE)
        with pytest.raises(e.NoSuchKey):
            await made(missing, UNKNOWN)
        with pytest.raises(e.NoSuchKey):
            await believer.store.head(target)
        await made(source, await current(believer, source))
        if made is copy:
            assert believer.fetch(target) == b"12345"
            await believer.store.delete(target)
    await believer.store.abort_multipart(target, upload)
