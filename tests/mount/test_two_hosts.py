# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Two hosts at one bucket: neither loses a byte of the other's, whatever it still believes.

Each test is a fault that was seen once; FAULTS.md, section 1, has their numbers. The other host
is a second mount, or a program that speaks S3 and asks nobody. What must come at a certain moment
comes while the emulator holds a request back; the outcome is judged so that it is right whichever
of the two a busy machine lets go first.
"""

import errno
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from tests.harness.emulator import Emulator, running_emulator
from tests.harness.mounts import MountedBucket, MountFactory, shell, wait_until
from tests.harness.objects import ObjectStore
from tests.interop.rclone_server import running_rclone
from tests.mount.test_writing import MIB, noise

HELD = 2.5
"""Seconds for which a request is held back; what comes in between takes some milliseconds."""
APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND
EXCLUSIVE = os.O_WRONLY | os.O_CREAT | os.O_EXCL


@pytest.fixture
def other(mount: MountFactory, mounted: MountedBucket) -> MountedBucket:
    """A second host's mount of the same prefix."""
    return mount()


@pytest.fixture
def hosts(mounted: MountedBucket, other: MountedBucket) -> tuple[MountedBucket, MountedBucket]:
    """Two mounts that remember what they have seen for a minute."""
    return mounted, other


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """A descriptor without Python's buffers; what close() says counts."""
    descriptor = os.open(path, flags, 0o644)
    try:
        yield descriptor
    except BaseException:
        with suppress(OSError):
            os.close(descriptor)
        raise
    os.close(descriptor)


def store_line(path: Path, line: bytes, flags: int = APPEND) -> None:
    """Write and fsync, as a program that must know whether it is stored."""
    with opened(path, flags) as descriptor:
        os.write(descriptor, line)
        os.fsync(descriptor)


def meanwhile(
    emulator: Emulator,
    op: str,
    key: str,
    program: Callable[[], object],
    act: Callable[[], object],
) -> OSError | None:
    """`act` takes place while a request of `program` is held back; returns what that one says."""
    emulator.fault(op=op, key=key, delay=HELD)
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(program)
        wait_until(lambda: outcome.done() or bool(emulator.faults()[-1]["seen"]))
        assert emulator.faults()[-1]["seen"], f"the program sent no {op}"
        act()
        told = outcome.exception()
    assert told is None or isinstance(told, OSError), told
    return told


def helpers(store: ObjectStore) -> list[str]:
    """The keys of helper objects."""
    keys = store.keys()
    return [key for key in keys if key.startswith(".kontenumfs")]


def all_lines(mounted: MountedBucket, names: Iterable[str]) -> list[bytes]:
    """The lines of several objects, those that are there."""
    bodies = [mounted.fetch(name) for name in names if mounted.exists(name)]
    return [line for body in bodies for line in body.splitlines(keepends=True)]


# Renames (1.1, 1.2, 1.13)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_header_written_after_a_rename_leaves_the_other_hosts_line(
    mounted: MountedBucket, store: ObjectStore, what: str, moment: str
) -> None:
    """S5.4; 1.1: the log had grown unseen when it was renamed; opened before that, or after it."""
    (mounted.path / "d").mkdir()
    (mounted.path / "d/log").write_bytes(b"one\n")
    held = os.open(mounted.path / "d/log", os.O_WRONLY) if moment == "before" else -1
    store.append("d/log", b"theirs\n")
    renamed = "d/log.1" if what == "file" else "e/log"
    if what == "file":
        (mounted.path / "d/log").rename(mounted.path / renamed)
    else:
        (mounted.path / "d").rename(mounted.path / "e")
    if moment == "after":
        held = os.open(mounted.path / renamed, os.O_WRONLY)
    os.pwrite(held, b"ONE", 0)
    os.close(held)
    assert mounted.fetch(renamed) == b"ONE\ntheirs\n"


def test_a_log_that_another_host_appends_to_is_rotated(
    hosts: tuple[MountedBucket, MountedBucket],
) -> None:
    """1.1: `mv log log.1` of a log that has grown since it was seen, with an open descriptor."""
    here, there = hosts
    shell("echo one > log; ls -l", here.path)
    header = os.open(here.path / "log", os.O_WRONLY)
    shell("echo theirs >> log", there.path)
    shell("mv log log.1", here.path)
    assert here.fetch("log.1") == b"one\ntheirs\n"
    os.pwrite(header, b"ONE", 0)
    os.close(header)
    assert here.fetch("log.1") == b"ONE\ntheirs\n"
    assert not here.exists("log")
    shell("echo new >> log; ls -l", there.path)
    assert here.fetch("log") == b"new\n"


def test_a_directory_that_another_host_appends_into_is_renamed(
    hosts: tuple[MountedBucket, MountedBucket],
) -> None:
    """1.1: `mv d e`: with the lines that came since it was listed, and their lengths."""
    here, there = hosts
    shell("mkdir d; echo one > d/log; ls -l d", here.path)
    shell("echo theirs >> d/log", there.path)
    shell("mv d e; echo three >> e/log; cat e/log > all", here.path, check=False)
    assert here.fetch("e/log") == b"one\ntheirs\nthree\n"
    assert (here.path / "e/log").stat().st_size == 17
    assert not here.exists("d/log")


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_copy_of_a_renamed_log_is_whole(
    mounted: MountedBucket, store: ObjectStore, what: str
) -> None:
    """S5.1; 1.1: `mv log log.1; cat log.1 > all`, with the line that came before the mv."""
    shell("mkdir d; echo one > d/log; stat d/log", mounted.path)
    store.append("d/log", b"theirs\n")
    if what == "file":
        shell("mv d/log d/log.1; cat d/log.1 > all", mounted.path)
    else:
        shell("mv d e; cat e/log > all", mounted.path)
    assert mounted.fetch("all") == b"one\ntheirs\n"


@pytest.mark.parametrize("op", ["CopyObject", "DeleteObject"])
def test_a_line_that_comes_while_a_log_is_rotated(
    mounted: MountedBucket, store: ObjectStore, emulator: Emulator, op: str
) -> None:
    """S5.1; 1.2: before the copy is made, or between it and the delete: once, in one of the two."""
    (mounted.path / "log").write_bytes(b"one\n")

    def rotate() -> None:
        (mounted.path / "log").rename(mounted.path / "log.1")

    theirs = partial(store.append, "log", b"theirs\n")
    key = mounted.key("log.1" if op == "CopyObject" else "log")
    assert meanwhile(emulator, op, key, rotate, theirs) is None
    assert all_lines(mounted, ["log.1", "log"]) == [b"one\n", b"theirs\n"]


@pytest.mark.parametrize("program", ["rename", "mv"])
def test_lines_that_come_under_both_names_while_a_log_is_rotated(
    mount: MountFactory, store: ObjectStore, emulator: Emulator, program: str
) -> None:
    """S5.3: all are under the new name; `mv`, too, which tries a second time without
    RENAME_NOREPLACE, has nothing to try again.
    """
    mounted = mount("ttl=0")  # or the kernel would not see that the name is taken by now
    (mounted.path / "log").write_bytes(b"one\n")

    def rotate() -> None:
        if program == "mv":
            shell("mv log log.1", mounted.path)
        else:
            (mounted.path / "log").rename(mounted.path / "log.1")

    def lines() -> None:
        store.append("log", b"old name\n")
        store.append("log.1", b"new name\n")

    assert meanwhile(emulator, "DeleteObject", mounted.key("log"), rotate, lines) is None
    assert mounted.fetch("log.1") == b"one\nold name\nnew name\n"
    assert not mounted.exists("log")
    assert (mounted.path / "log.1").stat().st_size == 22
    assert helpers(store) == []


def test_two_hosts_rename_one_file(
    hosts: tuple[MountedBucket, MountedBucket], emulator: Emulator
) -> None:
    """S5.12: one of them is told that it has it: a job is claimed by a rename."""
    here, there = hosts
    (here.path / "job").write_bytes(b"job")
    assert (there.path / "job").exists()

    def claim(mounted: MountedBucket, name: str) -> None:
        (mounted.path / "job").rename(mounted.path / name)

    told = meanwhile(
        emulator,
        "DeleteObject",
        here.key("job"),
        partial(claim, here, "job.here"),
        partial(claim, there, "job.there"),
    )
    assert told is not None
    assert told.errno == errno.ENOENT
    assert there.fetch("job.there") == b"job"
    assert not here.exists("job")


def test_a_rename_is_not_told_as_done_without_the_bytes_before_it(
    mounted: MountedBucket, store: ObjectStore
) -> None:
    """S1.1, S5.3: they cannot be stored, for others have changed the file: EBUSY, not once ESTALE,
    after which the kernel would rename the file without them.
    """
    mounted.expected = "another writer"
    (mounted.path / "log").write_bytes(b"one\n")
    descriptor = os.open(mounted.path / "log", os.O_WRONLY)
    os.pwrite(descriptor, b"mine\n", 4)
    store.append("log", b"theirs\n")
    with pytest.raises(OSError, match="busy"):
        (mounted.path / "log").rename(mounted.path / "log.1")
    with pytest.raises(OSError, match="Stale"):
        os.close(descriptor)
    assert mounted.fetch("log") == b"one\ntheirs\n"
    assert not mounted.exists("log.1")


@pytest.mark.parametrize("op", ["CopyObject", "DeleteObject*"])
def test_a_line_that_comes_while_its_directory_is_renamed(
    mounted: MountedBucket, store: ObjectStore, emulator: Emulator, op: str
) -> None:
    """S5.1; 1.2: the same of all that is below a directory."""
    shell("mkdir d; echo one > d/log; echo x > d/f", mounted.path)

    def rename() -> None:
        (mounted.path / "d").rename(mounted.path / "e")

    theirs = partial(store.append, "d/log", b"theirs\n")
    key = mounted.key("[de]/log") if op == "CopyObject" else "*"
    assert meanwhile(emulator, op, key, rename, theirs) is None
    assert all_lines(mounted, ["e/log", "d/log"]) == [b"one\n", b"theirs\n"]
    assert mounted.fetch("e/f") == b"x\n"


def test_logrotate_here_and_appenders_there(mount: MountFactory) -> None:
    """S5.1; 1.2: five rotations by one host beside two writers of another: each line once, no
    error."""
    rotator, writers = mount("ttl=0"), mount()
    ended = threading.Event()
    names = [f"log.{number}" for number in range(5)]

    def write(name: str) -> list[bytes]:
        written: list[bytes] = []
        while not ended.is_set():
            written.append(b"%s %d\n" % (name.encode(), len(written)))
            store_line(writers.path / "log", written[-1])
            ended.wait(0.05)
        return written

    with ThreadPoolExecutor() as pool:
        tasks = [pool.submit(write, name) for name in ("a", "b")]
        try:
            for name in names:
                wait_until(lambda: rotator.exists("log") or any(task.done() for task in tasks))
                (rotator.path / "log").rename(rotator.path / name)
        finally:
            ended.set()
        written = [line for task in tasks for line in task.result()]
    assert sorted(all_lines(rotator, [*names, "log"])) == sorted(written)


def test_what_another_host_has_put_is_moved_as_it_is(
    mounted: MountedBucket, store: ObjectStore
) -> None:
    """S5.2; 1.13: `mv a b` gives their bytes neither the time nor the headers of what was there."""
    shell("echo mine > a; touch -d @1000000000 a", mounted.path)
    os.setxattr(mounted.path / "a", "user.mime_type", b"text/x")
    with opened(mounted.path / "a", os.O_RDONLY) as descriptor:
        os.fsync(descriptor)
    metadata = {"mtime": "1234567890", "mtime-size": "6"}
    store.put("a", b"theirs", ContentType="video/mp4", CacheControl="no-cache", Metadata=metadata)
    (mounted.path / "a").rename(mounted.path / "b")
    found = store.head("b")
    assert mounted.fetch("b") == b"theirs"
    assert (found["ContentType"], found["CacheControl"]) == ("video/mp4", "no-cache")
    assert float(found["Metadata"]["mtime"]) == 1234567890
    assert (mounted.path / "b").stat().st_mtime == 1234567890


# Changes in the middle (1.3)


def patch(descriptor: int, size: int) -> None:
    """Bytes in the middle."""
    os.pwrite(descriptor, b"PATCHED", size // 2)


def shorten(descriptor: int, size: int) -> None:
    """Half of it."""
    os.ftruncate(descriptor, size // 2)


def shorten_and_add(descriptor: int, size: int) -> None:
    """Half of it, and another end."""
    os.ftruncate(descriptor, size // 2)
    os.pwrite(descriptor, b"ADDED", size // 2)


@pytest.mark.parametrize("size", [1000, 12 * MIB], ids=["small", "large"])
@pytest.mark.parametrize("change", [patch, shorten, shorten_and_add])
def test_a_line_that_comes_while_the_middle_is_changed(
    mounted: MountedBucket,
    store: ObjectStore,
    emulator: Emulator,
    change: Callable[[int, int], None],
    size: int,
) -> None:
    """S3.3; 1.3: pwrite and ftruncate against an append: it stays, and who would undo it hears
    ESTALE."""
    body = noise(size)
    (mounted.path / "f").write_bytes(body)

    def change_it() -> None:
        with opened(mounted.path / "f", os.O_WRONLY) as descriptor:
            change(descriptor, size)

    def theirs() -> None:
        store.append("f", b"theirs\n")

    key = mounted.key("f")
    told = meanwhile(emulator, "CompleteMultipartUpload", key, change_it, theirs)
    found = mounted.fetch("f")
    assert found.endswith(b"theirs\n")
    if told is None:
        assert found != body + b"theirs\n", "it came after, so the change must be there"
    else:
        assert told.errno == errno.ESTALE
        assert found == body + b"theirs\n"
    assert store.uploads() == []
    assert helpers(store) == []


# Names that must be free (1.4)


def test_a_name_that_another_host_has_made_is_not_replaced_by_a_new_file(
    mounted: MountedBucket, store: ObjectStore
) -> None:
    """S7.2; 1.4: within the ttl; O_EXCL hears EEXIST, open("w") ESTALE, and `>>` adds to it."""
    names = ("exclusive", "plain", "log")
    shell("ls -la", mounted.path)
    for name in names:
        assert not (mounted.path / name).exists()
        store.put(name, b"theirs\n")
    with pytest.raises(FileExistsError):
        store_line(mounted.path / "exclusive", b"ours\n", EXCLUSIVE)
    with pytest.raises(OSError, match="Stale"):
        store_line(mounted.path / "plain", b"ours\n", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    store_line(mounted.path / "log", b"ours\n")
    assert [mounted.fetch(name) for name in names] == [
        b"theirs\n",
        b"theirs\n",
        b"theirs\nours\n",
    ]
    # From here on it is known, and can be replaced by who means it.
    shell("echo ours > plain", mounted.path)
    assert mounted.fetch("plain") == b"ours\n"


def test_names_that_must_be_free_are_asked_for(mount: MountFactory, store: ObjectStore) -> None:
    """S5.5, S7.3; 1.4: `mv -n`, `ln -s` and mkdir of a name that another host has made: EEXIST."""
    mounted = mount("symlinks=metadata")
    (mounted.path / "mine").write_bytes(b"mine")
    for name in ("moved", "link"):
        assert not (mounted.path / name).exists()
        store.put(name, b"theirs")
    assert not (mounted.path / "made").exists()
    store.put("made/", b"", Metadata={"theirs": "yes"})
    shell("mv -n mine moved", mounted.path, check=False)  # some report it, and some do not
    with pytest.raises(FileExistsError):
        (mounted.path / "link").symlink_to("mine")
    with pytest.raises(FileExistsError):
        (mounted.path / "made").mkdir()
    assert [mounted.fetch(name) for name in ("mine", "moved", "link")] == [
        b"mine",
        b"theirs",
        b"theirs",
    ]
    assert store.head("made/")["Metadata"]["theirs"] == "yes"


@pytest.mark.parametrize("lost", ["", "before", "after"], ids=["heard", "before", "after"])
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_lock_has_one_owner(
    mounted: MountedBucket, other: MountedBucket, emulator: Emulator, kind: str, lost: str
) -> None:
    """S7.3; 1.4: two hosts make the same names at once, also where answers are lost."""
    if lost:
        emulator.fault(op="PutObject", key=mounted.key("lock*"), every=3, reset=lost)

    def take(host: MountedBucket) -> list[bool]:
        taken = []
        for number in range(12):
            barrier.wait()
            path = host.path / f"lock{number}"
            try:
                if kind == "file":
                    store_line(path, b"locked\n", EXCLUSIVE)
                else:
                    path.mkdir()
            except FileExistsError:
                taken.append(False)
            else:
                taken.append(True)
        return taken

    barrier = threading.Barrier(2)
    with ThreadPoolExecutor() as pool:
        owned = list(zip(*pool.map(take, (mounted, other)), strict=True))
    assert [sum(pair) for pair in owned] == [1] * 12


def test_who_may_not_remove_a_directory_sees_what_is_in_it(
    mounted: MountedBucket, store: ObjectStore
) -> None:
    """S9.8: what another host has put there within the ttl; so `rm -r` can be repeated."""
    directory = mounted.path / "jobs"
    directory.mkdir()
    assert list(directory.iterdir()) == []
    store.put("jobs/1", b"theirs")
    store.put("jobs/2/3", b"theirs")
    with pytest.raises(OSError, match="not empty"):
        directory.rmdir()
    assert sorted(path.name for path in directory.iterdir()) == ["1", "2"]
    shell("rm -r jobs", mounted.path)
    assert store.keys() == []


def test_rm_deletes_what_has_the_name_by_then(mounted: MountedBucket, store: ObjectStore) -> None:
    """S7.6: as on a disk, whoever has put it there; and the name is free for both."""
    shell("echo ours > f; stat f", mounted.path)
    store.put("f", b"theirs")
    (mounted.path / "f").unlink()
    assert not mounted.exists("f")
    store_line(mounted.path / "f", b"new\n", EXCLUSIVE)
    assert mounted.fetch("f") == b"new\n"


# Lost answers (1.5, 1.6)


def test_a_lost_append_does_not_go_onto_a_replacement(
    mounted: MountedBucket, store: ObjectStore, emulator: Emulator
) -> None:
    """S6.7; 1.5: of the same length, while the answer is lost: ESTALE, and theirs as it is."""
    (mounted.path / "f").write_bytes(b"our part one")
    shell("echo x >> probe", mounted.path)
    descriptor = os.open(mounted.path / "f", os.O_WRONLY)
    os.pwrite(descriptor, b" and two", 12)
    emulator.fault(op="AppendObject", key=mounted.key("f"), delay=HELD, reset="before")
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(os.fsync, descriptor)
        wait_until(lambda: bool(emulator.faults()[-1]["seen"]))
        store.put("f", b"their object")
        with pytest.raises(OSError, match="Stale"):
            outcome.result()
    with pytest.raises(OSError, match="Stale"):
        os.close(descriptor)
    assert mounted.fetch("f") == b"their object"


@pytest.mark.parametrize("lost", ["before", "after"])
def test_lines_of_one_length_are_not_mixed_up(
    mounted: MountedBucket, other: MountedBucket, emulator: Emulator, lost: str
) -> None:
    """S6.4; 1.6: `date >> log` on two hosts, every fourth append without an answer: each line
    once.
    """
    shell("echo begin >> log", mounted.path)
    emulator.fault(op="AppendObject", key=mounted.key("log"), every=4, reset=lost)

    def write(host: MountedBucket, name: str) -> tuple[list[bytes], list[bytes]]:
        told, doubtful = [], []
        for number in range(25):
            line = b"%s %03d\n" % (name.encode(), number)
            try:
                store_line(host.path / "log", line)
            except OSError:  # without digests a lost answer cannot always be decided
                doubtful.append(line)
            else:
                told.append(line)
        return told, doubtful

    with ThreadPoolExecutor() as pool:
        both = list(pool.map(write, (mounted, other), "ab"))
    found = Counter(all_lines(mounted, ["log"]))
    assert found.pop(b"begin\n") == 1
    told, doubtful = (
        [line for lines in kind for line in lines] for kind in zip(*both, strict=True)
    )
    assert {line: found[line] for line in told if found[line] != 1} == {}
    assert {line: n for line, n in found.items() if line not in told and n > 1} == {}
    assert set(found) <= {*told, *doubtful}


# Appends that meet (1.7, 1.8)


def test_four_hosts_append_to_one_log(mount: MountFactory) -> None:
    """S6.1; 1.7: begun by all of them at once; each line once, and nobody hears an error."""
    hosts = [mount() for _ in range(4)]

    def write(host: MountedBucket, name: str) -> None:
        for number in range(15):
            store_line(host.path / "log", b"%s %d\n" % (name.encode(), number))

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, hosts, "abcd"))
    lines = all_lines(hosts[0], ["log"])
    assert sorted(lines) == sorted(b"%c %d\n" % (c, n) for c in b"abcd" for n in range(15))
    for name in b"abcd":
        mine = [line for line in lines if line[0] == name]
        assert mine == [b"%c %d\n" % (name, number) for number in range(15)]


def test_a_large_append_beside_a_busy_host_lands_whole_and_is_sent_once_or_twice(
    mount: MountFactory, store: ObjectStore, emulator: Emulator
) -> None:
    """S6.2, S6.3; 1.7: 3 MiB by one write(), which the kernel cuts: nobody else's lines are in
    between."""
    mounted = mount("append_interval=0")
    (mounted.path / "log").write_bytes(b"begin\n")
    body, ended, theirs = noise(3 * MIB), threading.Event(), [b"begin\n"]

    def chatter() -> None:
        while not ended.is_set():
            theirs.append(b"theirs %d\n" % len(theirs))
            store.append("log", theirs[-1])

    emulator.mark()
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(chatter)
        try:
            for _ in range(4):
                with opened(mounted.path / "log", APPEND) as descriptor:
                    assert os.write(descriptor, body) == len(body)
        finally:
            ended.set()
        busy.result()
    found = mounted.fetch("log")
    assert found.count(body) == 4
    assert found.replace(body, b"") == b"".join(theirs)
    assert emulator.sent(mounted.key("log")) < 2.5 * 4 * len(body)


@pytest.mark.parametrize("way", ["deleted", "renamed"])
def test_a_log_that_another_host_has_taken_away_is_begun_anew(
    mounted: MountedBucket, other: MountedBucket, way: str
) -> None:
    """S6.8; 1.8: by the next `echo >> log`, and by a descriptor that was held all the time."""
    store_line(mounted.path / "log", b"one\n")
    store_line(mounted.path / "held", b"one\n")
    with opened(mounted.path / "held", APPEND) as held:
        os.write(held, b"two\n")
        os.fsync(held)
        script = "rm log held" if way == "deleted" else "mv log log.1; mv held held.1"
        shell(script, other.path)
        shell("echo new >> log", mounted.path)
        os.write(held, b"new\n")
        os.fsync(held)
        assert mounted.fetch("held") == b"new\n"
        os.write(held, b"newer\n")
    assert (mounted.fetch("log"), mounted.fetch("held")) == (b"new\n", b"new\nnewer\n")
    if way == "renamed":
        old = (mounted.fetch("log.1"), mounted.fetch("held.1"))
        assert old == (b"one\n", b"one\ntwo\n")


def test_who_is_not_an_appender_does_not_begin_a_deleted_file_anew(
    mounted: MountedBucket, store: ObjectStore
) -> None:
    """S6.8; 1.8, the other side: without O_APPEND the end is where it was, and that has gone:
    ESTALE."""
    (mounted.path / "f").write_bytes(b"content")
    descriptor = os.open(mounted.path / "f", os.O_WRONLY)
    os.pwrite(descriptor, b" and more", 7)
    store.delete("f")
    with pytest.raises(OSError, match="Stale"):
        os.fsync(descriptor)
    with pytest.raises(OSError, match="Stale"):
        os.close(descriptor)
    assert not mounted.exists("f")


def test_who_is_not_an_appender_is_told_of_one(mounted: MountedBucket, store: ObjectStore) -> None:
    """S6.7; 1.10: also after appends of its own have gone well; and nothing of theirs is lost."""
    (mounted.path / "f").write_bytes(b"1")
    descriptor = os.open(mounted.path / "f", os.O_WRONLY)
    for at in (1, 2):
        os.pwrite(descriptor, b"x", at)
        os.fsync(descriptor)
    store.append("f", b" theirs")
    os.pwrite(descriptor, b"y", 3)
    with pytest.raises(OSError, match="Stale"):
        os.fsync(descriptor)
    with pytest.raises(OSError, match="Stale"):
        os.close(descriptor)
    assert mounted.fetch("f") == b"1xx theirs"


def test_a_log_is_begun_by_two_hosts_where_no_condition_is_honoured(
    mount: MountFactory, tmp_path: Path
) -> None:
    """S6.1; 1.10: the second one, which believes that there is nothing, erases no line."""
    with running_emulator(tmp_path / "careless", "--conditional=none") as careless:
        hosts = [mount(server=careless) for _ in range(2)]
        for host in hosts:
            shell("ls -la", host.path)
            assert not (host.path / "log").exists()
        for number, host in enumerate(hosts):
            store_line(host.path / "log", b"line %d\n" % number)
        assert hosts[0].fetch("log") == b"line 0\nline 1\n"


# A plain S3 server (1.9)


def test_a_plain_server_never_gets_an_append_to_a_users_key(
    mount: MountFactory, tmp_path: Path
) -> None:
    """S6.9; 1.9: it would replace the other host's object by our line; the writer is told
    instead.
    """
    with running_rclone(tmp_path) as server:
        mounted = mount("deadline=10", server=server)
        elsewhere = ObjectStore(server.s3_url, mount.prefix)
        shell("mkdir d; echo x > d/x; ls -la d", mounted.path)
        assert not (mounted.path / "d/f").exists()
        elsewhere.put("d/f", b"theirs, and precious\n")
        with pytest.raises(OSError, match="not supported"):
            store_line(mounted.path / "d/f", b"new\n")
        shell("echo newer >> d/f", mounted.path, check=False)
        assert mounted.fetch("d/f") == b"theirs, and precious\n"
        assert (mounted.path / "d/f").stat().st_size == len(b"theirs, and precious\n")
        shell("echo first >> d/new", mounted.path)
        assert mounted.fetch("d/new") == b"first\n"
        elsewhere.close()


# Copies (1.11)


@pytest.mark.parametrize("length", ["as long", "longer"])
@pytest.mark.parametrize("target", ["new", "existing"])
def test_a_source_that_is_replaced_before_its_copy_is_stored(
    mounted: MountedBucket, store: ObjectStore, target: str, length: str
) -> None:
    """S4.3; 1.11: between copy_file_range() and close(): ESTALE, no mixture, and an old object
    stays."""
    shell("echo source a > a; echo source b > b", mounted.path)
    if target == "existing":
        (mounted.path / "c").write_bytes(b"the old object\n")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    descriptor = os.open(mounted.path / "c", flags)
    for name in "ab":
        with opened(mounted.path / name, os.O_RDONLY) as source:
            assert os.copy_file_range(source, descriptor, 1 << 20) == 9
    store.put("a", b"replaced\n" if length == "as long" else b"replaced and longer\n")
    with pytest.raises(OSError, match="Stale"):
        os.close(descriptor)
    if target == "existing":
        assert mounted.fetch("c") == b"the old object\n"
    else:
        assert not mounted.exists("c")
    assert helpers(store) == []


# Late requests (1.14)


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
def test_a_put_that_comes_after_its_deadline_undoes_nothing(
    mount: MountFactory, store: ObjectStore, emulator: Emulator, known: bool
) -> None:
    """S7.5; 1.14: its writer has heard an error, another host has written since, and then it
    arrives."""
    mounted = mount("deadline=2")
    if known:
        (mounted.path / "f").write_bytes(b"old")
    key = mounted.key("f")
    emulator.mark()
    emulator.fault(op="PutObject", key=key, delay=6, count=None)
    with pytest.raises(OSError, match="Errno"):
        store_line(mounted.path / "f", b"late", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    late = emulator.faults()[-1]["seen"]
    emulator.clear_faults()
    store.put("f", b"theirs")

    def puts() -> int:
        return sum((r["op"], r["key"]) == ("PutObject", key) for r in emulator.requests())

    wait_until(lambda: puts() == late + 1)
    assert late
    assert mounted.fetch("f") == b"theirs"
