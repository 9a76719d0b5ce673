# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Directories of many pages: each page is told as it comes, and none is asked for twice."""

import os
from collections.abc import Iterator

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory

PAGE = 1000
"""What a LIST tells at most."""
NAMES = [f"file-{number:05}" for number in range(5 * PAGE + 1)]


@pytest.fixture
def large(mount: MountFactory, emulator: Emulator) -> MountedBucket:
    """A mount of five pages and one name."""
    emulator.fill(f"{mount.prefix}/{name}" for name in NAMES)
    mounted = mount("attributes=list")
    emulator.mark()
    return mounted


def names(entries: Iterator[os.DirEntry[str]], count: int) -> list[str]:
    """The next `count` names."""
    return [entry.name for _, entry in zip(range(count), entries, strict=False)]


def test_the_first_page_does_not_wait_for_the_second(
    large: MountedBucket, emulator: Emulator
) -> None:
    """S9.2: However many names the program has room for: `ls -f | head` costs one LIST."""
    with os.scandir(large.path) as entries:
        assert names(entries, PAGE) == NAMES[:PAGE]
        assert emulator.counts() == {"ListObjectsV2": 1}
        assert names(entries, len(NAMES)) == NAMES[PAGE:]
    assert emulator.counts() == {"ListObjectsV2": 6}


def test_a_second_reader_is_told_what_the_first_has_fetched(
    large: MountedBucket, emulator: Emulator
) -> None:
    """And each of them goes on from where the other one has come to."""
    with os.scandir(large.path) as one, os.scandir(large.path) as other:
        assert names(one, 2 * PAGE) == NAMES[: 2 * PAGE]
        assert names(other, PAGE) == NAMES[:PAGE]
        assert emulator.counts() == {"ListObjectsV2": 2}
        assert names(other, len(NAMES)) == NAMES[PAGE:]
        assert names(one, len(NAMES)) == NAMES[2 * PAGE :]
    assert emulator.counts() == {"ListObjectsV2": 6}


def test_a_later_page_that_fails_is_told_and_can_be_asked_for_again(
    large: MountedBucket, emulator: Emulator
) -> None:
    """Names are never left out silently."""
    with os.scandir(large.path) as entries:
        assert names(entries, PAGE) == NAMES[:PAGE]
        emulator.fault(op="ListObjectsV2", count=1, status=403, code="AccessDenied")
        with pytest.raises(PermissionError):
            names(entries, len(NAMES))
    assert sorted(os.listdir(large.path)) == NAMES


def test_a_page_of_names_that_cannot_be_files(mount: MountFactory, emulator: Emulator) -> None:
    """Nothing of it can be told, which must not look like the end."""
    hidden = [f"a{number:04}" + "n" * 260 for number in range(2 * PAGE)]
    emulator.fill(f"{mount.prefix}/{name}" for name in [*hidden, *NAMES[:10]])
    mounted = mount("attributes=list")
    assert os.listdir(mounted.path) == NAMES[:10]
