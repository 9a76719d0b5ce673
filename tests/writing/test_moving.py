# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Renames of one file that another host renames too, or whose new name it writes to as well."""

from collections.abc import Collection
from functools import partial

import pytest
from trio.testing import MockClock

from kontenumfs.protocol.errors import AnswerLost, FileMissing, RenameConflict
from kontenumfs.store.proof import Verb
from tests.doubles.fake import FakeStore
from tests.doubles.faulty import Fault, FaultyStore
from tests.writing.harness import workbench
from tests.writing.rival import Rival
from tests.writing.test_meetings import contents, store_file
from tests.writing.test_renaming import rename

LONG = b"x" * (6 << 20)


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("body", [b"", b"one\n", LONG], ids=["empty", "short", "long"])
async def test_lines_under_both_names(
    body: bytes, overwrite: bool, autojump_clock: MockClock
) -> None:
    """S5.3: `mv log log.1` while others append to both: every line is under the new name, once."""
    store = Rival()

    async def lines(number: int) -> None:
        await store.appends("log", b"old name %d\n" % number)()
        await store.appends("log.1", b"new name %d\n" % number)()

    async with workbench(store) as bench:
        await store_file(bench, "log", body)
        for number in range(2):
            store.before("DeleteObject", "log", partial(lines, number))
        await rename(bench, "log", "log.1", overwrite=overwrite)
        assert (await bench.find("log.1")).info.size == len(body) + 44  # type: ignore[union-attr]
        handle = await bench.open("log.1")
        await handle.write(len(body) + 44, b"ours\n")
        await bench.close(handle)
    found = store.data("log.1")
    assert found.startswith(body)
    assert sorted(found[len(body) :].splitlines()) == [
        b"new name 0",
        b"new name 1",
        b"old name 0",
        b"old name 1",
        b"ours",
    ]
    assert set(contents(store)) == {"log.1"}
    assert not store.uploads


@pytest.mark.parametrize("theirs", [b"x", b"something else, and longer"])
async def test_a_new_name_that_others_replace(theirs: bytes, autojump_clock: MockClock) -> None:
    """S5.3: What they have put there is not what was moved: EBUSY, and both objects are whole."""
    store = Rival()

    async def replace() -> None:
        await store.appends("log", b"old name\n")()
        await store.puts("log.1", theirs)()

    async with workbench(store) as bench:
        await store_file(bench, "log", b"one\n")
        store.before("DeleteObject", "log", replace)
        with pytest.raises(RenameConflict):
            await rename(bench, "log", "log.1")
    assert contents(store) == {"log": b"one\nold name\n", "log.1": theirs}


@pytest.mark.parametrize("ours", ["g", "h"])
async def test_two_hosts_rename_one_file(ours: str, autojump_clock: MockClock) -> None:
    """S5.12: One of them is told so: a job can be claimed by a rename."""
    store = Rival()
    async with workbench(store) as here, workbench(store) as there:
        await store_file(here, "f", b"job")
        await there.find("f")
        store.before("DeleteObject", "f", lambda: rename(there, "f", "g"))
        with pytest.raises(FileMissing):
            await rename(here, "f", ours, overwrite=ours == "h")
        for bench in (here, there):
            assert (await bench.find("g")).info is not None
            with pytest.raises(FileMissing):
                await bench.find("f")
    assert contents(store)["g"] == b"job"


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("conditions", [list(Verb), []], ids=["conditions", "none"])
async def test_a_rename_whose_deletion_has_no_answer(
    conditions: Collection[Verb], arrives: bool, autojump_clock: MockClock
) -> None:
    """S7.4, S5.12: It is this rename's own, and not taken for another host's."""
    fake = FakeStore(conditions=conditions)
    store = FaultyStore(fake, Fault("delete", AnswerLost("gone"), key="f", after=arrives))
    async with workbench(store) as bench:
        await store_file(bench, "f", b"content")
        await rename(bench, "f", "g")
    assert contents(fake) == {"g": b"content"}
