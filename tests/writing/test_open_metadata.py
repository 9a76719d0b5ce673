# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Mode, owner and time of a file that is open: stored by fsync, and shown as they are stored."""

import os

import pytest
from trio.testing import MockClock

from kontenumfs.protocol.errors import AnswerLost, WriterConflict
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import Attributes
from tests.doubles.fake import FakeStore
from tests.doubles.faulty import Fault, FaultyStore
from tests.writing.harness import workbench
from tests.writing.rival import Rival

CHMOD = FileMetadata(mode=0o600)
APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def mode(store: FakeStore, key: str) -> int:
    """The permission bits that the object carries."""
    return int(store.objects[key].attributes.metadata["mode"]) & 0o7777


@pytest.mark.parametrize("flags", [os.O_WRONLY | os.O_CREAT, APPEND])
async def test_fchmod_and_fsync_of_an_open_file(flags: int, autojump_clock: MockClock) -> None:
    """Stored while it is open; what is written after still goes to its end."""
    store = FakeStore()
    async with workbench(store) as bench:
        handle = await bench.open("log", flags)
        await handle.write(0, b"one\n")
        await bench.files.fsync(handle)
        bench.files.set_metadata(handle.node, CHMOD)
        await bench.files.fsync(handle)
        assert mode(store, "log") == 0o600
        calls = len(store.calls)
        await bench.files.fsync(handle)
        assert len(store.calls) == calls, "nothing is sent twice"
        await handle.write(4, b"two\n")
        await bench.close(handle)
    assert store.data("log") == b"one\ntwo\n"
    assert mode(store, "log") == 0o600


async def test_fchmod_before_the_bytes_that_an_append_carries(autojump_clock: MockClock) -> None:
    """An append carries no metadata: fsync sends it after."""
    store = FakeStore()
    await store.put("log", [b"one\n"], Attributes())
    async with workbench(store) as bench:
        handle = await bench.open("log", APPEND)
        bench.files.set_metadata(handle.node, CHMOD)
        await handle.write(4, b"two\n")
        await bench.files.fsync(handle)
        assert mode(store, "log") == 0o600
        await bench.close(handle)
    assert store.data("log") == b"one\ntwo\n"


async def test_fchmod_of_a_log_that_others_append_to(autojump_clock: MockClock) -> None:
    """Their line stays, and the next one of ours goes behind it."""
    store = Rival()
    async with workbench(store) as bench:
        handle = await bench.open("log", APPEND)
        await handle.write(0, b"one\n")
        await bench.files.fsync(handle)
        bench.files.set_metadata(handle.node, CHMOD)
        store.before("CopyObject", "log", store.appends("log", b"theirs\n"))
        await bench.files.fsync(handle)
        assert mode(store, "log") == 0o600
        await handle.write(4, b"two\n")
        await bench.close(handle)
    assert store.data("log") == b"one\ntheirs\ntwo\n"


async def test_fchmod_of_a_file_that_others_have_changed(autojump_clock: MockClock) -> None:
    """Told, and their bytes are as they were."""
    store = Rival()
    async with workbench(store) as bench:
        handle = await bench.open("file")
        await handle.write(0, b"ours")
        await bench.files.fsync(handle)
        bench.files.set_metadata(handle.node, CHMOD)
        await store.appends("file", b"theirs")()
        with pytest.raises(WriterConflict):
            await bench.files.fsync(handle)
        await bench.close(handle)
    assert store.data("file") == b"ourstheirs"


async def test_fchmod_whose_answer_is_lost(autojump_clock: MockClock) -> None:
    """It was done: the file goes on from what the copy has made of it."""
    fake = FakeStore()
    store = FaultyStore(fake)
    async with workbench(store) as bench:
        await bench.capabilities.get()
        handle = await bench.open("log", APPEND)
        for line in (b"one\n", b"two\n"):
            await handle.write(0, line)
            await bench.files.fsync(handle)
        bench.files.set_metadata(handle.node, CHMOD)
        store.add(Fault("copy", AnswerLost("lost"), after=True, key="log"))
        await bench.files.fsync(handle)
        await handle.write(0, b"three\n")
        await bench.close(handle)
        assert store.is_spent
    assert fake.data("log") == b"one\ntwo\nthree\n"


async def test_chmod_while_the_bytes_are_on_their_way(autojump_clock: MockClock) -> None:
    """What is known of the object is what the request carried; the mode is sent after."""
    store = Rival()
    async with workbench(store) as bench:
        handle = await bench.open("file")
        await handle.write(0, b"bytes")

        async def chmod() -> None:
            bench.files.set_metadata(handle.node, CHMOD)

        store.before("PutObject", "file", chmod)
        await bench.files.flush(handle)
        info = handle.node.info
        assert info is not None
        assert info.attributes == store.objects["file"].attributes
        await bench.files.fsync(handle)
        assert mode(store, "file") == 0o600
        await bench.close(handle)


async def test_what_an_append_leaves_as_it_was(autojump_clock: MockClock) -> None:
    """The object keeps its attributes, and that is what is known of it."""
    store = FakeStore()
    async with workbench(store) as bench:
        for line in (b"one\n", b"two\n"):
            bench.now += 100
            handle = await bench.open("log", APPEND)
            await handle.write(0, line)
            await bench.close(handle)
        node = await bench.find("log")
        assert node.info is not None
        assert node.info.attributes == store.objects["log"].attributes
