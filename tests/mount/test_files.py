# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Files as programs use them: small things, odd things, and what must be refused cleanly."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, run, shell

Mounts = Callable[..., MountedBucket]


def eventually(condition: Callable[[], bool]) -> None:
    """An empty file is stored at release, which the kernel sends a moment after close()."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline


def test_everyday_changes(mount: Mounts, emulator: Emulator) -> None:
    """mkdir, touch, mv, chmod, truncate -s 0, rm, rmdir: seen at once, and stored."""
    mounted = mount(prefix="everyday")
    shell("mkdir -p a/b; echo one > a/b/f; mv a/b/f a/g; chmod 640 a/g; : > a/empty", mounted.path)
    assert emulator.fetch("everyday/a/g") == b"one\n"
    eventually(lambda: emulator.exists("everyday/a/empty"))
    assert not emulator.exists("everyday/a/b/f")
    assert shell("stat -c %a a/g", mounted.path).stdout == "640\n"
    shell("truncate -s 0 a/g; rmdir a/b", mounted.path)
    assert emulator.fetch("everyday/a/g") == b""
    assert shell("rmdir a", mounted.path, check=False).returncode == 1
    shell("rm -r a", mounted.path)
    assert os.listdir(mounted.path) == []
    assert not emulator.exists("everyday/a/")


def test_metadata_is_kept_over_a_remount(mount: Mounts) -> None:
    """Mode, owner and time to the nanosecond, of files and directories."""
    mounted = mount()
    script = (
        "mkdir d; echo x > d/f; chown 12:34 d/f; chmod 4751 d/f; chmod 700 d; touch -d @1.5 d/f d"
    )
    shell(script, mounted.path)
    told = shell("stat -c '%a %u %g %.9Y' d/f d", mounted.path).stdout
    assert told.splitlines() == ["4751 12 34 1.500000000", "700 0 0 1.500000000"]
    mounted.unmount()
    mounted.mount()
    assert shell("stat -c '%a %u %g %.9Y' d/f d", mounted.path).stdout == told


def test_nothing_is_published_before_it_is_written(mount: Mounts, emulator: Emulator) -> None:
    """S1.2: A created file is seen in the mount at once, and in the store when it has content."""
    mounted = mount(prefix="stub")
    with open(mounted.path / "f", "wb", buffering=0) as file:
        assert os.listdir(mounted.path) == ["f"]
        assert not emulator.exists("stub/f")
        file.write(b"content")
        assert os.stat(mounted.path / "f").st_size == 7
        os.fsync(file.fileno())
        assert emulator.fetch("stub/f") == b"content"
        file.write(b" and more")
    assert emulator.fetch("stub/f") == b"content and more"


def test_an_existing_object_is_replaced_as_a_whole(mount: Mounts, emulator: Emulator) -> None:
    """While a large new content arrives, the CDN serves the old one."""
    mounted = mount("chunk_size=5M", prefix="replace")
    (mounted.path / "f").write_bytes(b"old")
    new = os.urandom(12 << 20)
    with open(mounted.path / "f", "wb", buffering=0) as file:
        file.write(new)
        assert emulator.fetch("replace/f") == b"old"
    assert emulator.fetch("replace/f") == new
    published = [r["op"] for r in emulator.requests() if r["key"] == "replace/f"]
    assert published.count("CompleteMultipartUpload") == 1


def test_writes_inside_what_is_not_sent_yet(mount: Mounts, emulator: Emulator) -> None:
    """Seeking back in a small file, holes, and cutting it shorter: all in one PutObject."""
    mounted = mount(prefix="inside")
    with open(mounted.path / "f", "wb", buffering=0) as file:
        file.write(b"0123456789")
        file.seek(2)
        file.write(b"TWO")
        file.seek(15)
        file.write(b"end")
        file.truncate(17)
    assert emulator.fetch("inside/f") == b"01TWO56789\0\0\0\0\0en"
    assert emulator.counts()["PutObject"] == 1


def test_rsync_inplace_replaces(mount: Mounts, emulator: Emulator, tmp_path: Path) -> None:
    """`rsync --inplace` writes over a file from its start without O_TRUNC."""
    mounted = mount(prefix="inplace")
    (tmp_path / "f").write_bytes(b"first content, which is longer")
    run("rsync", "-a", "--inplace", tmp_path / "f", mounted.path)
    (tmp_path / "f").write_bytes(b"second")
    run("rsync", "-a", "--inplace", tmp_path / "f", mounted.path)
    assert emulator.fetch("inplace/f") == b"second"


def test_what_an_object_store_lacks_is_refused(mount: Mounts, emulator: Emulator) -> None:
    """Links, pipes and names that are not UTF-8: a clean errno, no harm."""
    mounted = mount(prefix="refused")
    path = mounted.path / "f"
    path.write_bytes(b"0123456789")
    with pytest.raises(PermissionError):
        os.link(path, mounted.path / "link")
    with pytest.raises(PermissionError):
        os.symlink("f", mounted.path / "symlink")
    with pytest.raises(PermissionError):
        os.mkfifo(mounted.path / "fifo")
    with pytest.raises(OSError, match=os.strerror(errno.EILSEQ)):
        os.open(os.fsencode(mounted.path) + b"/\xff", os.O_WRONLY | os.O_CREAT)
    assert emulator.fetch("refused/f") == b"0123456789"


def test_two_appenders_lose_nothing(mount: Mounts, emulator: Emulator) -> None:
    """Two processes, and two mounts: every line of both arrives whole."""
    one, two = mount(prefix="shared"), mount(prefix="shared")
    script = "for i in $(seq 30); do echo {} line $i >> log; done"
    writers = [
        subprocess.Popen(["bash", "-c", script.replace("{}", name)], cwd=place.path)
        for name, place in (("a", one), ("b", one), ("c", two))
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    lines = emulator.fetch("shared/log").decode().splitlines()
    expected = [f"{name} line {number}" for name in "abc" for number in range(1, 31)]
    assert sorted(lines) == sorted(expected)


def test_a_hundred_parallel_copies(mount: Mounts, emulator: Emulator, tmp_path: Path) -> None:
    """More open files than memory holds: all arrive, and memory stays in its bounds."""
    data = os.urandom(3 << 20)
    (tmp_path / "data").write_bytes(data)
    mounted = mount("memory=16M", prefix="parallel")
    script = f"for i in $(seq 100); do cp {tmp_path}/data f$i & done; wait"
    shell(script, mounted.path)
    assert all(emulator.fetch(f"parallel/f{number}") == data for number in range(1, 101))
    assert mounted.peak_memory() < 160 << 20


def test_a_lost_answer_never_doubles_a_line(mount: Mounts, emulator: Emulator) -> None:
    """The append took place and its answer was lost, or it never arrived: one line each time."""
    mounted = mount(prefix="lost")
    shell("echo first >> log; echo second >> log", mounted.path)
    for reset in ("after", "before", "after"):
        emulator.fault(op="AppendObject", key="lost/log", reset=reset)
        shell(f"echo {reset} >> log", mounted.path)
    assert emulator.fetch("lost/log") == b"first\nsecond\nafter\nbefore\nafter\n"


def test_a_failed_upload_is_told_to_the_writer(mount: Mounts, emulator: Emulator) -> None:
    """The store refuses: close fails, the old object is as it was, and the mount goes on."""
    mounted = mount("deadline=2", prefix="failing")
    shell("echo old > f", mounted.path)
    emulator.fault(op="PutObject", key="failing/f", status=400, code="InvalidRequest", count=None)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        (mounted.path / "f").write_bytes(b"new")
    emulator.clear_faults()
    assert emulator.fetch("failing/f") == b"old\n"
    shell("echo newer > f", mounted.path)
    assert emulator.fetch("failing/f") == b"newer\n"


def test_throttling_and_server_errors_are_waited_out(mount: Mounts, emulator: Emulator) -> None:
    """SlowDown and 500 are repeated until they end; the program notices nothing."""
    mounted = mount(prefix="busy")
    emulator.fault(op="*", key="busy/*", status=503, code="SlowDown", count=3)
    emulator.fault(op="PutObject", key="busy/*", status=500, code="InternalError", count=2)
    shell("echo patient > f", mounted.path)
    assert emulator.fetch("busy/f") == b"patient\n"


def test_the_store_restarts_in_between(fuse: None, own_emulator: Emulator, tmp_path: Path) -> None:
    """The server is killed and comes back: the mount waits, and what was closed is there."""
    own = own_emulator
    mounted = MountedBucket(tmp_path / "own", own)
    try:
        shell("echo before > a; echo before > b", mounted.path)
        own.kill()
        script = "echo after >> a"
        writer = subprocess.Popen(["bash", "-c", script], cwd=mounted.path)
        own.start()
        assert writer.wait(timeout=60) == 0
        assert own.fetch("a") == b"before\nafter\n"
        assert own.fetch("b") == b"before\n"
    finally:
        mounted.close()


@pytest.mark.parametrize(
    "name",
    ["a b", "plus+percent%41", "ünïcödé", "new\nline", "tab\t", "q?x=1&y", "é" * 120, "#hash"],
)
def test_odd_names(mount: Mounts, emulator: Emulator, name: str) -> None:
    """Whatever a name is made of, it is the key, and listed as it is."""
    mounted = mount(prefix="odd")
    (mounted.path / name).write_bytes(b"odd")
    assert emulator.fetch(f"odd/{name}") == b"odd"
    mounted.unmount()
    mounted.mount()
    assert os.listdir(mounted.path) == [name]
    os.unlink(mounted.path / name)


def test_too_long_a_key_is_refused(mount: Mounts) -> None:
    """Past S3's 1,024 bytes: ENAMETOOLONG, before anything is sent."""
    mounted = mount()
    deep = mounted.path / "/".join(["d" * 200] * 4)
    os.makedirs(deep)
    with pytest.raises(OSError, match=os.strerror(errno.ENAMETOOLONG)):
        (deep / ("f" * 250)).write_bytes(b"")


def test_tar_and_mv_from_another_filesystem(
    mount: Mounts, emulator: Emulator, tmp_path: Path
) -> None:
    """tar x and mv bring bytes and times."""
    mounted = mount(prefix="others")
    source = tmp_path / "src"
    source.mkdir()
    for number in range(5):
        (source / f"f{number}").write_bytes(os.urandom(1000))
        os.utime(source / f"f{number}", ns=(0, 10**18))
    run("tar", "cf", tmp_path / "t.tar", "-C", tmp_path, "src")
    run("tar", "xf", tmp_path / "t.tar", "-C", mounted.path)
    wanted = {path.name: path.read_bytes() for path in source.iterdir()}
    shell(f"mv {source} moved", mounted.path)
    for directory in ("src", "moved"):
        for name, body in wanted.items():
            assert emulator.fetch(f"others/{directory}/{name}") == body
            assert os.stat(mounted.path / directory / name).st_mtime_ns == 10**18


def test_read_only(mount: Mounts, emulator: Emulator) -> None:
    """-o ro refuses every change."""
    mounted = mount("ro")
    with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
        (mounted.path / "f").write_bytes(b"x")


def test_statfs_is_usable(mount: Mounts) -> None:
    """df and installers see a large, empty file system."""
    mounted = mount("capacity=1T")
    told = os.statvfs(mounted.path)
    assert told.f_blocks * told.f_frsize == 1 << 40
    assert told.f_bavail == told.f_blocks


def test_python_writes_and_reads_nothing(mount: Mounts) -> None:
    """The example of the README: open(...).read() is a PermissionError."""
    mounted = mount()
    script = "open('f', 'w').write('x'); open('f').read()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=mounted.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "PermissionError" in done.stderr
