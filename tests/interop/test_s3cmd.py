# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""s3cmd against the emulator, with SigV2 (`signature_v2 = True`) and with SigV4."""

import shutil
from pathlib import Path

import pytest

from tests.harness.emulator import Emulator
from tests.interop.clients import Client, s3cmd
from tests.interop.keys import ODD_KEYS

pytestmark = pytest.mark.skipif(shutil.which("s3cmd") is None, reason="s3cmd is not installed")


@pytest.fixture(params=[True, False], ids=["v2", "v4"])
def cli(request: pytest.FixtureRequest, emulator: Emulator, tmp_path: Path) -> Client:
    """`s3cmd -c ...`."""
    return s3cmd(emulator.s3_url, tmp_path / "home", signature_v2=request.param)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A small file."""
    path = tmp_path / "file.html"
    path.write_bytes(b"<p>content</p>")
    return path


def listed(cli: Client, address: str) -> list[str]:
    """The addresses that `ls -r` shows."""
    lines = cli("ls", "-r", address).splitlines()
    return [line[line.index("s3://") :] for line in lines]


@pytest.fixture
def own_bucket(request: pytest.FixtureRequest) -> str:
    """The address of a bucket that no other test makes."""
    return f"s3://s3cmd-{request.node.callspec.id}"


def test_a_bucket_from_make_to_remove(cli: Client, file: Path, own_bucket: str) -> None:
    """mb, ls, put, info, cp, mv, del, rb."""
    cli("mb", own_bucket)
    assert own_bucket in cli("ls")
    cli("put", "--mime-type=text/html", file, f"{own_bucket}/dir/a.html")
    info = cli("info", f"{own_bucket}/dir/a.html")
    assert "File size: 14" in info
    assert "text/html" in info
    cli("cp", f"{own_bucket}/dir/a.html", f"{own_bucket}/copy.html")
    cli("mv", f"{own_bucket}/copy.html", f"{own_bucket}/moved.html")
    assert listed(cli, own_bucket) == [
        f"{own_bucket}/dir/a.html",
        f"{own_bucket}/moved.html",
    ]
    cli("del", f"{own_bucket}/moved.html")
    assert "BucketNotEmpty" in cli.run("rb", own_bucket, check=False).stderr
    cli("del", "--recursive", "--force", own_bucket)
    cli("rb", own_bucket)
    assert own_bucket not in cli("ls")


def test_odd_keys(cli: Client, emulator: Emulator, file: Path) -> None:
    """Every odd key goes in, is listed, and is deleted again."""
    keys = [f"s3cmd-odd/{key}" for key in ODD_KEYS if not key.endswith(("/", " "))]
    for key in keys:
        cli("put", file, f"s3://bucket/{key}")
        assert emulator.fetch(key) == file.read_bytes()
    assert sorted(listed(cli, "s3://bucket/s3cmd-odd/")) == sorted(f"s3://bucket/{k}" for k in keys)
    cli("del", "--recursive", "--force", "s3://bucket/s3cmd-odd/")
    assert listed(cli, "s3://bucket/s3cmd-odd/") == []


def test_sync(cli: Client, emulator: Emulator, tmp_path: Path) -> None:
    """sync a tree, change one file, sync again with --delete-removed."""
    source = tmp_path / "tree"
    for name in ("a", "d/b", "d/e/c"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    cli("sync", f"{source}/", "s3://bucket/s3cmd-sync/")
    (source / "a").write_text("changed")
    (source / "d/b").unlink()
    emulator.mark()
    cli("sync", "--delete-removed", f"{source}/", "s3://bucket/s3cmd-sync/")
    assert emulator.counts()["PutObject"] == 1
    assert emulator.fetch("s3cmd-sync/a") == b"changed"
    assert not emulator.exists("s3cmd-sync/d/b")
    cli("del", "--recursive", "--force", "s3://bucket/s3cmd-sync/")


def test_multipart(cli: Client, emulator: Emulator, tmp_path: Path) -> None:
    """A large file in parts of 5 MB."""
    data = b"0123456789abcdef" * (12 << 16)
    (tmp_path / "big").write_bytes(data)
    cli("put", "--multipart-chunk-size-mb=5", tmp_path / "big", "s3://bucket/s3cmd-big")
    assert emulator.counts()["UploadPart"] == 3
    assert emulator.fetch("s3cmd-big") == data
    assert "s3cmd-big" not in cli("multipart", "s3://bucket")


def test_changed_headers(cli: Client, emulator: Emulator, file: Path) -> None:
    """modify: headers and type are replaced by a copy onto itself."""
    cli("put", file, "s3://bucket/s3cmd-headers")
    cli("modify", "--add-header=Cache-Control: max-age=60", "s3://bucket/s3cmd-headers")
    body, headers = emulator.fetch_with_headers("s3cmd-headers")
    assert body == file.read_bytes()
    assert headers["cache-control"] == "max-age=60"


def test_reading_is_refused(cli: Client, file: Path, tmp_path: Path) -> None:
    """get: AccessDenied, by design."""
    cli("put", file, "s3://bucket/s3cmd-read")
    done = cli.run("get", "s3://bucket/s3cmd-read", tmp_path / "out", check=False)
    assert done.returncode != 0
    assert "403" in done.stderr or "AccessDenied" in done.stderr
