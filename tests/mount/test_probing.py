# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What desktops, shells and installers ask of any file system: cheap, and answered well."""

import os

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory, run, shell

PROBED = [".Trash", ".Trash-1000", ".Trash-1000/files", ".git", ".hg", ".svn", "autorun.inf"]
"""Names that nobody has made."""
MANY = 1500
"""More than a page of a listing."""


def probe(mounted: MountedBucket, *names: str) -> None:
    """Look for each name in each way that programs do."""
    for name in names:
        with pytest.raises(FileNotFoundError):
            os.stat(mounted.path / name)
        with pytest.raises(FileNotFoundError):
            os.open(mounted.path / name, os.O_RDONLY)
        assert not os.access(mounted.path / name, os.F_OK)


@pytest.mark.parametrize("attributes", ["full", "list"])
@pytest.mark.parametrize("objects", [3, MANY])
def test_probing_costs_nothing_twice(
    mount: MountFactory, emulator: Emulator, attributes: str, objects: int
) -> None:
    """A listing tells all names of a small directory; of a large one each is asked for once."""
    mounted = mount(f"attributes={attributes}")
    emulator.fill(f"{mount.prefix}/f{number:04}" for number in range(objects))
    emulator.mark()
    probe(mounted, *PROBED)
    assert sum(emulator.counts().values()) <= 2 + 2 * (objects == MANY) * len(PROBED)
    emulator.mark()
    for _ in range(3):
        probe(mounted, *PROBED)
    assert emulator.requests() == []


def test_a_listing_tells_what_is_absent(mounted: MountedBucket, emulator: Emulator) -> None:
    """After ls, names that were never asked for cost nothing either."""
    shell("mkdir d; touch d/f; ls -l . d", mounted.path)
    emulator.mark()
    probe(mounted, *PROBED, *(f"d/{name}" for name in PROBED))
    assert emulator.requests() == []


def test_git_looks_for_its_repository(mounted: MountedBucket, emulator: Emulator) -> None:
    """In the directory that it is in, and in all above: the second time, nobody is asked."""
    shell("mkdir -p a/b/c", mounted.path)
    script = "for d in a/b/c a/b a .; do test -e $d/.git && echo found $d; done; true"
    assert shell(script, mounted.path).stdout == ""
    emulator.mark()
    assert shell(script, mounted.path).stdout == ""
    assert emulator.requests() == []


def test_what_was_probed_is_seen_when_it_is_made(mounted: MountedBucket) -> None:
    """S9.1: The kernel remembers that a name was absent until this mount makes it."""
    probe(mounted, *PROBED)
    for name in (".git", ".Trash-1000"):
        (mounted.path / name).mkdir()
    (mounted.path / "autorun.inf").write_text("x")
    (mounted.path / ".Trash-1000/files").mkdir()
    assert set(os.listdir(mounted.path)) == {".git", ".Trash-1000", "autorun.inf"}
    assert (mounted.path / ".Trash-1000/files").is_dir()


@pytest.mark.parametrize(("option", "shown"), [("capacity=10G", 10), ("", 1 << 20)])
def test_df_shows_the_capacity_and_all_of_it_free(
    mount: MountFactory, emulator: Emulator, option: str, shown: int
) -> None:
    """df of the mount, of a file and of a directory in it: no request, whatever is stored."""
    mounted = mount(*filter(None, [option]))
    shell("mkdir d; echo content > d/f", mounted.path)
    emulator.mark()
    for place in (".", "d", "d/f"):
        command = ("df", "-B1G", "--output=size,used,avail,target", mounted.path / place)
        size, used, free, target = run(*command).stdout.splitlines()[1].split()
        assert (int(size), int(used), int(free)) == (shown, 0, shown)
        assert target == str(mounted.path)
    assert int(run("df", "--output=iavail", mounted.path).stdout.split()[-1]) > 1_000_000
    assert emulator.requests() == []


def test_there_is_room_for_what_installers_check(mount: MountFactory) -> None:
    """`stat -f`: a block size, blocks that are all free, and how long a name may be."""
    mounted = mount("capacity=10G")
    words = run("stat", "-f", "-c", "%s %b %a %l", mounted.path).stdout.split()
    block, blocks, free, longest = map(int, words)
    assert block * blocks == 10 << 30
    assert free == blocks
    assert longest == 255
