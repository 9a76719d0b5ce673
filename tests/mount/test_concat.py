# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""`kontenumfs concat` and `status`, over the control socket."""

import json
from pathlib import Path

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory, kontenumfs


@pytest.fixture
def mounted(mount: MountFactory, emulator: Emulator) -> MountedBucket:
    """A mount with 100 segments."""
    made = mount()
    (made.path / "live").mkdir()
    for number in range(100):
        (made.path / f"live/{number:03}.ts").write_bytes(b"%03d" % number)
    emulator.mark()
    return made


def test_a_hundred_segments(mounted: MountedBucket, emulator: Emulator) -> None:
    """S4.1: Live segments become one file, and nothing is sent or read."""
    segments = sorted((mounted.path / "live").iterdir())
    done = kontenumfs("concat", mounted.path / "vod.ts", *segments)
    assert done.stdout == f"{mounted.path / 'vod.ts'}: 300 bytes\n"
    expected = b"".join(b"%03d" % number for number in range(100))
    assert mounted.fetch("vod.ts") == expected
    assert (mounted.path / "vod.ts").stat().st_size == 300
    assert emulator.head(mounted.key("vod.ts"))["content-type"] == "video/mp2t"
    assert sum(r["request_bytes"] for r in emulator.requests()) < 16 * 1024
    kontenumfs("concat", "--append", mounted.path / "vod.ts", segments[7], mounted.path / "vod.ts")
    assert mounted.fetch("vod.ts") == expected + b"007" + expected
    kontenumfs("concat", mounted.path / "vod.ts", segments[1], segments[1])
    assert mounted.fetch("vod.ts") == b"001001"


def test_what_cannot_be_joined(mounted: MountedBucket, mount: MountFactory, tmp_path: Path) -> None:
    """A missing source, a directory, another mount, no mount: one line, and nothing changes."""
    (mounted.path / "vod").write_bytes(b"old")
    other = mount(prefix="other")
    for source, complaint in (
        (mounted.path / "missing", "missing: no such file"),
        (mounted.path / "live", "is a directory"),
        (mounted.path / "vod/x", "vod in vod/x is not a directory"),
        (mounted.path / "\udcff", r"b'\xff' is not UTF-8, and S3 keys are"),
        (other.path / "x", "is not in the same mount"),
        (tmp_path / "x", "no kontenumfs is mounted here"),
    ):
        done = kontenumfs("concat", mounted.path / "vod", source, check=False)
        assert done.returncode != 0
        assert complaint in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert mounted.fetch("vod") == b"old"
        kontenumfs("concat", mounted.path / "new", source, check=False)
        assert not mounted.exists("new")


def test_status(mounted: MountedBucket) -> None:
    """What waits to be stored, as JSON."""
    with open(mounted.path / "f", "wb", buffering=0) as file:
        file.write(b"four")
        told = json.loads(kontenumfs("status", "--json", mounted.path).stdout)
        assert told["pending_bytes"] in (0, 4)  # 0 once append_interval has passed
        assert told["open_files"] == 1
    told = json.loads(kontenumfs("status", "--json", mounted.path).stdout)
    assert told["pending_bytes"] == told["open_files"] == 0
    assert told["renames"] == []
    assert told["entries"] < told["inodes"]
    assert abs(told["clock_skew_seconds"]) < 60
