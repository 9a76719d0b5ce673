# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Overwrites, truncates and copies while another host changes the objects: told, never undone."""

import os

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import PreconditionFailed, WriterConflict
from kontenumfs.store.api import Attributes
from tests.doubles.fake import FakeStore
from tests.writing.harness import workbench
from tests.writing.rival import Rival
from tests.writing.test_meetings import contents

SMALL = Limits(min_part=8)
OLD = bytes(range(60))


@pytest.mark.parametrize(
    "operation", ["CreateMultipartUpload", "UploadPartCopy", "CompleteMultipartUpload"]
)
@pytest.mark.parametrize("change", ["middle", "begin", "shorter", "longer"])
async def test_a_line_that_comes_while_a_file_is_changed(
    change: str, operation: str, autojump_clock: MockClock
) -> None:
    """S3.3: Whenever it comes, it stays, and whoever would have cut it off is told."""
    store = Rival(limits=SMALL)
    await store.put("log", [OLD], Attributes())
    async with workbench(store, limits=SMALL) as bench:
        await bench.capabilities.get()
        handle = await bench.files.open(await bench.find("log"), os.O_WRONLY, 0)
        if change in ("middle", "begin"):
            await handle.write(30 if change == "middle" else 0, b"xyz")
        else:
            size = 20 if change == "shorter" else 8 << 20
            await bench.files.truncate(handle.node, size, handle)
        store.before(operation, "log", store.appends("log", b"theirs\n"))
        with pytest.raises((PreconditionFailed, WriterConflict)):
            await bench.close(handle)
    assert store.has_acted
    assert contents(store) == {"log": OLD + b"theirs\n"}
    assert not store.uploads


@pytest.mark.parametrize("exists", [False, True], ids=["new", "over another"])
@pytest.mark.parametrize("operation", ["ComposeObject", "HeadObject"])
async def test_a_source_of_a_copy_that_is_replaced_by_as_many_bytes(
    operation: str, exists: bool, autojump_clock: MockClock
) -> None:
    """S4.3: `cat a b > c`: no mixture is left under the name, and an old object stays."""
    store = Rival(limits=SMALL)
    await store.put("a", [b"old a"], Attributes())
    await store.put("b", [b"old b"], Attributes())
    if exists:
        await store.put("c", [b"old c"], Attributes())
    async with workbench(store, limits=SMALL) as bench:
        await bench.capabilities.get()
        target = await bench.open("c", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for at, name in enumerate("ab"):
            source = await bench.files.open(await bench.find(name), os.O_RDONLY, 0)
            await bench.files.ranges.copy_range(source, 0, target, at * 5, 1 << 20)
        where = "*" if operation == "ComposeObject" else "a"
        store.before(operation, where, store.puts("a", b"new a"))
        with pytest.raises((PreconditionFailed, WriterConflict)):
            await bench.close(target)
    assert store.has_acted
    left = {"a": b"new a", "b": b"old b"} | ({"c": b"old c"} if exists else {})
    assert contents(store) == left


async def test_a_copy_to_a_new_name_is_one_compose(autojump_clock: MockClock) -> None:
    """`cat a b > c` costs what it did, and HEADs of the name and of what it is made of."""
    store = FakeStore()
    await store.put("a", [b"a"], Attributes())
    await store.put("b", [b"b"], Attributes())
    async with workbench(store) as bench:
        await bench.capabilities.get()
        target = await bench.open("c")
        for at, name in enumerate("ab"):
            source = await bench.files.open(await bench.find(name), os.O_RDONLY, 0)
            await bench.files.ranges.copy_range(source, 0, target, at, 1 << 20)
        before = len(store.calls)
        await bench.close(target)
        made = [call.operation for call in store.calls[before:]]
    assert sorted(made) == ["ComposeObject", *["HeadObject"] * 4]
    assert store.data("c") == b"ab"


async def test_an_open_for_writing_sees_what_is_there_now(autojump_clock: MockClock) -> None:
    """S3.2: one HEAD where what is known is older than a second, and none where it is not."""
    store = Rival(limits=SMALL)
    await store.put("f", [OLD], Attributes())
    async with workbench(store, limits=SMALL) as bench:
        await bench.capabilities.get()
        node = await bench.find("f")
        await bench.tree.fetch_attributes(node)
        await trio.sleep(1.5)
        await store.puts("f", b"their new and longer object" * 4)()
        before = len(store.calls)
        handle = await bench.files.open(node, os.O_WRONLY, 0)
        await handle.write(0, b"THEIR")
        assert [call.operation for call in store.calls[before:]] == ["HeadObject"]
        await bench.close(handle)
        assert store.data("f") == b"THEIR" + (b"their new and longer object" * 4)[5:]
        before = len(store.calls)
        await bench.close(await bench.files.open(node, os.O_WRONLY, 0))
        assert store.calls[before:] == []
