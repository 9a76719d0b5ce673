# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Modes, owners and times between mounts and rclone, which keeps them with -M."""

import os
import stat
from pathlib import Path

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountFactory
from tests.harness.objects import ObjectStore
from tests.interop.clients import Client, rclone

MTIME_NS = 981_173_106_789_000_000


@pytest.fixture
def cli(emulator: Emulator, tmp_path: Path) -> Client:
    """`rclone --config ...` with the remote ``k:``."""
    return rclone(emulator.s3_url, tmp_path / "home")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o600, 0o755, 0o4755, 0o1666])
def test_what_rclone_copies_with_metadata_has_its_mode(
    cli: Client, mount: MountFactory, tmp_path: Path, mode: int
) -> None:
    """rclone copy -M writes the whole st_mode, in octal; owner and time as everybody does."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "f").write_text("content")
    (source / "f").chmod(mode)
    os.utime(source / "f", ns=(0, MTIME_NS))
    cli("copy", "-M", source, f"k:bucket/{mount.prefix}")
    mounted = mount("uid=99")
    status = (mounted.path / "f").stat()
    assert stat.S_IMODE(status.st_mode) == mode
    assert status.st_mtime_ns == MTIME_NS
    assert status.st_uid == os.getuid()


def test_rclone_reads_times_of_a_mount_but_not_its_modes(
    cli: Client, mount: MountFactory, store: ObjectStore, tmp_path: Path
) -> None:
    """A mount writes what s3fs reads; docs/protocol.md says so. The bytes cannot be copied back."""
    mounted = mount()
    path = mounted.path / "f"
    path.write_text("content")
    path.chmod(0o640)
    os.utime(path, ns=(0, MTIME_NS))
    mounted.unmount()
    assert store.head("f")["Metadata"]["mode"] == str(stat.S_IFREG | 0o640)
    listed = cli("lsf", "--format", "pt", f"k:bucket/{mount.prefix}")
    assert listed.startswith("f;2001-02-03 04:05:06")
    shown = cli("lsjson", "-M", f"k:bucket/{mount.prefix}")
    assert '"mode":"33184"' in shown
