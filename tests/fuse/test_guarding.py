# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What a kernel's call ends with: an errno for the program, and one incident that names the key."""

import errno
import logging
from typing import Any

import pyfuse3
import pytest

from kontenumfs.fuse.guarding import guard
from kontenumfs.protocol.errors import DeadlineExceeded, FileMissing
from kontenumfs.tree.inodes import InodeTable
from kontenumfs.tree.node import Directory


class Failing(pyfuse3.Operations):
    """Fails with what it is given."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def forget(self, inode_list: Any) -> None:
        raise self._error

    async def statfs(self, ctx: Any) -> pyfuse3.StatvfsData:
        raise self._error

    async def lookup(self, parent_inode: Any, name: Any, ctx: Any) -> pyfuse3.EntryAttributes:
        raise self._error


def guarded(error: Exception) -> Any:
    """Operations that fail, guarded."""
    return guard(
        Failing(error), InodeTable(Directory(None, "prefix/"), forgotten=lambda node: None)
    )


async def test_a_defect_is_eio_to_one_program(caplog: pytest.LogCaptureFixture) -> None:
    """Whichever call it is in, pyfuse3 sees nothing else."""
    with pytest.raises(pyfuse3.FUSEError) as caught:
        await guarded(ZeroDivisionError()).statfs(None)
    assert caught.value.errno == errno.EIO
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    caplog.clear()


async def test_who_waits_for_no_answer_gets_none(caplog: pytest.LogCaptureFixture) -> None:
    """An exception from forget() would end the mount of all."""
    await guarded(ZeroDivisionError()).forget([(1, 1)])
    assert len(caplog.records) == 1
    caplog.clear()


@pytest.mark.parametrize(("name", "shown"), [(b"name", "name"), (b"\xff", "?")])
async def test_a_failure_names_its_key(
    caplog: pytest.LogCaptureFixture, name: bytes, shown: str
) -> None:
    """Though the error itself says nothing of it."""
    with pytest.raises(pyfuse3.FUSEError) as caught:
        await guarded(DeadlineExceeded("no answer")).lookup(pyfuse3.ROOT_INODE, name, None)
    assert caught.value.errno == errno.ETIMEDOUT
    [record] = caplog.records
    assert record.getMessage() == f"lookup: key='prefix/{shown}': no answer"


async def test_what_programs_provoke_all_day_is_no_incident(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody needs to read of a missing file."""
    with pytest.raises(pyfuse3.FUSEError) as caught:
        await guarded(FileMissing("x")).lookup(pyfuse3.ROOT_INODE, b"x", None)
    assert caught.value.errno == errno.ENOENT
    assert caplog.records == []


async def test_the_errno_of_an_operation_stays(caplog: pytest.LogCaptureFixture) -> None:
    """ENOSYS tells the kernel not to ask again."""
    with pytest.raises(pyfuse3.FUSEError) as caught:
        await guarded(ValueError()).fsyncdir(1, False)
    assert caught.value.errno == errno.ENOSYS
    assert caplog.records == []
