# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Modes, owners and times: kept in the store, in the form that s3fs and rclone read."""

import os
import stat

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory, run, shell
from tests.harness.objects import ObjectStore


def remount(mounted: MountedBucket) -> None:
    """Forget everything that is not in the store."""
    mounted.unmount()
    mounted.mount()


def test_mode_time_and_owner_are_kept(mounted: MountedBucket, store: ObjectStore) -> None:
    """S10.1: chmod, touch -d, chown: seen at once, and by the next mount."""
    shell(
        "echo x > f; chmod 640 f; chown 12:34 f; touch -d '2001-02-03 04:05:06.7 UTC' f",
        mounted.path,
    )
    for _ in range(2):
        status = (mounted.path / "f").stat()
        assert stat.S_IMODE(status.st_mode) == 0o640
        assert (status.st_uid, status.st_gid) == (12, 34)
        assert status.st_mtime_ns == 981_173_106_700_000_000
        remount(mounted)
    metadata = store.head("f")["Metadata"]
    assert float(metadata["mtime"]) == 981173106.7
    assert metadata["uid"] == "12"
    assert metadata["gid"] == "34"
    assert int(metadata["mode"]) & 0o7777 == 0o640


def test_directories_keep_them_too(mounted: MountedBucket) -> None:
    """mkdir -m, chmod, touch on a directory."""
    shell("mkdir -m 750 d; mkdir e; chmod 700 e; touch -d @1000000000 e", mounted.path)
    for _ in range(2):
        assert stat.S_IMODE((mounted.path / "d").stat().st_mode) == 0o750
        assert stat.S_IMODE((mounted.path / "e").stat().st_mode) == 0o700
        assert (mounted.path / "e").stat().st_mtime == 1_000_000_000
        remount(mounted)


def test_the_time_of_the_last_write_counts(mounted: MountedBucket) -> None:
    """S10.1: An append makes an old file new again; the old time never lies."""
    shell("echo old > f; touch -d @1000000000 f", mounted.path)
    remount(mounted)
    before = (mounted.path / "f").stat().st_mtime
    assert before == 1_000_000_000
    shell("echo new >> f", mounted.path)
    remount(mounted)
    assert (mounted.path / "f").stat().st_mtime > 1_700_000_000


def test_a_changed_mode_costs_no_bytes(mounted: MountedBucket, emulator: Emulator) -> None:
    """S10.2: chmod alone is a copy of the object onto itself, in the store."""
    (mounted.path / "f").write_bytes(bytes(1 << 20))
    emulator.mark()
    (mounted.path / "f").chmod(0o600)
    mounted.unmount()
    assert emulator.counts()["CopyObject"] == 1
    assert emulator.sent() == 0
    assert mounted.fetch("f") == bytes(1 << 20)


def test_metadata_set_on_an_open_file_travels_with_it(
    mounted: MountedBucket, emulator: Emulator
) -> None:
    """fchmod and futimens before close: one PutObject carries it all."""
    with open(mounted.path / "f", "wb", buffering=0) as file:
        file.write(b"content")
        os.fchmod(file.fileno(), 0o604)
        os.utime(file.fileno(), (1, 1_000_000_000))
    counts = emulator.counts()
    mounted.unmount()
    assert counts["PutObject"] == 1
    assert "CopyObject" not in emulator.counts()
    mounted.mount()
    status = (mounted.path / "f").stat()
    assert stat.S_IMODE(status.st_mode) == 0o604
    assert status.st_mtime == 1_000_000_000


def test_a_rename_keeps_metadata(mounted: MountedBucket) -> None:
    """S10.2: mode and time go along with the new name, also when they were set just before."""
    shell("echo x > a; chmod 611 a; touch -d @1234567890 a; mv a b", mounted.path)
    remount(mounted)
    status = (mounted.path / "b").stat()
    assert stat.S_IMODE(status.st_mode) == 0o611
    assert status.st_mtime == 1_234_567_890


def test_what_other_programs_left_is_understood(mount: MountFactory, store: ObjectStore) -> None:
    """s3fs writes mode in decimal with the file type, rclone mtime with a fraction."""
    store.put("s3fs", b"1", Metadata={"mode": "33188", "mtime": "1000000000", "uid": "7"})
    store.put("rclone", b"2", Metadata={"mtime": "1000000000.25"})
    store.put("nonsense", b"3", Metadata={"mode": "rwx", "mtime": "yesterday", "uid": "-1"})
    mounted = mount("uid=99", "file_mode=0640", "umask=0")
    status = (mounted.path / "s3fs").stat()
    assert stat.S_IMODE(status.st_mode) == 0o644
    assert status.st_mtime == 1_000_000_000
    assert status.st_uid == 7
    assert (mounted.path / "rclone").stat().st_mtime == 1_000_000_000.25
    nonsense = (mounted.path / "nonsense").stat()
    assert nonsense.st_uid == 99
    assert stat.S_IMODE(nonsense.st_mode) == 0o640


def test_defaults_for_what_has_no_metadata(mount: MountFactory, store: ObjectStore) -> None:
    """uid, gid, umask, file_mode and dir_mode."""
    store.put("d/f", b"content")
    mounted = mount("uid=11", "gid=22", "umask=027", "file_mode=666", "dir_mode=777")
    for name, mode in (("d", 0o750), ("d/f", 0o640)):
        status = (mounted.path / name).stat()
        assert (status.st_uid, status.st_gid) == (11, 22)
        assert stat.S_IMODE(status.st_mode) == mode


def test_other_users(mount: MountFactory) -> None:
    """allow_other lets them in, and the modes are checked by the kernel."""
    if os.getuid() != 0 or not os.path.exists("/usr/bin/setpriv"):
        pytest.skip("needs root and setpriv")
    mounted = mount("allow_other")
    for parent in (mounted.path.parent, *mounted.path.parents):
        if str(parent).startswith("/tmp/pytest"):
            parent.chmod(0o755)
    shell("mkdir -m 777 open; mkdir -m 755 closed", mounted.path)
    other = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "touch"]
    run(*other, mounted.path / "open/file")
    assert (mounted.path / "open/file").stat().st_uid == 1000
    done = run(*other, mounted.path / "closed/file", check=False)
    assert "Permission denied" in done.stderr


def test_content_types(mounted: MountedBucket, store: ObjectStore) -> None:
    """Guessed by name, the same on every machine; a rename guesses anew."""
    expected = {
        "page.html": "text/html",
        "live.m3u8": "application/vnd.apple.mpegurl",
        "seg.ts": "video/mp2t",
        "a.js": "text/javascript",
        "a.json": "application/json",
        "pic.webp": "image/webp",
        "pic.JPG": "image/jpeg",
        "unknown.zzz": "application/octet-stream",
        "none": "application/octet-stream",
    }
    for name in expected:
        (mounted.path / name).write_text(name)
    found = {name: store.head(name)["ContentType"].split(";")[0] for name in expected}
    assert found == expected
    (mounted.path / "none").rename(mounted.path / "some.css")
    assert store.head("some.css")["ContentType"].split(";")[0] == "text/css"


def test_headers_of_others_survive_our_changes(mount: MountFactory, store: ObjectStore) -> None:
    """S10.4: Cache-Control and foreign metadata stay through chmod and rename."""
    store.put("f.html", b"x", CacheControl="max-age=60", Metadata={"theirs": "kept"})
    mounted = mount()
    shell("chmod 600 f.html; mv f.html g.html; chmod 644 g.html", mounted.path)
    mounted.unmount()
    head = store.head("g.html")
    assert head["CacheControl"] == "max-age=60"
    assert head["Metadata"]["theirs"] == "kept"
    assert int(head["Metadata"]["mode"]) & 0o777 == 0o644
