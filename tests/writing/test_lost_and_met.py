# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""An answer is lost while another client is there: what playing two clients has found."""

import os

import pytest
from trio.testing import MockClock

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import (
    AnswerLost,
    FileAlreadyExists,
    KontenumError,
    OutcomeUnknown,
    WriterConflict,
)
from kontenumfs.store.api import Attributes
from kontenumfs.writing.policy import FilePolicy, Publish
from tests.doubles.fake import FakeStore
from tests.doubles.faulty import Fault, FaultyStore
from tests.writing.harness import workbench
from tests.writing.rival import Rival
from tests.writing.test_meetings import contents

LINE = b"0123456789\n"
LOST = AnswerLost("the answer was lost")
APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


async def test_the_first_line_of_a_log_stands_once_when_nobody_can_say_whether_it_came(
    autojump_clock: MockClock,
) -> None:
    """Sent, lost and late; sent again and refused because of itself; and then HEAD fails."""
    rival = Rival()
    rival.before("PutObject", "log", rival.puts("log", LINE))  # the first request, which is late
    store = FaultyStore(rival)
    async with workbench(store) as bench:
        await bench.capabilities.get()
        handle = await bench.open("log", APPEND)
        await handle.write(0, LINE)
        store.add(Fault("put", LOST, key="log"), Fault("head", LOST, key="log", skip=1))
        await bench.close(handle)
        assert store.is_spent
    assert contents(rival) == {"log": LINE}


async def test_the_first_line_of_a_log_stands_once_when_others_append_before_it_is_looked_for(
    autojump_clock: MockClock,
) -> None:
    """What is there then is longer, and begins with the line."""
    rival = Rival()
    store = FaultyStore(rival)
    async with workbench(store) as bench:
        await bench.capabilities.get()
        handle = await bench.open("log", APPEND)
        await handle.write(0, LINE)
        store.add(Fault("put", LOST, after=True, key="log"))
        rival.before("HeadObject", "log", rival.appends("log", b"theirs\n"))
        await bench.close(handle)
    assert contents(rival) == {"log": LINE + b"theirs\n"}


async def test_what_others_add_to_a_file_that_is_emptied_and_renamed_here(
    autojump_clock: MockClock,
) -> None:
    """`: > log`, held open, and `mv log log.1`: the line came after the program had looked."""
    store = Rival()
    await store.put("log", [b"old\n"], Attributes())
    async with workbench(store) as bench:
        handle = await bench.open("log", os.O_WRONLY | os.O_TRUNC)
        await FakeStore.append(store, "log", [b"theirs\n"])
        root = bench.tree.root
        await bench.namespace.rename(root, "log", root, "log.1")
        with pytest.raises(WriterConflict):
            await bench.files.fsync(handle)
    assert contents(store) == {"log.1": b"old\ntheirs\n"}


async def test_a_new_file_is_renamed_to_a_name_that_another_host_takes(
    autojump_clock: MockClock,
) -> None:
    """`mv -n` of what is not stored yet: the name is theirs, and the bytes stay here."""
    store = Rival()
    async with workbench(store) as bench:
        handle = await bench.open("new")
        await handle.write(0, b"ours")
        store.before("PutObject", "name", store.puts("name", b"theirs"))
        root = bench.tree.root
        with pytest.raises(FileAlreadyExists):
            await bench.namespace.rename(root, "new", root, "name", overwrite=False)
        await bench.close(handle)
    assert contents(store) == {"name": b"theirs", "new": b"ours"}


async def test_a_new_file_is_renamed_over_what_others_change_meanwhile(
    autojump_clock: MockClock,
) -> None:
    """`mv` replaces whatever is there, but never as something that nobody has looked at."""
    store = Rival()
    await store.put("name", [b"old"], Attributes())
    async with workbench(store) as bench:
        handle = await bench.open("new")
        await handle.write(0, b"ours")
        store.before("PutObject", "name", store.puts("name", b"theirs"))
        root = bench.tree.root
        await bench.namespace.rename(root, "new", root, "name")
        assert store.has_acted
        await bench.close(handle)
    assert contents(store) == {"name": b"ours"}


async def test_a_log_that_is_begun_anew_while_nobody_knows_whether_it_was_renamed(
    autojump_clock: MockClock,
) -> None:
    """The DELETE took place and its answer is lost: the new log is not put over the old one."""
    rival = Rival()
    await rival.put("log", [b"old\n"], Attributes())
    store = FaultyStore(rival)
    async with workbench(store) as bench:
        await bench.capabilities.get()
        store.add(Fault("delete", LOST, after=True, key="log"))
        rival.before("HeadObject", "log", lambda: rival.put("other", [], Attributes()))
        await bench.find("log")
        await bench.tree.fetch_attributes(await bench.find("log"), exact=True)
        rival.before("HeadObject", "log", rival.puts("log", b"new, and longer\n"))
        root = bench.tree.root
        with pytest.raises(OutcomeUnknown):
            await bench.namespace.rename(root, "log", root, "log.1")
    assert contents(rival) == {"log": b"new, and longer\n", "log.1": b"old\n", "other": b""}


@pytest.mark.parametrize("operation", ["CopyObject", "CompleteMultipartUpload"])
async def test_a_new_file_that_is_published_as_a_whole_does_not_replace_another_hosts(
    operation: str, autojump_clock: MockClock
) -> None:
    """publish=atomic gathers it unseen: it becomes the object with a condition, too."""
    store = Rival(limits=Limits(min_part=8))
    policy = FilePolicy(Publish.ATOMIC)
    async with workbench(store, policy=policy, limits=Limits(min_part=8)) as bench:
        await bench.capabilities.get()
        handle = await bench.open("new")
        await handle.write(0, bytes(100))
        store.before(operation, "new", store.puts("new", b"theirs"))
        try:
            await bench.close(handle)
        except KontenumError:
            assert contents(store) == {"new": b"theirs"}
        else:
            assert not store.has_acted
            assert contents(store) == {"new": bytes(100)}


@pytest.mark.parametrize("flags", [os.O_WRONLY | os.O_CREAT, APPEND])
async def test_a_replacement_of_the_same_length_when_the_count_of_appends_begins_anew(
    flags: int, autojump_clock: MockClock
) -> None:
    """It is another object: who is alone is told, and who shares it goes on at its end."""
    limits = Limits(max_appends=1)
    store = Rival(limits=limits)
    await store.put("log", [b"1\n"], Attributes(metadata={"own": "value"}))
    async with workbench(store, limits=limits) as bench:
        await bench.capabilities.get()
        handle = await bench.open("log", flags)
        await handle.write(2, b"2\n")
        await bench.files.fsync(handle)
        await handle.write(4, b"3\n")
        store.before("CopyObject", "log", store.puts("log", b"new\n"))
        if flags & os.O_APPEND:
            await bench.close(handle)
        else:
            with pytest.raises(KontenumError):
                await bench.close(handle)
    assert store.has_acted
    assert contents(store) == {"log": b"new\n3\n" if flags & os.O_APPEND else b"new\n"}
