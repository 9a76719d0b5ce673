# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""rclone against the emulator, signing in the new way and in the old one."""

import subprocess
from pathlib import Path

import pytest

from tests.harness.emulator import Emulator
from tests.interop.clients import Client, rclone
from tests.interop.keys import ODD_KEYS


@pytest.fixture(params=["v4", "v2"])
def cli(request: pytest.FixtureRequest, emulator: Emulator, tmp_path: Path) -> Client:
    """`rclone --config ...` with the remote ``k:``."""
    settings = {"V2_AUTH": "true"} if request.param == "v2" else {}
    return rclone(emulator.s3_url, tmp_path / "home", **settings)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree with odd names."""
    root = tmp_path / "source"
    for name in ODD_KEYS:
        if not name.endswith("/"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(name.encode())
    return root


def files(root: Path) -> list[str]:
    """The files below a directory."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_bucket_from_make_to_purge(cli: Client, source: Path) -> None:
    """mkdir, copy, lsf, size, moveto, copyto, deletefile, purge."""
    cli("mkdir", "k:rclone-bucket")
    assert "rclone-bucket/" in cli("lsf", "k:").splitlines()
    cli("copy", source, "k:rclone-bucket/dir")
    found = cli("lsf", "-R", "--files-only", "k:rclone-bucket/dir").splitlines()
    assert sorted(found) == files(source)
    assert "Total objects: " in cli("size", "k:rclone-bucket")
    first = files(source)[0]
    cli("moveto", f"k:rclone-bucket/dir/{first}", "k:rclone-bucket/moved +%")
    cli("copyto", "k:rclone-bucket/moved +%", "k:rclone-bucket/copy")
    cli("deletefile", "k:rclone-bucket/moved +%")
    assert cli("lsf", "--files-only", "k:rclone-bucket") == "copy\n"
    cli("purge", "k:rclone-bucket")
    assert "rclone-bucket/" not in cli("lsf", "k:").splitlines()


def test_sync_and_check(cli: Client, emulator: Emulator, source: Path) -> None:
    """sync, check by ETag, sync again without a transfer, deletions."""
    cli("sync", source, "k:bucket/rclone-sync")
    for name in files(source):
        assert emulator.fetch(f"rclone-sync/{name}") == (source / name).read_bytes()
    cli("check", source, "k:bucket/rclone-sync")
    emulator.mark()
    cli("sync", source, "k:bucket/rclone-sync")
    assert not {"PutObject", "CopyObject"} & set(emulator.counts())
    (source / files(source)[0]).unlink()
    cli("sync", source, "k:bucket/rclone-sync")
    assert sorted(cli("lsf", "-R", "--files-only", "k:bucket/rclone-sync").splitlines()) == files(
        source
    )
    cli("delete", "k:bucket/rclone-sync")


def test_multipart_in_parallel(cli: Client, emulator: Emulator, tmp_path: Path) -> None:
    """A large file in parts, and a server-side copy of it by ranges."""
    data = b"0123456789abcdef" * (16 << 16)
    (tmp_path / "big").write_bytes(data)
    big = tmp_path.name  # else rclone finds that the same bytes are there already
    cutoff = [
        "--s3-use-multipart-uploads=true",
        "--s3-upload-cutoff=5Mi",
        "--s3-chunk-size=5Mi",
        "--s3-copy-cutoff=6Mi",
    ]
    cli(*cutoff, "copyto", tmp_path / "big", f"k:bucket/{big}")
    cli(*cutoff, "copyto", f"k:bucket/{big}", f"k:bucket/{big}-copy")
    counts = emulator.counts()
    assert counts["UploadPart"] == 4
    assert counts["UploadPartCopy"] == 3
    assert emulator.fetch(f"{big}-copy") == data
    assert "mtime" in str(cli("lsjson", "-M", f"k:bucket/{big}"))


def test_a_stream_of_unknown_length(cli: Client, emulator: Emulator, tmp_path: Path) -> None:
    """rcat: aws-chunked or parts, as rclone pleases."""
    done = subprocess.run(
        [*cli.command, "--streaming-upload-cutoff=1Ki", "rcat", "k:bucket/rclone-stream"],
        input=b"stream " * 1000,
        env=cli.environment,
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert emulator.fetch("rclone-stream") == b"stream " * 1000


def test_times_are_kept(cli: Client, tmp_path: Path) -> None:
    """touch: the time is metadata that a copy onto itself replaces."""
    (tmp_path / "file").write_text("content")
    cli("copyto", tmp_path / "file", "k:bucket/rclone-time")
    cli("touch", "-t", "2001-02-03T04:05:06", "k:bucket/rclone-time")
    assert "2001-02-03 04:05:06" in cli("lsf", "--format=t", "k:bucket/rclone-time")


def test_reading_is_refused(cli: Client, tmp_path: Path) -> None:
    """cat: AccessDenied, by design."""
    (tmp_path / "file").write_text("content")
    cli("copyto", tmp_path / "file", "k:bucket/rclone-read")
    done = cli.run("--low-level-retries=1", "cat", "k:bucket/rclone-read", check=False)
    assert done.returncode != 0
    assert "AccessDenied" in done.stderr
