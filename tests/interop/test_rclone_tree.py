# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the tree costs and shows on ``rclone serve s3``, by that server's own record of requests.

It takes LastModified to milliseconds in a listing, and to seconds in the answer to HEAD; it has no
markers of directories; and it remembers what is in its own directories, so others change them here
as a client of S3 does.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.emulator import BUCKET
from tests.harness.mounts import MountedBucket, MountFactory, kontenumfs, run, shell, wait_until
from tests.harness.objects import s3_client
from tests.interop.keys import ODD_KEYS
from tests.interop.rclone_server import HEAD, LIST, RcloneServer, running_rclone

DIRECTORIES, EACH = 20, 100
MANY = 2500
BESIDE = ["a/1", "a/b/2", "a-1/3", "a.d/4", "a.txt", "a0/5", "a/b-/6", "a/b.c/7", "aa/8", "b/9"]
"""Sorted in one way as keys, and in another as names of directories."""
ODD = [key for key in ODD_KEYS if not key.endswith("/")] + ["back\\slash", "é" * 120, ".hidden"]
THERE = [f"d{n % 4}/f{n:03}" for n in range(200)]
AFTER = {"changed": 19, "made": 4, "same": 4}
YEAR_2001 = 1_000_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneServer]:
    """A server with trees that no mount has made."""
    with running_rclone(tmp_path_factory.mktemp("rclone")) as running:
        for number in range(DIRECTORIES):
            make(running.root / "walk", *(f"d{number:02}/f{n:03}" for n in range(EACH)))
        make(running.root / "many", *(f"f{n:04}" for n in range(MANY)))
        make(running.root / "beside", *BESIDE, *(f"z{n:02}/{n}" for n in range(30)))
        make(running.root / "odd", *ODD)
        make(running.root / "rsync", *THERE)
        yield running


def make(root: Path, *names: str) -> None:
    """Files that hold their own names, as another client would have stored them long ago."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, (YEAR_2001, YEAR_2001))


def found(directory: Path) -> dict[str, tuple[int, float]]:
    """What find tells: each file's size and time, by path."""
    command = ["find", ".", "-type", "f", "-printf", r"%P\0%s\0%T@\0"]
    words = subprocess.run(command, cwd=directory, check=True, capture_output=True).stdout.split(
        b"\0"
    )
    names, sizes, times = words[:-1:3], words[1::3], words[2::3]
    return {
        os.fsdecode(name): (int(size), float(time))
        for name, size, time in zip(names, sizes, times, strict=True)
    }


def test_a_walk_is_a_listing_a_thousand_names(mount: MountFactory, server: RcloneServer) -> None:
    """find and ls -lR, cold: hardly more than the pages that there are; the second time nothing."""
    mounted = mount("attributes=list", prefix="walk", server=server)
    for command in ("find .", "ls -lR"):
        mounted.unmount()
        mounted.mount()
        server.mark()
        first = shell(command, mounted.path).stdout
        names = DIRECTORIES * EACH
        assert first.count("f0") + first.count("f1") == names
        counts = server.counts()
        assert counts[LIST] <= names // 1000 + 4
        assert counts[HEAD] == 0
        server.mark()
        assert shell(command, mounted.path).stdout == first
        assert sum(server.counts().values()) == 0


@pytest.mark.parametrize("attributes", ["list", "full"])
@pytest.mark.parametrize(
    ("prefix", "names"),
    [("beside", BESIDE + [f"z{n:02}/{n}" for n in range(30)]), ("odd", ODD)],
)
def test_every_name_is_right(
    mount: MountFactory, server: RcloneServer, prefix: str, names: list[str], attributes: str
) -> None:
    """By walking, twice, and one by one, whatever the order that the server lists them in."""
    mounted = mount(f"attributes={attributes}", prefix=prefix, server=server)
    wanted = {name: (len(name.encode()), float(YEAR_2001)) for name in names}
    assert found(mounted.path) == wanted
    assert found(mounted.path) == wanted
    mounted.unmount()
    mounted.mount()
    for name in reversed(names):
        assert (mounted.path / name).stat().st_size == len(name.encode())
        assert not (mounted.path / f"{name}-absent").exists()


def test_rsync_of_what_is_there_already(
    mount: MountFactory, server: RcloneServer, tmp_path: Path
) -> None:
    """After a remount: listings only, for what earlier mounts were told; and nothing is sent."""
    make(tmp_path / "source", *THERE)
    mounted = mount(prefix="rsync", server=server)
    command = ("rsync", "-rti", "--omit-dir-times", f"{tmp_path}/source/", mounted.path)
    for heads in (len(THERE) + 5, 1):  # with four directories, and always the root
        mounted.unmount()
        mounted.mount()
        server.mark()
        assert run(*command).stdout == ""
        counts = server.counts()
        assert counts[HEAD] <= heads
        assert sum(counts.values()) - counts[HEAD] == counts[LIST] <= 8


def test_rsync_of_what_rsync_sent(
    mount: MountFactory, server: RcloneServer, tmp_path: Path
) -> None:
    """Nothing is sent again. This server tells the stored mtime for LastModified in a listing, and
    another time to HEAD: no listing proves anything, and each file is asked for by each mount."""
    names = [f"d{n % 4}/new{n:02}" for n in range(40)]
    make(tmp_path / "source", *names)
    mounted = mount(prefix="rsync", server=server)
    command = ("rsync", "-ai", "--omit-dir-times", "--no-perms", f"{tmp_path}/source/")
    assert run(*command, mounted.path).stdout.count(">f") == len(names)
    mounted.unmount()
    mounted.mount()
    server.mark()
    assert run(*command, mounted.path).stdout == ""
    counts = server.counts()
    assert sum(counts.values()) == counts[LIST] + counts[HEAD]
    assert counts[HEAD] <= len(names) + len(THERE) + 4
    assert server.fetch(f"rsync/{names[7]}") == names[7].encode()


def test_a_directory_of_several_pages(mount: MountFactory, server: RcloneServer) -> None:
    """Every name once, with one LIST a page."""
    mounted = mount("attributes=list", prefix="many", server=server)
    server.mark()
    lines = shell("ls -l", mounted.path).stdout.splitlines()[1:]
    assert [line.split()[-1] for line in lines] == [f"f{n:04}" for n in range(MANY)]
    assert server.counts() == {LIST: 3}


def test_many_ls_at_once_are_one_listing(mount: MountFactory, server: RcloneServer) -> None:
    """Of a directory that nobody has listed before."""
    mounted = mount("attributes=list", prefix="many", server=server)
    server.mark()
    script = "for i in $(seq 32); do ls | wc -l & done; wait"
    assert shell(script, mounted.path).stdout.split() == [str(MANY)] * 32
    assert server.counts() == {LIST: 3}


def look(mounted: MountedBucket) -> dict[str, int]:
    """The files of a mount and their sizes, by ls and by stat, which must agree."""
    names = shell("ls", mounted.path).stdout.split()
    return {name: (mounted.path / name).stat().st_size for name in names}


@pytest.mark.parametrize("attributes", ["list", "full"])
@pytest.mark.parametrize("how", ["ttl", "refresh"])
def test_what_others_change_is_seen(
    mount: MountFactory, server: RcloneServer, how: str, attributes: str
) -> None:
    """One file is changed, one deleted, one made: seen after the ttl, or at once on request."""
    prefix = f"changing-{how}-{attributes}"
    others = s3_client(server.s3_url)

    def put(name: str, text: str) -> None:
        others.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=text.encode())

    before = {name: len(name) for name in ("changed", "deleted", "same")}
    for name in before:
        put(name, name)
    ttl = "1" if how == "ttl" else "600"
    mounted = mount(f"attributes={attributes}", f"ttl={ttl}", prefix=prefix, server=server)
    assert look(mounted) == before
    put("changed", "changed, and longer")
    others.delete_object(Bucket=BUCKET, Key=f"{prefix}/deleted")
    put("made", "made")
    others.close()
    if how == "refresh":
        assert look(mounted) == before
        kontenumfs("refresh", mounted.path)
    wait_until(lambda: how == "refresh" or look(mounted) == AFTER)
    assert look(mounted) == AFTER
    with pytest.raises(FileNotFoundError):
        os.open(mounted.path / "deleted", os.O_RDONLY)
    os.close(os.open(mounted.path / "made", os.O_RDONLY))
