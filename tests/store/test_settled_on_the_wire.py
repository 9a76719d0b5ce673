# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Requests whose answers are lost on a real connection, and what is in the store afterwards."""

import pytest

from kontenumfs.protocol import errors as e
from kontenumfs.store.api import Attributes
from kontenumfs.store.beliefs import ABSENT, Version
from kontenumfs.store.client import HTTPStore
from kontenumfs.store.conditional import ConditionalStore
from tests.harness.emulator import Emulator
from tests.store.conftest import believing

OURS = Attributes({"mtime": "1.5"})
FAULTS: list[dict[str, object]] = [
    {"reset": "before"},
    {"reset": "after"},
    {"reset": "answer-truncated"},
    {"status": 500},
    {"status": 503, "code": "SlowDown"},
]


@pytest.fixture
async def store(client: HTTPStore) -> ConditionalStore:
    """The client against the emulator, as a mount has it."""
    return await believing(client)


@pytest.fixture(params=FAULTS, ids=lambda fault: "-".join(map(str, fault.values())))
def fault(request: pytest.FixtureRequest, emulator: Emulator) -> dict[str, object]:
    """One way to lose an answer; the store has done the request, or it has not."""
    description: dict[str, object] = request.param
    return description


async def test_new_objects_and_replacements(
    store: ConditionalStore, emulator: Emulator, fault: dict[str, object]
) -> None:
    emulator.fault(op="PutObject", key="settled", **fault)
    made = await store.put("settled", [b"one"], OURS, expected=ABSENT)
    emulator.fault(op="PutObject", key="settled", **fault)
    await store.put("settled", [b"second"], OURS, expected=Version(made.etag, 3))
    assert emulator.fetch("settled") == b"second"
    emulator.fault(op="PutObject", key="settled", **fault)
    with pytest.raises(e.PreconditionFailed):
        await store.put("settled", [b"third"], OURS, expected=ABSENT)
    emulator.fault(op="DeleteObject", key="settled", **fault)
    info = await store.head("settled")
    await store.delete("settled", expected=Version(info.etag, info.size))
    assert not emulator.exists("settled")


async def test_uploads(
    store: ConditionalStore, emulator: Emulator, fault: dict[str, object]
) -> None:
    """FAULTS 2.7: none is left, whatever was lost on its way."""
    emulator.fault(op="CreateMultipartUpload", key="upload", **fault)
    upload = await store.create_multipart("upload", OURS)
    assert [found.upload_id for found in await store.list_uploads("upload")] == [upload]
    parts = [await store.upload_part("upload", upload, 1, [b"part"])]
    emulator.fault(op="CompleteMultipartUpload", key="upload", **fault)
    await store.complete_multipart("upload", upload, parts, expected=ABSENT)
    assert emulator.fetch("upload") == b"part"
    assert await store.list_uploads("upload") == []
    await store.delete("upload")
