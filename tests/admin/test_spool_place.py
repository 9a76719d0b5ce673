# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Where spools are, and what the file system there is worth."""

import json
from pathlib import Path

import pytest

from kontenumfs.admin import spool_place
from kontenumfs.admin.mounts import Mounted
from kontenumfs.admin.spool_place import SpoolPlace, default_size, doubt_of, spool_base
from kontenumfs.config.source import Source

SOURCE = Source.of("bucket", "p")
MOUNTS = [
    Mounted(1, 1, Path("/"), "ext4", "x"),
    Mounted(2, 2, Path("/fast"), "tmpfs", "x"),
    Mounted(3, 3, Path("/fast/disk"), "xfs", "x"),
    Mounted(4, 4, Path("/box"), "overlay", "x"),
    Mounted(5, 5, Path("/new"), "novelfs", "x"),
]


def place(base: Path, mountpoint: str = "/mnt", endpoint: str = "http://e") -> SpoolPlace:
    """The place of a mount's spool."""
    return SpoolPlace.of(str(base), endpoint, SOURCE, Path(mountpoint), {})


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/var/spool", ""),
        ("/fast/disk/spool", ""),
        ("/fast/spool", "memory: a reboot or a power cut loses it"),
        ("/fast/disks", "memory"),
        ("/box", "goes when the container goes"),
        ("/new/spool", "not known to keep"),
    ],
)
def test_what_a_file_system_is_worth(path: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said of a local disk; of all else, what it may lose."""
    monkeypatch.setattr(spool_place, "mount_table", lambda: MOUNTS)
    assert said in doubt_of(Path(path))
    assert bool(doubt_of(Path(path))) == bool(said)


def test_a_spool_is_found_again_by_bucket_prefix_and_mountpoint(tmp_path: Path) -> None:
    """Another mountpoint has another spool; another endpoint finds this one, and is refused."""
    assert place(tmp_path).directory == place(tmp_path).directory
    assert place(tmp_path, "/other").directory != place(tmp_path).directory
    assert place(tmp_path, endpoint="http://f").directory == place(tmp_path).directory


def test_the_usual_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """What systemd says, /var/lib for root, and XDG's directory for others."""
    given = {"STATE_DIRECTORY": "/var/lib/kontenumfs:/other", "HOME": "/home/u"}
    assert spool_base(None, given) == Path("/var/lib/kontenumfs/spool")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert spool_base(None, {"HOME": "/home/u"}) == Path("/home/u/.local/state/kontenumfs/spool")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert spool_base(None, {"HOME": "/root"}) == Path("/var/lib/kontenumfs/spool")


def test_what_other_mounts_of_the_bucket_have_left(tmp_path: Path) -> None:
    """So that a mount can say where to mount to have it stored."""
    for mountpoint, endpoint in (("/old", "http://e"), ("/mnt", "http://e"), ("/x", "http://f")):
        left = place(tmp_path, mountpoint, endpoint)
        left.directory.mkdir()
        (left.directory / "identity").write_text(json.dumps({"format": 1, **left.whose}))
    assert [other["mountpoint"] for other in place(tmp_path).others()] == ["/old"]
    assert place(tmp_path).is_left


def test_the_usual_size_is_a_part_of_the_file_system(tmp_path: Path) -> None:
    """A tenth, and no more than 10 GiB."""
    assert 0 < default_size(tmp_path) <= 10 << 30
