# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The mount on ``rclone serve s3``, a plain S3 store that nobody here wrote.

It takes an append for a PutObject, as most servers do: the object would be replaced by its tail.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.mounts import MountedBucket, MountFactory, run, shell
from tests.interop.rclone_server import RcloneServer, running_rclone
from tests.mount.test_writing import MIB, noise


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneServer]:
    """One server with one bucket."""
    with running_rclone(tmp_path_factory.mktemp("rclone")) as running:
        yield running


@pytest.fixture
def plain(mount: MountFactory, server: RcloneServer) -> MountedBucket:
    """A mount of it."""
    return mount("deadline=5", server=server)


def test_copying_and_listing(plain: MountedBucket, tmp_path: Path) -> None:
    """cp, ls, a new mount, mv, rm: as on Kontenum."""
    (plain.path / "d").mkdir()
    (plain.path / "d/keep").write_text("kept")
    for number in range(30):
        (tmp_path / f"file +{number}.txt").write_bytes(noise(1000 + number))
    shell(f"cp {tmp_path}/file* {plain.path}/d", tmp_path)
    plain.unmount()
    plain.mount()
    for path in tmp_path.glob("file*"):
        assert plain.fetch(f"d/{path.name}") == path.read_bytes()
        assert (plain.path / "d" / path.name).stat().st_size == path.stat().st_size
    shell("mv 'd/file +0.txt' renamed && rm d/file*", plain.path)
    assert plain.fetch("renamed") == noise(1000)
    assert sorted(os.listdir(plain.path)) == ["d", "renamed"]
    assert os.listdir(plain.path / "d") == ["keep"]


def test_making_directories(plain: MountedBucket, tmp_path: Path) -> None:
    """mkdir and cp -r; this server strips the slash of a marker and makes a file of it."""
    source = tmp_path / "source"
    for name in ("a/1", "a/b/2", "c/3"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    run("cp", "-r", source, plain.path)
    for name in ("a/1", "a/b/2", "c/3"):
        assert plain.fetch(f"source/{name}") == name.encode()
    shell("rm -r source/a && ls -lR", plain.path)
    assert os.listdir(plain.path / "source") == ["c"]


def test_rsync(plain: MountedBucket, tmp_path: Path) -> None:
    """rsync -a, and again: nothing is sent."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(10):
        (source / str(number)).write_bytes(noise(5000 + number))
    run("rsync", "-a", "--omit-dir-times", f"{source}/", plain.path)
    plain.unmount()
    plain.mount()
    assert run("rsync", "-ai", "--omit-dir-times", f"{source}/", plain.path).stdout == ""
    assert plain.fetch("3") == noise(5003)


@pytest.mark.parametrize("existing", [False, True])
def test_large_files(plain: MountedBucket, existing: bool) -> None:
    """S3.6: A long write, new or over an old object: multipart, and the bytes are right."""
    if existing:
        (plain.path / "big").write_bytes(b"old")
    (plain.path / "big").write_bytes(noise(30 * MIB + 3))
    assert plain.fetch("big") == noise(30 * MIB + 3)


@pytest.mark.parametrize("size", [10, 20 * MIB])
def test_an_append_is_refused_and_harms_nothing(plain: MountedBucket, size: int) -> None:
    """`>>` to a stored object: an error that says so, and the object is as it was."""
    (plain.path / "log").write_bytes(noise(size))
    plain.unmount()
    plain.mount()
    command = "echo more | dd of=log oflag=append conv=notrunc"
    done = shell(command, plain.path, check=False)
    assert done.returncode != 0
    assert "not supported" in done.stderr
    assert plain.fetch("log") == noise(size)
    assert (plain.path / "log").stat().st_size == size


def test_a_shell_is_told_too(plain: MountedBucket) -> None:
    """S6.9: bash does not look at what close() says, so `>>` must be refused before that."""
    (plain.path / "log").write_bytes(b"content")
    plain.unmount()
    plain.mount()
    done = shell("echo more >> log", plain.path, check=False)
    assert done.returncode != 0
    assert plain.fetch("log") == b"content"


def test_metadata(plain: MountedBucket) -> None:
    """chmod and touch are kept, by a copy of the object onto itself."""
    shell("echo x > f; chmod 640 f; touch -d @1000000000 f", plain.path)
    plain.unmount()
    plain.mount()
    status = (plain.path / "f").stat()
    assert status.st_mode & 0o777 == 0o640
    assert status.st_mtime == 1_000_000_000
    assert plain.fetch("f") == b"x\n"


def test_reading_is_refused_here_too(plain: MountedBucket) -> None:
    """The store would let us read; the mount never does."""
    (plain.path / "f").write_bytes(b"content")
    done = shell("cat f", plain.path, check=False)
    assert "Permission denied" in done.stderr


def test_no_scratch_objects_are_left(plain: MountedBucket) -> None:
    """S7.1: What the probe for append made is gone."""
    (plain.path / "f").write_bytes(b"content")
    shell("echo more >> f", plain.path, check=False)
    plain.unmount()
    assert not plain.exists(".kontenumfs") or not os.listdir(plain.path)
