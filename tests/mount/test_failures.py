# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""When the store or the daemon fails: nothing is lost in silence, and nothing is doubled."""

import errno
import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.harness.emulator import ACCESS, SECRET, Emulator, running_emulator
from tests.harness.mounts import MountedBucket, MountFactory, run, shell
from tests.harness.objects import ObjectStore
from tests.mount.test_writing import MIB, noise

FAILED = re.compile("error|timed out")
DEAD = re.compile("connect|abort")
# The answers that a request may be repeated after, whatever it is.
PASSING = [
    {"status": 503, "code": "SlowDown"},
    {"status": 429, "code": "TooManyRequests"},
    {"status": 500, "code": "InternalError"},
    {"reset": "before"},
    {"reset": "after"},
    {"reset": "answer-truncated"},
]


@pytest.mark.parametrize("trouble", PASSING, ids=str)
def test_a_passing_failure_is_not_noticed(
    mounted: MountedBucket, emulator: Emulator, trouble: dict[str, object]
) -> None:
    """S12.2: One bad answer to each kind of request: retried, every byte once, no error."""
    for operation in ("PutObject", "HeadObject", "ListObjectsV2", "CopyObject", "DeleteObject"):
        emulator.fault(op=operation, key=f"{mounted.key('')}*", **trouble)
    shell(
        "mkdir d && echo content > d/a && mv d/a d/b && ls -l d && echo c > d/c && rm d/c",
        mounted.path,
    )
    assert mounted.fetch("d/b") == b"content\n"
    assert os.listdir(mounted.path / "d") == ["b"]


@pytest.mark.parametrize("trouble", PASSING, ids=str)
def test_a_lost_answer_never_doubles_a_line(
    mounted: MountedBucket, emulator: Emulator, trouble: dict[str, object]
) -> None:
    """Every third append fails one way or another: each line is there once, or an error told it."""
    shell("echo begin >> log; echo line 0 >> log", mounted.path)
    emulator.fault(op="AppendObject", key=mounted.key("log"), every=3, **trouble)
    acknowledged: list[str] = []
    failed: list[str] = []
    for number in range(1, 10):
        done = shell(f"echo line {number} >> log", mounted.path, check=False)
        (failed if done.returncode else acknowledged).append(f"line {number}")
    emulator.clear_faults()
    lines = mounted.fetch("log").decode().splitlines()
    assert len(lines) == len(set(lines)), "a line is doubled"
    assert set(acknowledged) <= set(lines), "an acknowledged line is missing"
    assert set(lines) <= {"begin", "line 0", *acknowledged, *failed}
    # One program alone, and the length decides: nothing needs to fail.
    assert failed == []


@pytest.mark.parametrize("trouble", PASSING, ids=str)
def test_a_long_write_survives_failures(
    mounted: MountedBucket, emulator: Emulator, trouble: dict[str, object]
) -> None:
    """Appends of 8 MiB that fail on their way, in the midst of dd: the digest is right."""
    data = noise(40 * MIB)
    emulator.fault(op="AppendObject", key=mounted.key("big"), every=2, **trouble)
    with open(mounted.path / "big", "wb", buffering=0) as file:
        for offset in range(0, len(data), MIB):
            file.write(data[offset : offset + MIB])
    assert mounted.fetch("big") == data


@pytest.mark.parametrize("trouble", PASSING, ids=str)
def test_a_large_replacement_survives_failures(
    mounted: MountedBucket, emulator: Emulator, trouble: dict[str, object]
) -> None:
    """Each request of a multipart upload fails once; no upload is left unfinished."""
    (mounted.path / "big").write_bytes(b"old")
    for operation in ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"):
        emulator.fault(op=operation, **trouble)
    (mounted.path / "big").write_bytes(noise(20 * MIB))
    assert mounted.fetch("big") == noise(20 * MIB)


def test_a_failed_write_is_reported_by_close(
    mount: MountFactory, emulator: Emulator, store: ObjectStore
) -> None:
    """S12.4: A store that refuses: cp says so and ends with an error, and the old content stays."""
    mounted = mount("deadline=2")
    (mounted.path / "file").write_bytes(b"old")
    emulator.fault(
        op="PutObject", key=mounted.key("file"), count=None, status=403, code="AccessDenied"
    )
    done = run("cp", "/etc/passwd", mounted.path / "file", check=False)
    assert done.returncode != 0
    assert "Permission denied" in done.stderr
    emulator.clear_faults()
    assert mounted.fetch("file") == b"old"
    assert (mounted.path / "file").stat().st_size == 3
    (mounted.path / "file").write_bytes(b"a new try works")
    assert mounted.fetch("file") == b"a new try works"


def test_a_failure_is_reported_by_fsync_too(mount: MountFactory, emulator: Emulator) -> None:
    """fsync is where careful programs look; after a failure the handle stays failed."""
    mounted = mount("deadline=1")
    emulator.fault(op="PutObject", key=mounted.key("file"), count=None, status=500)
    handle = os.open(mounted.path / "file", os.O_WRONLY | os.O_CREAT)
    os.write(handle, b"content")
    for _ in range(2):
        with pytest.raises(OSError, match=FAILED):
            os.fsync(handle)
    with pytest.raises(OSError, match=FAILED):
        os.close(handle)
    emulator.clear_faults()
    assert not mounted.exists("file")
    assert "file" not in os.listdir(mounted.path)


def test_a_failure_in_the_midst_stops_the_writer(mount: MountFactory, emulator: Emulator) -> None:
    """dd ends with an error soon after an append failed, and does not write on for hours."""
    mounted = mount("deadline=1")
    emulator.fault(
        op="AppendObject", key=mounted.key("big"), count=None, status=403, code="AccessDenied"
    )
    done = run("dd", "if=/dev/zero", f"of={mounted.path}/big", "bs=1M", "count=400", check=False)
    assert done.returncode != 0
    written = mounted.fetch("big")
    assert len(written) < 100 * MIB
    assert "upload failed" in mounted.log.read_text()
    assert "big" in mounted.log.read_text()


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "AccessDenied", errno.EACCES),
        (404, "NoSuchBucket", errno.EIO),
        (500, "InternalError", errno.EIO),
        (503, "SlowDown", errno.EAGAIN),
        (400, "EntityTooLarge", errno.EFBIG),
        (501, "NotImplemented", errno.EOPNOTSUPP),
    ],
)
def test_errors_keep_their_meaning(
    mount: MountFactory, emulator: Emulator, status: int, code: str, expected: int
) -> None:
    """S12.1: What the program sees fits what the store said; only a missing key is ENOENT."""
    mounted = mount("deadline=1")
    emulator.fault(op="PutObject", key=mounted.key("file"), count=None, status=status, code=code)
    handle = os.open(mounted.path / "file", os.O_WRONLY | os.O_CREAT)
    os.write(handle, b"content")
    with pytest.raises(OSError, match=r"\[Errno") as failed:
        os.close(handle)
    # What was repeated until the deadline may say so.
    allowed = {expected, errno.ETIMEDOUT} if status in (500, 503) else {expected}
    assert failed.value.errno in allowed


def test_a_listing_that_fails_is_no_empty_directory(
    mount: MountFactory, emulator: Emulator
) -> None:
    """An error of the store is an error of ls: `rsync --delete` must never see emptiness."""
    mounted = mount("deadline=1", "ttl=0")
    (mounted.path / "d").mkdir()
    (mounted.path / "d/file").write_text("content")
    emulator.fault(op="ListObjectsV2", count=None, status=500)
    done = run("ls", mounted.path / "d", check=False)
    assert done.returncode != 0
    emulator.clear_faults()
    assert run("ls", mounted.path / "d").stdout == "file\n"


def test_a_store_that_is_gone(mount: MountFactory, own_emulator: Emulator) -> None:
    """The server stops in the midst: dd ends with an error within the deadline, no hang."""
    mounted = mount("deadline=2", server=own_emulator)
    with open(mounted.path / "before", "wb") as file:
        file.write(b"stored")
    handle = os.open(mounted.path / "big", os.O_WRONLY | os.O_CREAT)
    os.write(handle, noise(9 * MIB))
    own_emulator.kill()
    with suppress(OSError):
        os.write(handle, noise(9 * MIB))
    with pytest.raises(OSError, match=FAILED):
        os.fsync(handle)
    with pytest.raises(OSError, match=FAILED):
        os.close(handle)
    with pytest.raises(OSError, match=FAILED):
        (mounted.path / "other").write_text("content")
    own_emulator.start()
    (mounted.path / "after").write_text("it works again")
    assert mounted.fetch("after") == b"it works again"
    assert mounted.fetch("before") == b"stored"
    mounted.close()


def test_a_power_cut_at_the_store_leaves_no_half_object(
    mount: MountFactory, own_emulator: Emulator
) -> None:
    """kill -9 of the server during a put: the old object or the new one, never a part."""
    mounted = mount("deadline=1", server=own_emulator)
    path = mounted.path / "file"
    path.write_bytes(b"old" * 1000)
    own_emulator.fault(op="PutObject", delay=30)
    handle = os.open(path, os.O_WRONLY | os.O_TRUNC)
    os.write(handle, noise(5 * MIB))
    with pytest.raises(OSError, match=FAILED):
        os.close(handle)
    own_emulator.kill()
    own_emulator.start()
    assert mounted.fetch("file") == b"old" * 1000
    mounted.close()


def test_what_was_closed_survives_a_power_cut(mounted: MountedBucket, tmp_path: Path) -> None:
    """S1.1, S11.1: kill -9 of the daemon right after cp -r returned: every file is in the store."""
    (tmp_path / "in").mkdir()
    for number in range(60):
        (tmp_path / "in" / str(number)).write_bytes(noise(5_000 + number))
    run("cp", "-r", tmp_path / "in", mounted.path)
    mounted.kill()
    for number in range(60):
        assert mounted.fetch(f"in/{number}") == noise(5_000 + number)


def test_what_was_synced_survives_a_power_cut(mounted: MountedBucket) -> None:
    """S1.1, S11.1: kill -9 with an open file: what fsync returned for is in the store."""
    handle = os.open(mounted.path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, b"synced\n")
    os.fsync(handle)
    os.write(handle, b"not synced\n")
    mounted.kill()
    with pytest.raises(OSError, match=DEAD):
        os.close(handle)
    assert mounted.fetch("log") in (b"synced\n", b"synced\nnot synced\n")


def test_sigterm_stores_what_is_left(mounted: MountedBucket) -> None:
    """Shutdown with a file still open: its bytes and times are stored first."""
    shell("echo x > timed; touch -d @1000000000 timed", mounted.path)
    handle = os.open(mounted.path / "open", os.O_WRONLY | os.O_CREAT)
    os.write(handle, b"written but not closed")
    mounted.terminate()
    with pytest.raises(OSError, match=DEAD):
        os.close(handle)
    assert mounted.fetch("open") == b"written but not closed"
    mounted.mount()
    assert (mounted.path / "timed").stat().st_mtime == 1_000_000_000


def test_unmount_waits_for_the_last_bytes(mounted: MountedBucket, emulator: Emulator) -> None:
    """When `kontenumfs unmount` returns, times that were set last are in the store."""
    shell("echo x > f; touch -d @1000000000 f", mounted.path)
    emulator.fault(op="CopyObject", delay=0.5)
    mounted.unmount()
    assert emulator.counts()["CopyObject"] == 1
    mounted.mount()
    assert (mounted.path / "f").stat().st_mtime == 1_000_000_000


def test_a_busy_mount_is_not_taken_away(mounted: MountedBucket) -> None:
    """unmount with an open file says busy, and everything goes on."""
    with open(mounted.path / "file", "wb") as file:
        file.write(b"content")
        with pytest.raises(AssertionError, match="busy"):
            mounted.unmount()
        file.write(b" more")
    assert mounted.fetch("file") == b"content more"


def test_a_program_that_is_killed_while_writing(mounted: MountedBucket, tmp_path: Path) -> None:
    """kill -9 of cp: the mount lives on, and the name can be written again."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    command = ["dd", f"if={fifo}", f"of={mounted.path}/file", "bs=64k"]
    with (
        subprocess.Popen(command, stderr=subprocess.DEVNULL) as writer,
        open(fifo, "wb", buffering=0) as pipe,
    ):
        pipe.write(noise(64 * 1024))
        writer.kill()
    (mounted.path / "file").write_bytes(b"again")
    assert mounted.fetch("file") == b"again"


def test_key_rotation_while_mounted(mount: MountFactory, tmp_path: Path) -> None:
    """Two key pairs in the file; the first is switched off: nobody notices."""
    second = ("--access-key=AKSECOND", "--secret-key=second/secret")
    with running_emulator(tmp_path / "rotating", *second) as emulator:
        mounted = mount(server=emulator)
        mounted.unmount()
        mounted.credentials.write_text(f"{ACCESS}:{SECRET}\nAKSECOND:second/secret\n")
        mounted.mount()
        (mounted.path / "file").write_text("one")
        emulator.activate("AKSECOND")
        with open(mounted.path / "file", "a") as file:
            file.write("two")
        assert mounted.fetch("file") == b"onetwo"
        assert SECRET not in mounted.log.read_text()
        assert "second/secret" not in mounted.log.read_text()
        mounted.close()
