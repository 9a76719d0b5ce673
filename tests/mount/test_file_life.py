# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A file's life: what failed stays with who wrote it, and nothing half-written replaces an object.

Each test is a fault that was seen once; FAULTS.md, section 4, has their numbers.
"""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory, run, shell, wait_until

OLD = b"the old object, whole\n"
HUNG = 60.0
"""Seconds after which a program counts as hung."""
BEGINNER = """
import os, subprocess, sys
descriptor = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
os.write(descriptor, b"one half, ")
subprocess.run(["true"], close_fds=False, check=True)
os.posix_spawn("/bin/true", ["true"], {})
os.wait()
os.write(descriptor, b"and the other")
os.execv("/bin/true", ["true"])
"""
"""Writes a file while it begins programs as Go, Rust and posix_spawn(3) do, then becomes one."""


def write_only(path: Path, flags: int = os.O_WRONLY) -> int:
    """A descriptor, without Python's buffers."""
    return os.open(path, flags)


def is_missing(path: Path) -> bool:
    """Whether stat() says that there is nothing."""
    return not path.exists()


def test_an_outage_longer_than_the_deadline_is_one_writers(
    mount: MountFactory, emulator: Emulator
) -> None:
    """S1.4; 4.1: a logger holds its descriptor; others write the name as if nothing had been."""
    mounted = mount("deadline=2,append_interval=0")
    key = mounted.key("log")
    shell("echo 1 >> log", mounted.path)
    log = write_only(mounted.path / "log", os.O_WRONLY | os.O_APPEND)
    emulator.fault(op="AppendObject", key=key, status=500, count=None)
    os.write(log, b"2\n")
    with pytest.raises(OSError, match="Errno") as told:
        os.fsync(log)
    assert told.value.errno == errno.EIO
    assert (mounted.path / "log").stat().st_size == 2, "stat shows what the store has"
    emulator.clear_faults()
    shell("echo 3 >> log", mounted.path)
    os.write(log, b"4\n")  # the error was told once: new bytes are a new line
    os.fsync(log)
    os.close(log)
    assert mounted.fetch("log") == b"1\n3\n4\n"
    shell("mv log log.1; echo 5 >> log", mounted.path)
    assert (mounted.fetch("log.1"), mounted.fetch("log")) == (b"1\n3\n4\n", b"5\n")


def test_a_copy_over_a_file_whose_last_writer_failed(
    mount: MountFactory, emulator: Emulator
) -> None:
    """S1.3, S1.4; 4.1: cp is told, and the next cp stores, though the first writer still holds the
    file."""
    mounted = mount("deadline=2")
    emulator.fault(op="PutObject", key=mounted.key("f"), status=500, count=None)
    held = write_only(mounted.path / "f", os.O_WRONLY | os.O_CREAT)
    os.write(held, b"lost")
    with pytest.raises(OSError, match="Errno"):
        os.fsync(held)
    emulator.clear_faults()
    shell("echo new > f", mounted.path)
    assert mounted.fetch("f") == b"new\n"
    with pytest.raises(OSError, match="Errno"):
        os.write(held, b"more")  # it would stand behind a gap
    with pytest.raises(OSError, match="Errno"):
        os.close(held)
    assert mounted.fetch("f") == b"new\n"


@pytest.mark.parametrize("what", ["f", "d"])
def test_a_refused_rename_harms_no_writer(
    mounted: MountedBucket, emulator: Emulator, what: str
) -> None:
    """S5.10; 4.2: of the file, or of anything below the directory: it goes on as if nothing had
    been."""
    (mounted.path / "d").mkdir()
    path = mounted.path / ("f" if what == "f" else "d/f")
    descriptor = write_only(path, os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, b"one ")
    os.fsync(descriptor)
    emulator.fault(op="CopyObject", status=403, code="AccessDenied", count=None)
    with pytest.raises(PermissionError):
        (mounted.path / what).rename(mounted.path / "renamed")
    long = "x" * 250
    with pytest.raises(OSError, match="Errno"):
        (mounted.path / what).rename(mounted.path / "/".join([long] * 5))
    emulator.clear_faults()
    os.write(descriptor, b"two")
    os.close(descriptor)
    assert mounted.fetch("f" if what == "f" else "d/f") == b"one two"


def test_a_file_that_waits_for_its_name_outlives_a_refused_rename(
    mount: MountFactory, emulator: Emulator, tmp_path: Path
) -> None:
    """S1.8; 4.5: the bytes are stored under the name that they have."""
    mounted = mount("temporary=*.tmp")
    (mounted.path / "f.tmp").write_bytes(b"precious")
    emulator.fault(op="PutObject", key=mounted.key("f"), status=403, code="AccessDenied")
    with pytest.raises(PermissionError):
        (mounted.path / "f.tmp").rename(mounted.path / "f")
    wait_until(lambda: mounted.exists("f.tmp"))
    assert mounted.fetch("f.tmp") == b"precious"


@pytest.mark.parametrize("options", ["publish=auto", "publish=atomic"])
def test_half_a_rewrite_is_not_published_by_the_end_of_the_mount(
    mount: MountFactory, options: str
) -> None:
    """S1.9; 4.3: SIGTERM while a program rewrites a file: the old object stays, and the loss is
    named."""
    mounted = mount(options)
    (mounted.path / "f").write_bytes(OLD)
    descriptor = write_only(mounted.path / "f", os.O_WRONLY | os.O_TRUNC)
    os.write(descriptor, b"half")
    mounted.expected = "not stored: .*f: not closed by its writer"
    mounted.terminate()
    assert mounted.fetch("f") == OLD
    assert "not closed by its writer" in mounted.log.read_text()
    with pytest.raises(OSError, match="Errno"):
        os.close(descriptor)


def test_new_lines_of_a_log_are_stored_at_the_end_of_the_mount(mount: MountFactory) -> None:
    """S1.9; 4.3, the other side: what is appended or new replaces nothing, and is not lost."""
    mounted = mount("append_interval=0")
    (mounted.path / "log").write_bytes(b"1\n")
    log = write_only(mounted.path / "log", os.O_WRONLY | os.O_APPEND)
    new = write_only(mounted.path / "new", os.O_WRONLY | os.O_CREAT)
    os.write(log, b"2\n")
    os.write(new, b"new")
    mounted.terminate()
    assert (mounted.fetch("log"), mounted.fetch("new")) == (b"1\n2\n", b"new")
    for descriptor in (log, new):
        with pytest.raises(OSError, match="Errno"):
            os.close(descriptor)


def test_other_programs_closes_publish_no_half(mounted: MountedBucket) -> None:
    """S2.4; 4.4: a child closes what it inherited; `touch` and `: >>` open and close the file."""
    (mounted.path / "f").write_bytes(OLD)
    descriptor = write_only(mounted.path / "f", os.O_WRONLY | os.O_TRUNC)
    os.set_inheritable(descriptor, True)
    os.write(descriptor, b"one half, ")
    subprocess.run(["true"], close_fds=False, check=True)
    subprocess.run(["true"], close_fds=True, check=True)
    shell("touch f; : >> f", mounted.path)
    assert mounted.fetch("f") == OLD
    os.write(descriptor, b"and the other")
    os.close(descriptor)
    assert mounted.fetch("f") == b"one half, and the other"


def test_a_program_is_begun_by_one_that_is_writing(mounted: MountedBucket) -> None:
    """S2.4; 4.4: exec closes what is O_CLOEXEC, and nobody may ask /proc for its stat meanwhile.

    Linux holds a lock of the process then, and the daemon would wait for this very close.
    """
    (mounted.path / "f").write_bytes(OLD)
    daemon = mounted.daemon()
    writer = subprocess.Popen([sys.executable, "-c", BEGINNER, str(mounted.path / "f")])
    try:
        assert writer.wait(HUNG) == 0
    except subprocess.TimeoutExpired:
        os.kill(daemon, signal.SIGKILL)  # else neither it nor the writer ever ends
        writer.kill()
        writer.wait()
        raise
    assert mounted.fetch("f") == b"one half, and the other"


def test_a_redirection_of_several_programs_is_one_file(mounted: MountedBucket) -> None:
    """S2.4; 4.4: `{ a; b; } > f` replaces f once, when the shell closes it."""
    (mounted.path / "f").write_bytes(OLD)
    seen = mounted.path.parent / "seen"
    script = f"{{ /bin/echo a; cp {seen}.new {seen}; /bin/echo b; }} > f"
    Path(f"{seen}.new").write_text("x")
    shell(script, mounted.path)
    assert mounted.fetch("f") == b"a\nb\n"


def test_the_child_of_a_program_that_has_ended_publishes(mounted: MountedBucket) -> None:
    """S2.4; 4.4, the other side: who opened the file is gone, so whoever is left closes it."""
    (mounted.path / "f").write_bytes(OLD)
    shell("(exec 3> f; (sleep 0.3; echo child >&3) & )", mounted.path)
    wait_until(lambda: mounted.fetch("f") == b"child\n")


def test_a_killed_copy_leaves_the_old_object(mounted: MountedBucket, tmp_path: Path) -> None:
    """S2.5; 4.11: the kernel closes what a killed program had open, and that says nothing."""
    (mounted.path / "f").write_bytes(OLD)
    program = (
        "import os, sys, time\n"
        "f = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)\n"
        "os.write(f, b'half')\n"
        "print('written', flush=True)\n"
        "time.sleep(600)\n"
    )
    copy = subprocess.Popen(
        [sys.executable, "-c", program, str(mounted.path / "f")], stdout=subprocess.PIPE
    )
    assert copy.stdout is not None
    copy.stdout.readline()
    copy.send_signal(signal.SIGKILL)
    copy.wait()
    copy.stdout.close()
    shell("stat f > /dev/null", mounted.path)
    assert mounted.fetch("f") == OLD
    shell("echo new > f", mounted.path)
    assert mounted.fetch("f") == b"new\n"


def test_dot_names_of_cp_are_stored_when_cp_says_so(mounted: MountedBucket, tmp_path: Path) -> None:
    """S1.7; 4.5: `.env.backup` looks like rsync's temporary names, and cp creates with O_EXCL
    too.
    """
    (tmp_path / "env").write_text("A=1\n")
    run("cp", tmp_path / "env", mounted.path / ".env.backup")
    assert mounted.fetch(".env.backup") == b"A=1\n"
    with open(mounted.path / ".env.backuq", "x") as file:
        file.write("A=2\n")
    assert mounted.fetch(".env.backuq") == b"A=2\n"


def test_a_name_that_was_never_published_can_be_made_anew(
    mounted: MountedBucket, tmp_path: Path
) -> None:
    """S8.3; 4.6: cp could not read its source; the kernel forgets the empty target at once."""
    (mounted.path / "source").write_bytes(b"x")
    program = (
        "import os, sys\n"
        "target = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_EXCL)\n"
        "source = os.open(sys.argv[1], os.O_RDONLY)\n"
        "try:\n    os.read(source, 1)\nexcept PermissionError:\n    pass\n"
    )
    run(sys.executable, "-c", program, mounted.path / "source", mounted.path / "target")
    wait_until(lambda: is_missing(mounted.path / "target"))
    shell("echo later > target; stat target", mounted.path)
    assert mounted.fetch("target") == b"later\n"
    shell("rm target", mounted.path)
    assert not mounted.exists("target")


def test_a_deleted_file_is_not_written_under_another_files_name(mounted: MountedBucket) -> None:
    """S9.7; 4.6: a descriptor outlives unlink, and /proc opens it when the name is another
    file's.
    """
    (mounted.path / "f").write_bytes(b"first")
    held = write_only(mounted.path / "f", os.O_RDONLY)
    (mounted.path / "f").unlink()
    (mounted.path / "f").write_bytes(b"second")
    with pytest.raises(OSError, match="Errno") as told:
        os.open(f"/proc/self/fd/{held}", os.O_WRONLY | os.O_TRUNC)
    assert told.value.errno in (errno.ESTALE, errno.ENOENT)
    os.close(held)
    assert mounted.fetch("f") == b"second"


@pytest.mark.parametrize("flag", [os.O_SYNC, os.O_DSYNC], ids=["O_SYNC", "O_DSYNC"])
@pytest.mark.parametrize("mode", [os.O_APPEND, 0], ids=["append", "plain"])
def test_a_synchronous_record_outlives_a_crash(mount: MountFactory, flag: int, mode: int) -> None:
    """S1.5; 4.7: each write() that has returned is in the store."""
    mounted = mount("append_interval=0")
    flags = os.O_WRONLY | os.O_CREAT | flag | mode
    records = write_only(mounted.path / "records", flags)
    for number in range(3):
        os.write(records, b"record %d\n" % number)
    assert mounted.fetch("records") == b"record 0\nrecord 1\nrecord 2\n"
    mounted.kill()
    with pytest.raises(OSError, match="Errno"):
        os.close(records)
    mounted.mount()


def test_an_open_file_that_was_deleted_keeps_its_size(mounted: MountedBucket) -> None:
    """S9.7; 4.10: fstat() of a deleted file tells how long it is, and goes on to."""
    descriptor = write_only(mounted.path / "f", os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, b"12345")
    (mounted.path / "f").unlink()
    assert os.fstat(descriptor).st_size == 5
    os.write(descriptor, b"678")
    assert os.fstat(descriptor).st_size == 8
    os.close(descriptor)
    assert not mounted.exists("f")


def test_ftruncate_is_stored_by_its_own_close(mounted: MountedBucket) -> None:
    """S1.6: A descriptor that has only truncated has something to store, too."""
    (mounted.path / "f").write_bytes(OLD)
    descriptor = write_only(mounted.path / "f")
    os.ftruncate(descriptor, 3)
    os.close(descriptor)
    assert mounted.fetch("f") == OLD[:3]


def test_a_log_goes_on_while_its_writer_is_told_of_another_failure(
    mount: MountFactory, emulator: Emulator
) -> None:
    """S1.3; 4.1: two descriptors of one file: only who had bytes in the failed request is told."""
    mounted = mount("deadline=2,append_interval=0")
    shell("echo 1 >> log", mounted.path)
    first = write_only(mounted.path / "log", os.O_WRONLY | os.O_APPEND)
    second = write_only(mounted.path / "log", os.O_WRONLY | os.O_APPEND)
    emulator.fault(op="AppendObject", key=mounted.key("log"), status=500, count=None)
    os.write(first, b"lost\n")
    with pytest.raises(OSError, match="Errno"):
        os.fsync(first)
    emulator.clear_faults()
    os.write(second, b"2\n")
    os.fsync(second)
    os.close(second)
    os.close(first)
    assert mounted.fetch("log") == b"1\n2\n"
