# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Requests that fail: the writer hears of it, the tree tells the truth, and the mount goes on."""

import logging
import os

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol.errors import (
    AccessDenied,
    AnswerLost,
    FileMissing,
    FileTooLarge,
    InternalError,
    OutcomeUnknown,
    ReadDenied,
    ServerError,
    WriterConflict,
)
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import Attributes, Body, Written
from kontenumfs.store.beliefs import UNKNOWN, Belief
from kontenumfs.writing.handle import Handle
from kontenumfs.writing.policy import FilePolicy, Publish
from tests.doubles.fake import FakeStore
from tests.doubles.faulty import Fault, FaultyStore
from tests.writing.harness import workbench
from tests.writing.test_meetings import APPEND, contents, store_file

TIB = 1 << 40


async def fill(handle: Handle) -> None:
    """Write chunk after chunk: what the first ones meet, the later ones tell."""
    for at in range(4):
        await handle.write(64 * at, bytes(64))
        await trio.sleep(1)


@pytest.mark.parametrize("after", [False, True], ids=["not stored", "stored"])
@pytest.mark.parametrize("error", [AnswerLost("reset"), ServerError(status=500)])
async def test_the_first_line_of_a_log_whose_answer_is_lost(
    error: AnswerLost | ServerError, after: bool, autojump_clock: MockClock
) -> None:
    """It is there once: a repeated If-None-Match would be refused by its own success."""
    fake = FakeStore()
    store = FaultyStore(fake, Fault("put", error, after=after))
    async with workbench(store) as bench:
        line = await bench.open("log", APPEND)
        await line.write(0, b"line 1\n")
        await bench.files.flush(line)
        await line.write(0, b"line 2\n")
        await bench.close(line)
    assert contents(fake) == {"log": b"line 1\nline 2\n"}


async def test_another_host_begins_the_log_while_the_answer_is_lost(
    autojump_clock: MockClock,
) -> None:
    """The object is theirs, so our line comes after."""

    class Beaten(FakeStore):
        async def put(  # type: ignore[no-untyped-def]
            self, key, body, attributes, **conditions
        ) -> Written:
            if key == "log" and key not in self.objects:
                await super().put(key, [b"theirs\n"], Attributes(metadata={"mtime": "1"}))
                raise AnswerLost("reset")
            return await super().put(key, body, attributes, **conditions)

    store = Beaten()
    async with workbench(store) as bench:
        line = await bench.open("log", APPEND)
        await line.write(0, b"ours\n")
        await bench.close(line)
    assert contents(store) == {"log": b"theirs\nours\n"}


async def test_others_append_to_what_is_overwritten_here(autojump_clock: MockClock) -> None:
    """There is no right result any more: the writer is told, and the mount goes on."""

    class Crowded(FakeStore):
        async def append(
            self,
            key: str,
            body: Body,
            *,
            expected: Belief = UNKNOWN,
            attributes: Attributes | None = None,
        ) -> Written:
            await trio.sleep(1)
            if key == "log" and not self.crowded:
                self.crowded = True
                await super().append(key, [b"theirs"])
            return await super().append(key, body, expected=expected)

        crowded = False

    async with workbench(Crowded()) as bench:
        await store_file(bench, "log", b"one ")
        shared = await bench.open("log", APPEND)
        await shared.write(0, bytes(64))
        await trio.sleep(0.5)  # the append is under way
        other = await bench.files.open(shared.node, os.O_WRONLY, 0)
        await other.write(0, b"X")
        with pytest.raises(WriterConflict):
            await bench.close(other)
        await bench.files.release(shared)
        await store_file(bench, "next", b"goes on")


async def test_a_source_that_cannot_be_kept(autojump_clock: MockClock) -> None:
    """Bytes of an object that is replaced meanwhile are never taken from what replaced it."""
    fake = FakeStore(conditions=())
    store = FaultyStore(fake)
    async with workbench(store) as bench:
        await store_file(bench, "source", b"first")
        source = await bench.files.open(await bench.find("source"), os.O_RDONLY, 0)
        target = await bench.open("target")
        await bench.files.ranges.copy_range(source, 0, target, 0, 5)
        await bench.capabilities.get()
        for verb in ("copy", "compose", "upload_part_copy"):
            store.add(Fault(verb, delay=1000, key=".kontenumfs/*", count=-1))
        again = await bench.open("source", os.O_WRONLY | os.O_TRUNC)
        await again.write(0, b"other")
        await bench.close(again)
        with pytest.raises(WriterConflict):
            await bench.close(target)
    assert contents(fake) == {"source": b"other"}


async def test_what_an_upload_that_failed_has_left(autojump_clock: MockClock) -> None:
    """The store has the first part of a live file: it is shown, and can be deleted."""
    fake = FakeStore()
    store = FaultyStore(fake, Fault("append", AccessDenied("no"), key="f", count=-1))
    live = FilePolicy(Publish.LIVE)
    async with workbench(store, policy=live) as bench:
        handle = await bench.open("f")
        with pytest.raises(AccessDenied):
            await fill(handle)
        with pytest.raises(AccessDenied):
            await bench.close(handle)
        assert (await bench.tree.lookup(bench.tree.root, "f")).info is not None
        await bench.namespace.unlink(bench.tree.root, "f")
    assert contents(fake) == {}


async def test_an_open_file_that_failed_is_deleted_with_what_is_stored_of_it(
    autojump_clock: MockClock,
) -> None:
    """unlink(2) before close(2): the answer was lost, the object is there."""
    fake = FakeStore()
    store = FaultyStore(fake, Fault("put", AnswerLost("reset"), after=True))
    store.add(Fault("head", AnswerLost("reset"), count=-1))
    async with workbench(store) as bench:
        handle = await bench.open("f")
        await handle.write(0, b"content")
        with pytest.raises(AnswerLost):
            await bench.files.flush(handle)
        store.clear()
        assert contents(fake) == {"f": b"content"}
        await bench.find("f")  # as the kernel does, whose entry has been taken back
        await bench.namespace.unlink(bench.tree.root, "f")
        await bench.files.release(handle)
    assert contents(fake) == {}


async def test_a_rename_that_cannot_delete_shows_both_names(autojump_clock: MockClock) -> None:
    """It has failed, and the copy is there."""
    fake = FakeStore()
    store = FaultyStore(fake, Fault("delete", AccessDenied("no")))
    async with workbench(store) as bench:
        root = bench.tree.root
        await store_file(bench, "f", b"content")
        with pytest.raises(FileMissing):
            await bench.find("g")
        with pytest.raises(AccessDenied):
            await bench.namespace.rename(root, "f", root, "g")
        assert [node.name for node in await bench.tree.children(root)] == ["f", "g"]
        assert (await bench.find("g")).info is not None
    assert contents(fake) == {"f": b"content", "g": b"content"}


async def test_truncate_by_path_that_is_refused(autojump_clock: MockClock) -> None:
    """truncate(2) has no close that could tell it."""
    fake = FakeStore()
    store = FaultyStore(fake)
    async with workbench(store) as bench:
        await store_file(bench, "f", b"content")
        store.add(Fault("*", AccessDenied("no"), key="f"))
        with pytest.raises(AccessDenied):
            await bench.files.truncate(await bench.find("f"), 3)
    assert contents(fake) == {"f": b"content"}


async def test_more_than_an_object_can_hold() -> None:
    """S3.5: 5 TiB and a byte is refused at once, and harms nothing that was written."""
    store = FakeStore()
    async with workbench(store) as bench:
        handle = await bench.open("f")
        await handle.write(0, b"content")
        with pytest.raises(FileTooLarge):
            await bench.files.truncate(handle.node, 5 * TIB + 1)
        with pytest.raises(FileTooLarge):
            await handle.write(5 * TIB, b"x")
        await bench.close(handle)
    assert contents(store) == {"f": b"content"}


async def test_a_reader_of_the_past_may_create_empty_files(autojump_clock: MockClock) -> None:
    """Only what was opened before its process could not read is taken for a copy's target."""
    store = FakeStore()
    async with workbench(store) as bench:
        await store_file(bench, "source", b"content")
        source = await bench.files.open(await bench.find("source"), os.O_RDONLY, 7)
        with pytest.raises(ReadDenied):
            bench.files.read(source)
        await trio.sleep(1)
        marker = await bench.files.create(bench.tree.root, "marker", FileMetadata(), pid=7)
        await bench.files.release(marker)
    assert contents(store) == {"source": b"content", "marker": b""}


@pytest.mark.parametrize("verb", ["put", "append"])
async def test_a_defect_is_one_files(
    verb: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever an upload raises: its writer gets EIO, and everybody else goes on."""

    class Broken(FakeStore):
        async def _enter(self, operation: str, key: str, sent: int = 0) -> None:
            if key == "f" and operation.startswith(("Put", "Append")[verb == "append"]):
                raise ZeroDivisionError
            await super()._enter(operation, key, sent)

    store = Broken()
    async with workbench(store) as bench:
        handle = await bench.open("f")
        with pytest.raises(InternalError, match="ZeroDivisionError"):
            await fill(handle)
        await bench.files.release(handle)
        await store_file(bench, "g", b"goes on")
    assert store.data("g") == b"goes on"
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in told] == ["a defect, please report it: an upload"]
    caplog.clear()


async def test_a_log_that_others_append_to_is_remembered_over_opens(
    autojump_clock: MockClock,
) -> None:
    """S6.5: Each line is opened for anew; whose line it is, a store without digests does not
    tell.
    """
    fake = FakeStore(digest=False)
    store = FaultyStore(fake, Fault("append", AnswerLost("reset"), after=True, key="log", skip=2))
    await fake.put("log", [b"line 1\n"], Attributes(metadata={"mtime": "1"}))
    async with workbench(store) as bench:
        first = await bench.open("log", APPEND)
        await fake.append("log", [b"theirs\n"])
        await first.write(0, b"line 2\n")
        await bench.close(first)
        second = await bench.open("log", APPEND)
        await second.write(0, b"line 3\n")
        with pytest.raises(OutcomeUnknown, match="last 7 bytes"):
            await bench.close(second)
    assert contents(fake) == {"log": b"line 1\ntheirs\nline 2\nline 3\n"}
