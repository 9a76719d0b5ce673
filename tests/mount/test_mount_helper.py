# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""`mount.kontenumfs` as mount(8) calls it; tests/systemd has mount(8) itself."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kontenumfs.admin.mounts import is_mountpoint
from kontenumfs.protocol.exits import Exit
from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator
from tests.harness.mounts import kontenumfs, run

HELPER = Path(sys.executable).with_name("mount.kontenumfs")

pytestmark = pytest.mark.usefixtures("fuse")


class Place:
    """A directory to mount at, and options with which that works."""

    def __init__(self, directory: Path, emulator: Emulator) -> None:
        self.path = directory / "mnt"
        self.path.mkdir()
        keys = directory / "keys"
        keys.write_text(f"{ACCESS}:{SECRET}\n")
        keys.chmod(0o600)
        self.options = f"rw,endpoint={emulator.s3_url},credentials_file={keys},cache_dir=none"

    def call(self, *words: str, more: str = "") -> subprocess.CompletedProcess[str]:
        """Run the helper with nothing in its environment."""
        options = ("-o", self.options + (f",{more}" if more else ""))
        arguments = [f"{BUCKET}/helper", str(self.path), *options, *words]
        return run("env", "-i", HELPER, *arguments, check=False)


@pytest.fixture
def place(tmp_path: Path, emulator: Emulator) -> Iterator[Place]:
    """A place that is unmounted afterwards."""
    made = Place(tmp_path, emulator)
    yield made
    if is_mountpoint(made.path):
        kontenumfs("unmount", made.path)


def test_it_returns_when_the_mount_answers(place: Place, emulator: Emulator) -> None:
    """Quietly, without HOME and PATH, in whatever order the arguments come."""
    done = place.call("-n", "-t", "fuse.kontenumfs", "-w", more="_netdev,nofail,x-foo=bar,noatime")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (place.path / "file").write_text("content")
    assert emulator.fetch("helper/file") == b"content"


def test_read_only(place: Place) -> None:
    """-r is the option ro."""
    assert place.call("-rv").stdout.endswith(f"{BUCKET}/helper is mounted on {place.path}\n")
    with pytest.raises(OSError, match="Read-only"):
        (place.path / "file").write_text("content")


def test_fake(place: Place) -> None:
    """-f looks whether it could be mounted, and says so with -v."""
    assert "would be mounted" in place.call("-fv").stdout
    assert not is_mountpoint(place.path)


def test_sloppy(place: Place) -> None:
    """-s leaves out what is unknown, by name."""
    done = place.call("-s", more="foo=bar,noatime,baz")
    assert done.returncode == 0
    assert [line.split("'")[1] for line in done.stderr.splitlines()] == ["foo", "baz"]
    assert is_mountpoint(place.path)


@pytest.mark.parametrize(
    ("words", "more", "reason"),
    [
        ((), "foo=bar", "unknown mount option 'foo'"),
        ((), "ttl=soon", "'soon' is not a duration"),
        ((), "remount,ro", "cannot be remounted: unmount it and mount it again"),
        ((), "credentials_file=/nowhere", "/nowhere: No such file"),
        ((), "endpoint=http://127.0.0.1:1,deadline=1", "nothing answers at the endpoint"),
        (("-X",), "", "unknown argument -X in '-X'"),
        (("-vX",), "", "unknown argument -X in '-vX'"),
        (("-t",), "", "-t needs a value"),
        (("-t", "nfs"), "", "-t nfs: is no type of ours"),
        (("-N", "1"), "", "-N 1: mounts into other namespaces"),
        (("more",), "", "takes SOURCE and DIRECTORY"),
    ],
)
def test_refusals(place: Place, words: tuple[str, ...], more: str, reason: str) -> None:
    """32, one line with the reason, and nothing is mounted."""
    done = place.call(*words, more=more)
    assert done.returncode == Exit.NOT_MOUNTED
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("mount.kontenumfs: ")
    assert not is_mountpoint(place.path)


def test_no_second_layer(place: Place) -> None:
    """A mountpoint that is taken is refused."""
    assert place.call().returncode == 0
    again = place.call()
    assert again.returncode == Exit.NOT_MOUNTED
    assert "something is mounted here" in again.stderr


@pytest.mark.parametrize("command", [[str(HELPER)], [sys.executable, "-m", "kontenumfs", "mount"]])
def test_a_directory_that_has_been_deleted(
    place: Place, tmp_path: Path, command: list[str]
) -> None:
    """Where a shell still stands in it: one line, and no traceback."""
    (tmp_path / "gone").mkdir()
    words = f"{shlex.join(command)} {BUCKET} {place.path} -o {place.options.removeprefix('rw,')}"
    environment = os.environ | {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(Path.cwd())}
    script = f"cd {tmp_path}/gone && rmdir ../gone && exec {words}"
    done = run("sh", "-c", script, check=False, env=environment)
    assert done.returncode == (Exit.NOT_MOUNTED if command == [str(HELPER)] else 2)
    assert done.stderr.endswith("the current directory has been deleted: cd elsewhere\n")
    assert len(done.stderr.splitlines()) == 1
