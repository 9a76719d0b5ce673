# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Telling the kernel what has changed: in order, never for long, and nothing after the end."""

import errno
import os
import threading
from dataclasses import dataclass, field

import pyfuse3
import pytest
import trio
import trio.testing

from kontenumfs.fuse.kernel import FuseKernel
from tests.harness.mounts import PROMPTLY


@dataclass
class LockedKernel:
    """Takes names as the kernel does: one of a locked directory when it is unlocked."""

    taken: list[bytes] = field(default_factory=list)
    failures: dict[bytes, int] = field(default_factory=dict)
    waits: threading.Event = field(default_factory=threading.Event)
    unlocked: threading.Event = field(default_factory=threading.Event)

    def invalidate_entry(self, parent: int, name: bytes) -> None:
        """See pyfuse3."""
        if name == b"locked":
            self.waits.set()
            assert self.unlocked.wait(PROMPTLY)
        self.taken.append(name)
        if name in self.failures:
            raise OSError(self.failures[name], os.strerror(self.failures[name]))


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> LockedKernel:
    """Stands for the kernel."""
    made = LockedKernel()
    monkeypatch.setattr(pyfuse3, "invalidate_entry", made.invalidate_entry)
    return made


async def told(locked: LockedKernel, *names: bytes) -> None:
    """Wait until the kernel was told of them."""
    with trio.fail_after(PROMPTLY):
        while not set(names) <= set(locked.taken):
            await trio.sleep(0.01)


async def test_names_are_told_in_order(locked: LockedKernel) -> None:
    kernel = FuseKernel(quiet=0)
    for name in ("a", "b", "c"):
        kernel.entry_changed(1, name)
    await told(locked, b"a", b"b", b"c")
    assert locked.taken == [b"a", b"b", b"c"]
    await kernel.end()


async def test_no_notice_for_a_directory_that_a_request_may_hold(locked: LockedKernel) -> None:
    """It could wait there for ever, and the daemon could not be killed; others go on."""
    kernel = FuseKernel(quiet=0)
    with kernel.used(1, 3):
        kernel.entry_changed(1, "waits")
        kernel.entry_changed(2, "goes")
        await told(locked, b"goes")
        with kernel.used(1):
            pass
        kernel.entry_changed(2, "next")
        await told(locked, b"next")
        assert b"waits" not in locked.taken
    await told(locked, b"waits")
    await kernel.end()


async def test_a_directory_must_have_been_quiet(locked: LockedKernel) -> None:
    """Between the answer to one rm and the question of the next, the next has the lock."""
    kernel = FuseKernel(quiet=3600)
    with kernel.used(1):
        pass
    kernel.entry_changed(1, "waits")
    kernel.entry_changed(2, "goes")
    await told(locked, b"goes")
    await kernel.end()
    assert locked.taken == [b"goes"]


async def test_the_end_waits_for_a_notice_that_is_under_way(locked: LockedKernel) -> None:
    """libfuse frees its session after that: a notice that is still in it would crash."""
    kernel = FuseKernel(quiet=0)
    kernel.entry_changed(1, "locked")
    assert await trio.to_thread.run_sync(locked.waits.wait, PROMPTLY)
    kernel.entry_changed(1, "queued")
    with trio.move_on_after(0.05) as scope:
        await kernel.end()
    assert scope.cancelled_caught
    locked.unlocked.set()
    await kernel.end()
    assert locked.taken == [b"locked"]


async def test_nothing_is_told_after_the_end(locked: LockedKernel) -> None:
    kernel = FuseKernel()
    await kernel.end()
    kernel.entry_changed(1, "late")
    kernel.attributes_changed(2)
    await kernel.entries_changed([(1, "late")])
    await kernel.end()
    assert locked.taken == []


async def test_a_refused_notice_ends_nothing(
    locked: LockedKernel, caplog: pytest.LogCaptureFixture
) -> None:
    """Names that the kernel does not know are what one expects; the rest is logged in a line."""
    locked.failures = {b"gone": errno.ENOENT, b"file": errno.ENOTDIR, b"odd": errno.EINVAL}
    kernel = FuseKernel(quiet=0)
    for name in ("gone", "file", "odd", "next"):
        kernel.entry_changed(1, name)
    await told(locked, b"next")
    await kernel.end()
    (record,) = caplog.records
    assert record.getMessage() == "the kernel keeps what it knows of b'odd': Invalid argument"
    assert record.exc_info is None


async def test_a_defect_in_a_notice_ends_no_other(
    locked: LockedKernel, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an incident, and the names after it are told."""
    notice = locked.invalidate_entry

    def fails(parent: int, name: bytes) -> None:
        if name == b"defect":
            raise ZeroDivisionError
        notice(parent, name)

    monkeypatch.setattr(pyfuse3, "invalidate_entry", fails)
    kernel = FuseKernel(quiet=0)
    kernel.entry_changed(1, "defect")
    kernel.entry_changed(1, "next")
    await told(locked, b"next")
    await kernel.end()
    [record] = caplog.records
    assert record.getMessage() == "notice of b'defect'"
    caplog.clear()


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ENODEV, errno.ENOTCONN, errno.EINVAL])
def test_a_kernel_that_takes_no_notice_fails_no_write(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    """What is stored is stored, though somebody has ended the connection meanwhile."""

    def refuses(inode: int, attr_only: bool = False) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(pyfuse3, "invalidate_inode", refuses)
    FuseKernel().attributes_changed(7)
    assert len(caplog.records) == (code == errno.EINVAL)
