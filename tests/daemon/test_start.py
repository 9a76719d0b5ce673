# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever is in the files that are read at a start, the start goes on."""

import fcntl
import json
import random
from pathlib import Path
from typing import Any

import pytest

from kontenumfs.admin import runtime
from kontenumfs.admin.mounts import Mounted
from kontenumfs.admin.runtime import Running, own_runtime_file, remembered_mountpoint
from kontenumfs.admin.safe_files import open_safely
from kontenumfs.tree.remembered import RememberedAttributes
from kontenumfs.writing.journal import Journal
from kontenumfs.writing.staging import Staging
from tests.doubles.fake import FakeStore

ODD: list[Any] = [
    *(0, -1, 1 << 31, 1 << 53, 1 << 63, 1 << 64, 10**400, 1.5, -1e308, float("nan"), float("inf")),
    *("", "x", "\ud800", "\0", "é" * 20000, "../..", True, False, None, [], {}, [[]], {"end": []}),
]
APPEND = {
    **{"begin": 1, "time": 1, "key": "key", "verb": "append"},
    **{"offset": 3, "length": 5, "crc32": "00000000", "shared": False},
}
UPLOAD = {"begin": 2, "time": 1, "key": "key", "verb": "upload", "upload_id": "id"}
LINES = [
    json.dumps({**entry, name: value}).encode()
    for entry in (APPEND, UPLOAD, {"end": 1})
    for name in entry
    for value in ODD
]
GARBAGE = [
    b"",
    b"\0" * 5000,
    b"\xff\xfe\xfd",
    b"[" * 20_000,
    b'{"a":' * 20_000,
    b"9" * 10_000,
    b'"end"',
    b"null",
    b"[]",
    *(random.Random(seed).randbytes(300) for seed in range(20)),
]


LOCKS = [*GARBAGE, b"-1\n", b"9" * 15, "²".encode()]


def journal_of(path: Path, content: bytes) -> Journal:
    """A journal that finds `content`."""
    path.write_bytes(content)
    path.chmod(0o600)
    return Journal(path, open_safely)


async def test_absurd_journal_lines_are_skipped(tmp_path: Path) -> None:
    """What is sound beside them is told, and the journal is written on."""
    good = json.dumps({**UPLOAD, "begin": 7, "upload_id": "good"}).encode()
    for number, content in enumerate([*LINES, *GARBAGE]):
        path = tmp_path / f"{number}"
        journal = journal_of(path, content + b"\n" + good + b"\n")
        journal.open()
        await journal.settle(FakeStore())
        journal.upload_ended(journal.upload_begins("key", "id"))
        journal.close()
        assert b'"end": 7' in path.read_bytes(), content[:200]


def test_an_absurd_identity_is_replaced(tmp_path: Path) -> None:
    """The mount takes another."""
    for number, content in enumerate([*LINES, *GARBAGE]):
        path = tmp_path / f"{number}"
        path.write_bytes(content)
        staging = Staging("", "name")
        assert staging.claim(path, open_safely)
        assert not staging.is_heir
        staging.close()


@pytest.mark.parametrize("content", GARBAGE, ids=range(len(GARBAGE)))
def test_an_absurd_cache_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    """It is set aside."""
    path = tmp_path / "bar.sqlite"
    path.write_bytes(content)
    RememberedAttributes(path, limit=10).close()


@pytest.mark.parametrize("content", LOCKS, ids=range(len(LOCKS)))
def test_an_absurd_lock_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """It names nobody, even while somebody holds it."""
    monkeypatch.setattr(runtime, "RUNTIME", tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    lock = own_runtime_file(tmp_path / "mnt", "lock")
    lock.parent.mkdir(exist_ok=True)
    lock.write_bytes(content)
    with open(lock) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert Running(tmp_path / "mnt").pid() is None
        fcntl.flock(held, fcntl.LOCK_UN)
    Running(tmp_path / "mnt").hold()


@pytest.mark.parametrize("content", GARBAGE, ids=range(len(GARBAGE)))
def test_an_absurd_mountpoint_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """Only an absolute path is one."""
    monkeypatch.setattr(runtime, "RUNTIME", tmp_path)
    (tmp_path / "name.mountpoint").write_bytes(content)
    assert remembered_mountpoint("name") is None


@pytest.mark.parametrize("line", GARBAGE, ids=range(len(GARBAGE)))
def test_an_absurd_line_of_a_mount_table_is_skipped(line: bytes) -> None:
    """Whoever wrote it."""
    assert Mounted.of(line) is None


def test_a_line_of_a_mount_table_is_unescaped() -> None:
    """Blanks, tabs, newlines and backslashes are octal there, in bytes."""
    line = rb"36 35 0:98 / /m\040\303\251\134\012 rw,noatime master:1 - fuse.kontenumfs a\040b rw"
    found = Mounted.of(line)
    assert found is not None
    assert found.path == Path("/m é\\\n")
    assert (found.fstype, found.source) == ("fuse.kontenumfs", "a b")
