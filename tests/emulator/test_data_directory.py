# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""--data of what is not an emulator's: refused, with every file as it was."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.emulator.test_command_line import FREE, KEYS, refusal
from tests.harness.emulator import Emulator, running_emulator


def playlist(directory: Path) -> None:
    """What a packager of HLS leaves, in a directory whose name an emulator uses too."""
    (directory / "segments").mkdir(parents=True)
    for name in ("main.m3u8", "segments/00001.ts", "segments/0123456789abcdef01234567"):
        (directory / name).write_text("video")


def empty_segments(directory: Path) -> None:
    """A directory alone."""
    (directory / "segments").mkdir(parents=True)


def marker_of_another(directory: Path) -> None:
    """A file that only has the marker's name."""
    playlist(directory)
    (directory / "kontenum-emulator").write_text("my notes\n")


def empty_marker(directory: Path) -> None:
    """The same without a byte."""
    playlist(directory)
    (directory / "kontenum-emulator").touch()


def link_as_marker(directory: Path) -> None:
    """A link to a file that an emulator might write."""
    playlist(directory)
    (directory.parent / "elsewhere").touch()
    (directory / "kontenum-emulator").symlink_to(directory.parent / "elsewhere")


def pipe_as_marker(directory: Path) -> None:
    """What has no bytes to be read."""
    playlist(directory)
    os.mkfifo(directory / "kontenum-emulator")


def newer(directory: Path) -> None:
    """A later version's."""
    playlist(directory)
    (directory / "kontenum-emulator").write_text("kontenumfs emulator, format 99\n")


def contents(directory: Path) -> dict[Path, tuple[int, int, bytes]]:
    """All that is below, with times and bytes."""
    found = {}
    for path in sorted(directory.rglob("*")):
        told = path.lstat()
        found[path] = (told.st_mode, told.st_mtime_ns, path.read_bytes() if path.is_file() else b"")
    return found


@pytest.mark.parametrize(
    "made",
    [
        playlist,
        empty_segments,
        marker_of_another,
        empty_marker,
        link_as_marker,
        pipe_as_marker,
        newer,
    ],
    ids=lambda made: made.__name__,
)
def test_a_directory_of_something_else_stays_as_it_is(
    tmp_path: Path, made: Callable[[Path], None]
) -> None:
    data = tmp_path / "data"
    made(data)
    before = contents(tmp_path)
    assert f"{data}" in refusal(f"--data={data}", *KEYS, FREE)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("names", [(), ("lost+found",)])
def test_an_empty_directory_is_taken(tmp_path: Path, names: tuple[str, ...]) -> None:
    """A file system that was just made is as good."""
    for name in ("data", *(f"data/{name}" for name in names)):
        (tmp_path / name).mkdir()
    for _ in range(2):
        with running_emulator(tmp_path):
            pass


def test_an_emulator_that_was_killed_at_its_first_step_starts_again(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "kontenum-emulator").touch()
    with running_emulator(tmp_path):
        pass


def test_foreign_files_among_the_segments_stay(own_emulator: Emulator) -> None:
    """Only what a killed emulator left goes."""
    segments = own_emulator.directory / "data" / "segments"
    own_emulator.stop()
    (segments / "00001.ts").write_text("video")
    (segments / "directory").mkdir()
    (segments / "0123456789abcdef01234567").write_text("half a body")
    own_emulator.start()
    assert sorted(path.name for path in segments.iterdir()) == ["00001.ts", "directory"]
