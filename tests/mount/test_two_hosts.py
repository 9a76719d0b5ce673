# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Two mounts of one bucket that use the same names: neither loses the other one's bytes."""

import errno
import os

import pytest

from tests.harness.mounts import MountedBucket, MountFactory, shell
from tests.mount.test_writing import MIB, noise


@pytest.fixture
def hosts(mount: MountFactory) -> tuple[MountedBucket, MountedBucket]:
    """Two mounts that remember what they have seen for a minute."""
    return mount("ttl=60"), mount("ttl=60")


def test_a_log_that_another_host_appends_to_is_rotated(
    hosts: tuple[MountedBucket, MountedBucket],
) -> None:
    """`mv log log.1` of a log that has grown since it was seen, with an open descriptor."""
    here, there = hosts
    shell("echo one > log; ls -l", here.path)
    header = os.open(here.path / "log", os.O_WRONLY)
    shell("echo theirs >> log", there.path)
    shell("mv log log.1", here.path)
    assert here.fetch("log.1") == b"one\ntheirs\n"
    os.pwrite(header, b"ONE", 0)
    os.close(header)
    assert here.fetch("log.1") == b"ONE\ntheirs\n"
    assert not here.exists("log")
    shell("echo new >> log; ls -l", there.path)
    assert here.fetch("log") == b"new\n"


def test_a_directory_that_another_host_appends_into_is_renamed(
    hosts: tuple[MountedBucket, MountedBucket],
) -> None:
    """`mv d e`: with the lines that came since it was listed, and their lengths."""
    here, there = hosts
    shell("mkdir d; echo one > d/log; ls -l d", here.path)
    shell("echo theirs >> d/log", there.path)
    shell("mv d e; echo three >> e/log; cat e/log > all", here.path, check=False)
    assert here.fetch("e/log") == b"one\ntheirs\nthree\n"
    assert (here.path / "e/log").stat().st_size == 17
    assert not here.exists("d/log")


@pytest.mark.parametrize("change", ["middle", "truncate"])
def test_a_line_is_not_cut_off_by_a_change_of_the_middle(
    hosts: tuple[MountedBucket, MountedBucket], change: str
) -> None:
    """The writer hears ESTALE, and the object is as the other host has left it."""
    here, there = hosts
    data = noise(12 * MIB)
    (here.path / "film").write_bytes(data)
    here.unmount()
    here.mount()
    handle = os.open(here.path / "film", os.O_WRONLY)
    if change == "middle":
        os.pwrite(handle, bytes(100), 6 * MIB)
    else:
        os.ftruncate(handle, 6 * MIB)
    shell("echo theirs >> film", there.path)
    with pytest.raises(OSError, match=os.strerror(errno.ESTALE)):
        os.close(handle)
    assert here.fetch("film") == data + b"theirs\n"


def test_names_that_another_host_has_made(hosts: tuple[MountedBucket, MountedBucket]) -> None:
    """`mv -n` and mkdir onto a name that is remembered as free."""
    here, there = hosts
    shell("echo mine > mine; ls", here.path)
    shell("echo theirs > lock; mkdir d; echo x > d/x", there.path)
    shell("mv -n mine lock", here.path, check=False)
    assert here.fetch("mine") == b"mine\n"
    assert here.fetch("lock") == b"theirs\n"
    with pytest.raises(FileExistsError):
        (here.path / "d").mkdir()
