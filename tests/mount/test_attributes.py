# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What programs copy along with a file: attributes, ACLs, groups; and what does not fit."""

import errno
import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.harness.mounts import MountedBucket, MountFactory, run, shell
from tests.harness.objects import ObjectStore

OTHER = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "bash", "-c"]
SIZE_LIMIT = 2048

needs_root = pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv"
)


def let_others_in(path: Path) -> None:
    """Open the directories that pytest keeps to its user."""
    for parent in path.parents:
        if str(parent).startswith("/tmp/pytest"):
            parent.chmod(0o755)


def remount(mounted: MountedBucket) -> None:
    """Forget everything that is not in the store."""
    mounted.unmount()
    mounted.mount()


def test_copying_a_plain_directory_is_nothing_to_warn_of(
    mount: MountFactory, tmp_path: Path
) -> None:
    """S10.9: cp -a and rsync -AX ask for ACLs and labels that nobody has set."""
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    (source / "below" / "file").write_text("content")
    os.setxattr(source, "user.note", b"of a directory")
    os.setxattr(source / "below" / "file", "user.note", b"of a file")
    mounted = mount()
    run("cp", "-a", source, mounted.path / "cp")
    run("cp", "-r", "--preserve=all", source, mounted.path / "all", check=False)
    os.removexattr(source, "user.note")
    os.removexattr(source / "below" / "file", "user.note")
    run("rsync", "-aAX", f"{source}/", mounted.path / "rsync")
    for path in (mounted.path / "cp", mounted.path / "rsync" / "below" / "file"):
        for name in ("system.posix_acl_access", "security.x", "trusted.x"):
            for call in (
                lambda path=path, name=name: os.setxattr(path, name, b"\2\0\0\0"),
                lambda path=path, name=name: os.removexattr(path, name),
                lambda path=path, name=name: os.getxattr(path, name),
            ):
                with pytest.raises(OSError, match=os.strerror(errno.EOPNOTSUPP)):
                    call()
    mounted.unmount()
    said = mounted.log.read_text().splitlines()
    assert not [line for line in said if " WARNING " in line or " ERROR " in line]


def test_attributes_that_no_object_can_carry_are_refused_at_once(
    mount: MountFactory, store: ObjectStore
) -> None:
    """S10.8: And take neither mode nor time nor the bytes down with them."""
    mounted = mount()
    path = mounted.path / "f"
    path.write_bytes(b"content")
    for value in (b"x" * SIZE_LIMIT, "é".encode() * (SIZE_LIMIT // 2), b"x" * (SIZE_LIMIT - 50)):
        with pytest.raises(OSError, match=os.strerror(errno.E2BIG)):
            os.setxattr(path, "user.meta.large", value)
    count = 17
    for number in range(count):
        os.setxattr(path, f"user.meta.name{number:02}", b"x" * 100)
    with pytest.raises(OSError, match=os.strerror(errno.E2BIG)):
        os.setxattr(path, "user.meta.more", b"x" * 200)
    os.chown(path, 2**32 - 2, 2**32 - 2)
    path.chmod(0o6640)
    os.utime(path, ns=(0, -(10**20) - 1))
    with open(path, "ab") as file:
        file.write(b" and more")
    os.utime(path, ns=(0, 1_234_567_890_123_456_789))
    remount(mounted)
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o6640
    assert status.st_mtime_ns == 1_234_567_890_123_456_789
    assert len(os.listxattr(path)) == count
    assert mounted.fetch("f") == b"content and more"
    os.removexattr(path, "user.meta.name00")
    os.setxattr(path, "user.meta.again", b"x" * 90)


def test_what_others_have_filled_with_metadata_can_be_written(
    mount: MountFactory, store: ObjectStore
) -> None:
    """Only what does not fit any more is refused, and at once."""
    store.put("f", b"old", Metadata={"theirs": "x" * (SIZE_LIMIT - 6)})
    mounted = mount()
    path = mounted.path / "f"
    path.write_bytes(b"new")
    with open(path, "ab") as file:
        file.write(b" and more")
    with pytest.raises(OSError, match=os.strerror(errno.E2BIG)):
        path.chmod(0o600)
    mounted.unmount()
    assert mounted.fetch("f") == b"new and more"
    assert store.head("f")["Metadata"]["theirs"]


def test_a_link_whose_target_no_object_can_carry_is_refused(mount: MountFactory) -> None:
    mounted = mount("symlinks=metadata")
    os.symlink("x" * 1000, mounted.path / "link")
    with pytest.raises(OSError, match=os.strerror(errno.ENAMETOOLONG)):
        os.symlink("x" * 3000, mounted.path / "long")
    assert os.listdir(mounted.path) == ["link"]


def test_absurd_metadata_of_others_is_shown_as_none(
    mount: MountFactory, store: ObjectStore
) -> None:
    """No time, number or mode that can be stored keeps a directory from being listed."""
    absurd = {
        "huge": {"mode": "9" * 30, "uid": "9" * 30, "gid": "4294967295", "mtime": "9" * 30},
        "edge": {"mode": "4294967295", "uid": "4294967294", "mtime": "9223372036854775807.999"},
        "negative": {"mode": "-1", "uid": "-1", "mtime": "-9223372036854775807.999"},
        "float": {"mode": "1e3", "mtime": "1e300", "gid": "0x10"},
        "words": {"mode": "rwx", "mtime": "NaN", "uid": "root", "symlink-target": "x"},
        "link": {"mode": "41471", "symlink-target": "x" * 1900},
    }
    for name, metadata in absurd.items():
        store.put(name, b"1", Metadata=metadata)
    mounted = mount("symlinks=metadata", "uid=77")
    shown = {name: (mounted.path / name).lstat() for name in os.listdir(mounted.path)}
    assert set(shown) == set(absurd)
    assert shown["huge"].st_uid == shown["negative"].st_uid == 77
    assert shown["edge"].st_uid == 2**32 - 2
    assert shown["edge"].st_mtime_ns // 10**9 == 2**63 - 1
    run("ls", "-la", mounted.path)


@pytest.mark.parametrize("seconds", [253_402_300_800, -100_000_000_000, -1, 0, 10**12])
def test_times_far_from_now_are_kept(mount: MountFactory, seconds: int) -> None:
    """touch -d @SECONDS: years past 5138, and before 1970."""
    mounted = mount()
    run("touch", "-d", f"@{seconds}", mounted.path / "f")
    remount(mounted)
    assert (mounted.path / "f").stat().st_mtime_ns == seconds * 10**9


@needs_root
def test_set_group_id_directories_hand_down_their_group(mount: MountFactory) -> None:
    """S10.10: To files, links and directories; these hand it down, too."""
    mounted = mount("allow_other", "symlinks=metadata")
    let_others_in(mounted.path)
    shell("mkdir d && chown 0:1234 d && chmod 2777 d", mounted.path)
    run(*OTHER, "cd d; echo x > f; mkdir e; echo y > e/g; ln -s x l; :", cwd=mounted.path)
    for _ in range(2):
        for name in ("d", "d/f", "d/e", "d/e/g", "d/l"):
            status = (mounted.path / name).lstat()
            assert status.st_gid == 1234, name
            assert bool(status.st_mode & stat.S_ISGID) == stat.S_ISDIR(status.st_mode), name
        remount(mounted)


@needs_root
@pytest.mark.parametrize(
    "change",
    ["echo more >> f", "echo new > f", "truncate -s 1 f", "dd if=/dev/zero of=f conv=notrunc"],
)
def test_set_user_id_is_lost_by_what_others_write(mount: MountFactory, change: str) -> None:
    """As on a disk; and set-group-ID, where a group may execute the file."""
    mounted = mount("allow_other")
    let_others_in(mounted.path)
    change = f"{change} count=1 2>/dev/null" if change.startswith("dd") else change
    modes = {0o6777: 0o777, 0o2767: 0o2767, 0o4666: 0o666, 0o666: 0o666}
    for mode in modes:
        directory = mounted.path / f"{mode:o}"
        directory.mkdir()
        shell(f"echo old > f; chmod {mode:o} f; {change}", directory)
        run(*OTHER, change, cwd=directory)
    for _ in range(2):
        for mode, left in modes.items():
            status = (mounted.path / f"{mode:o}" / "f").stat()
            assert stat.S_IMODE(status.st_mode) in (left, left & 0o5777)
        remount(mounted)
    shell("echo old > f; chmod 6755 f; chown 1000 f", mounted.path)
    assert stat.S_IMODE((mounted.path / "f").stat().st_mode) == 0o755
