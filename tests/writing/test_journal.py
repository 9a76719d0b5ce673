# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The journal: what outlives a daemon, and that nothing which is in its file can harm."""

from pathlib import Path

import pytest

from kontenumfs.protocol.errors import AccessDenied
from kontenumfs.store.api import Attributes
from kontenumfs.writing import journal as module
from kontenumfs.writing.journal import Journal
from kontenumfs.writing.upload import Upload
from tests.doubles.fake import FakeStore
from tests.doubles.faulty import Fault, FaultyStore


class Killed(BaseException):
    """The process ends here."""


def opened(path: Path) -> Journal:
    """The journal of a daemon that starts."""
    made = Journal(path)
    made.open()
    return made


def cut_short(path: Path, *, shared: bool = False) -> None:
    """A daemon dies while five bytes are appended to an object of three."""
    journal = opened(path)
    with pytest.raises(Killed), journal.appending("key", 3, [b"12", b"345"], shared=shared):
        raise Killed
    journal.close()


@pytest.mark.parametrize(
    ("size", "shared", "told"),
    [
        (3, False, "it was not stored"),
        (8, False, "it was stored"),
        (9, False, "compare that range's CRC32"),
        (5, False, "someone else changed it"),
        (3, True, "it was not stored"),
        (8, True, "look for it by its CRC32"),
        (None, False, "the object is gone"),
    ],
)
async def test_what_became_of_an_append(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, size: int | None, shared: bool, told: str
) -> None:
    """S11.2."""
    cut_short(tmp_path / "journal", shared=shared)
    store = FakeStore()
    if size is not None:
        await store.put("key", [bytes(size)], Attributes())
    await opened(tmp_path / "journal").settle(store)
    (line,) = caplog.messages
    assert "key='key' offset=3 bytes=5 crc32=cbf53a1c" in line
    assert told in line
    await opened(tmp_path / "journal").settle(store)
    assert len(caplog.messages) == 1


async def test_what_ended_is_not_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither what was stored, nor what the writer was told of."""
    journal = opened(tmp_path / "journal")
    with journal.appending("key", 0, [b"stored"], shared=False):
        pass
    with (
        pytest.raises(AccessDenied),
        journal.appending("key", 6, [b"refused"], shared=False),
    ):
        raise AccessDenied("told")
    journal.close()
    await opened(tmp_path / "journal").settle(FakeStore())
    assert not caplog.messages


async def test_what_cannot_be_asked_now_is_asked_at_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cut_short(tmp_path / "journal")
    store = FaultyStore(FakeStore(), Fault("head", AccessDenied("now")))
    await opened(tmp_path / "journal").settle(store)
    assert "left for the next start" in caplog.messages[0]
    await opened(tmp_path / "journal").settle(store)
    assert "the object is gone" in caplog.messages[1]


async def test_uploads_are_aborted(tmp_path: Path) -> None:
    """But not those of a daemon that lives, nor what was completed."""
    store, path = FakeStore(), tmp_path / "journal"
    old = opened(path)
    done = await Upload.begin(store, old, "done", Attributes())
    await done.send(done.next_number(), [b"content"])
    await done.complete()
    await Upload.begin(store, old, "left", Attributes())
    old.close()
    journal = opened(path)
    await Upload.begin(store, journal, "alive", Attributes())
    await journal.settle(store)
    assert [upload.key for upload in store.uploads.values()] == ["alive"]
    assert store.data("done") == b"content"


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\xff\n[]\n7\nnull\n{}\n" + b'{"begin": 1, "verb": "append"}\n',
        b'{"begin": 1, "time": 0, "verb": "other", "key": "k"}\n{"end": [1]}\n',
        b'{"begin": 1, "time": 0, "verb": "upload", "key": "k", "uplo',
        b'{"begin": "1", "time": "x", "verb": "upload", "key": 5, "upload_id": null}\n',
        b'{"begin": 1, "time": 1e99, "verb": "append", "key": "k", "offset": "x", "length": 1,'
        b' "crc32": 5, "shared": 0}\n',
    ],
)
async def test_what_nobody_wrote_is_passed_over(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A line that was cut short, or a file of something else."""
    (tmp_path / "journal").write_bytes(content)
    journal = opened(tmp_path / "journal")
    await journal.settle(FakeStore())
    with journal.appending("key", 0, [b"works"], shared=False):
        assert b'"crc32": "' in (tmp_path / "journal").read_bytes()
    assert not caplog.messages


async def test_the_file_stays_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written anew now and then; what is under way stays in it."""
    monkeypatch.setattr(module, "LONGEST", 1000)
    path = tmp_path / "journal"
    journal = opened(path)
    with journal.appending("long", 0, [b"body"], shared=False):
        for number in range(100):
            with journal.appending(f"key{number}", 0, [b"body"], shared=False):
                pass
            assert path.stat().st_size < 1400
        assert b'"long"' in path.read_bytes()


async def test_a_place_that_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The mount works without, and says so once."""
    (tmp_path / "file").touch()
    journal = opened(tmp_path / "file" / "journal")
    with journal.appending("key", 0, [b"body"], shared=False):
        pass
    await journal.settle(FakeStore())
    (line,) = caplog.messages
    assert line.startswith("no journal of what is under way: ")
