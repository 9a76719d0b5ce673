# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The AWS command line against the emulator, as operators use it."""

import json
import os
from pathlib import Path

import pytest

from tests.harness.emulator import Emulator
from tests.interop.clients import Client, aws
from tests.interop.keys import ODD_KEYS


@pytest.fixture
def cli(emulator: Emulator, tmp_path: Path) -> Client:
    """`aws --endpoint-url ...`."""
    return aws(emulator.s3_url, tmp_path / "home")


def test_a_bucket_from_make_to_remove(cli: Client, tmp_path: Path) -> None:
    """mb, ls, cp, mv, rm, rb --force."""
    cli("s3", "mb", "s3://awscli-bucket")
    assert "awscli-bucket" in cli("s3", "ls")
    (tmp_path / "file").write_bytes(b"content")
    cli("s3", "cp", tmp_path / "file", "s3://awscli-bucket/dir/a b+c%.txt")
    cli("s3", "cp", "s3://awscli-bucket/dir/a b+c%.txt", "s3://awscli-bucket/dir/copy")
    cli("s3", "mv", "s3://awscli-bucket/dir/copy", "s3://awscli-bucket/dir/moved")
    listed = cli("s3", "ls", "--recursive", "s3://awscli-bucket/")
    assert [line.split(maxsplit=3)[3] for line in listed.splitlines()] == [
        "dir/a b+c%.txt",
        "dir/moved",
    ]
    assert "PRE dir/" in cli("s3", "ls", "s3://awscli-bucket/")
    cli("s3", "rm", "s3://awscli-bucket/dir/moved")
    cli("s3", "rb", "--force", "s3://awscli-bucket")
    assert "awscli-bucket" not in cli("s3", "ls")


def test_sync_sends_what_is_new(cli: Client, emulator: Emulator, tmp_path: Path) -> None:
    """sync a tree with odd names; again: nothing; --delete removes."""
    source = tmp_path / "source"
    names = [key for key in ODD_KEYS if not key.endswith("/")]
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(name.encode())
        os.utime(source / name, (1_000_000_000, 1_000_000_000))
    cli("s3", "sync", source, "s3://bucket/awscli-sync")
    for name in names:
        assert emulator.fetch(f"awscli-sync/{name}") == name.encode()
    assert cli("s3", "sync", source, "s3://bucket/awscli-sync") == ""
    (source / names[0]).unlink()
    said = cli("s3", "sync", "--delete", source, "s3://bucket/awscli-sync")
    assert said.startswith("delete:")
    assert not emulator.exists(f"awscli-sync/{names[0]}")


def test_a_large_file_goes_in_parts(cli: Client, emulator: Emulator, tmp_path: Path) -> None:
    """cp chooses multipart by itself, and copies by ranges in the store."""
    data = b"0123456789abcdef" * (20 << 16)
    (tmp_path / "big").write_bytes(data)
    cli("s3", "cp", "--content-type", "video/mp4", tmp_path / "big", "s3://bucket/awscli-big")
    cli("s3", "cp", "s3://bucket/awscli-big", "s3://bucket/awscli-big-copy")
    counts = emulator.counts()
    assert counts["UploadPart"] == counts["UploadPartCopy"] == 3
    body, headers = emulator.fetch_with_headers("awscli-big")
    assert body == data
    assert headers["content-type"] == "video/mp4"
    assert emulator.fetch("awscli-big-copy") == data


def test_the_api_commands(cli: Client, tmp_path: Path) -> None:
    """s3api: put, head, list, copy, delete, with their answers as JSON."""
    (tmp_path / "body").write_bytes(b"content")
    key = ["--bucket", "bucket", "--key", "awscli-api/ü+ %"]
    cli("s3api", "put-object", *key, "--body", tmp_path / "body", "--metadata", "a=b")
    head = json.loads(cli("s3api", "head-object", *key))
    assert head["ContentLength"] == 7
    assert head["Metadata"] == {"a": "b"}
    prefix = ["--bucket", "bucket", "--prefix", "awscli-api/"]
    listed = json.loads(cli("s3api", "list-objects-v2", *prefix))
    assert [item["Key"] for item in listed["Contents"]] == ["awscli-api/ü+ %"]
    cli("s3api", "delete-object", *key)
    assert cli.run("s3api", "head-object", *key, check=False).returncode != 0


def test_reading_is_refused(cli: Client, tmp_path: Path) -> None:
    """cp out of the bucket: AccessDenied, and no file is left."""
    (tmp_path / "file").write_bytes(b"content")
    cli("s3", "cp", tmp_path / "file", "s3://bucket/awscli-read")
    done = cli.run("s3", "cp", "s3://bucket/awscli-read", tmp_path / "out", check=False)
    assert "AccessDenied" in done.stderr
    assert not (tmp_path / "out").exists()
