# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What is copied changes while the copy is made, which takes a while: the condition still holds."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kontenumfs.emulator.answers import Answer
from kontenumfs.emulator.errors import S3Error
from kontenumfs.emulator.exchange import Request
from kontenumfs.emulator.multipart import Multipart
from kontenumfs.emulator.objects import MANY_EXTENTS, Limits, Objects
from kontenumfs.emulator.reader import Reader
from kontenumfs.emulator.segments import Segments
from kontenumfs.emulator.storage import Storage, StoredObject


async def nothing() -> dict[str, Any]:
    """The body of a request that has none."""
    return {"type": "http.request", "body": b""}


def request(key: str, query: str = "", **headers: str) -> Request:
    """A request that copies the object `log`."""
    named = {"x-amz-copy-source": "/b/log"}
    named |= {f"x-amz-copy-source-{name.replace('_', '-')}": told for name, told in headers.items()}
    pairs = [(name, value) for name, _, value in (w.partition("=") for w in query.split("&"))]
    return Request("PUT", f"/b/{key}", pairs, named, "b", key, "", Reader({}, nothing))


def put(storage: Storage, etag: str, crumbs: list[bytes]) -> None:
    """Make the object of many small pieces."""
    extents = []
    for crumb in crumbs:
        name, path = storage.segments.new()
        path.write_bytes(crumb)
        extents.append((name, 0, len(crumb)))
    storage.put("b", StoredObject("log", sum(map(len, crumbs)), etag, 1.0), extents)


def get(storage: Storage, key: str) -> bytes | None:
    """An object's bytes."""
    found = storage.get("b", key)
    if found is None:
        return None
    return b"".join(storage.segments.blocks(storage.extents(found.owner), 1 << 20))


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    """A bucket with an object of many crumbs."""
    made = Storage(tmp_path)
    made.create_bucket("b")
    put(made, "old", [b"x"] * MANY_EXTENTS)
    yield made
    made.close()


Meet = Callable[[Awaitable[Answer]], Answer]


@pytest.fixture
def meet(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Meet:
    """Run a copy, and replace its source once the bytes have been read for it."""

    def run(copy: Awaitable[Answer]) -> Answer:
        async def replace() -> None:
            found = storage.get("b", "log")
            if found is not None and found.etag == "old":
                put(storage, "new", [b"n", b"ew"])

        async def main() -> Answer:
            loop = asyncio.get_running_loop()
            blocks = Segments.blocks

            def slow_blocks(self: Segments, *args: Any) -> Iterator[bytes]:
                yield from blocks(self, *args)
                asyncio.run_coroutine_threadsafe(replace(), loop).result()

            with monkeypatch.context() as patched:
                patched.setattr(Segments, "blocks", slow_blocks)
                return await copy

        return asyncio.run(main())

    return run


def test_a_copy(storage: Storage, meet: Meet) -> None:
    """412 with the condition, the bytes of one moment without it."""
    objects = Objects(storage, Limits(appends=1023, components=32, min_part=1))
    with pytest.raises(S3Error, match="PreconditionFailed"):
        meet(objects.copy(request("copied", if_match='"old"')))
    assert get(storage, "copied") is None
    put(storage, "old", [b"x"] * MANY_EXTENTS)
    meet(objects.copy(request("copied")))
    assert get(storage, "copied") == b"new"
    found = storage.get("b", "copied")
    assert found is not None
    assert (found.size, found.etag) == (3, "new")


def test_a_copy_to_a_part(storage: Storage, meet: Meet) -> None:
    objects = Objects(storage, Limits(appends=1023, components=32, min_part=1))
    multipart = Multipart(objects)
    begun = multipart.create(request("up", "uploads=")).body.decode()
    upload = begun.partition("<UploadId>")[2].partition("<")[0]
    query = f"partNumber=1&uploadId={upload}"
    with pytest.raises(S3Error, match="PreconditionFailed"):
        meet(multipart.upload_part_copy(request("up", query, if_match='"old"')))
    assert b"<Part>" not in multipart.list_parts(request("up", query)).body
    put(storage, "old", [b"x"] * MANY_EXTENTS)
    meet(multipart.upload_part_copy(request("up", query)))
    assert b"<Size>3</Size>" in multipart.list_parts(request("up", query)).body
