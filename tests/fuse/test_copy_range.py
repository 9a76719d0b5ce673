# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The copy_file_range extension: real requests of the kernel, to a small file system of our own."""

import errno
import hashlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from kontenumfs.admin.mounts import detach, is_mountpoint
from kontenumfs.fuse import copy_range
from tests.fuse.copying import AT_ONCE, HUGE, TOGETHER
from tests.harness.mounts import PROMPTLY, await_end, run, shell, wait_until

SCRIPT = Path(__file__).with_name("copying.py")
MODULES_WITH_PYFUSE3 = [
    ".".join(path.relative_to(Path(copy_range.__file__).parents[2]).with_suffix("").parts)
    for path in sorted(Path(copy_range.__file__).parents[1].rglob("*.py"))
    if "import pyfuse3" in path.read_text()
]


@pytest.fixture(scope="session")
def extension() -> None:
    """The extension: required in CI, where a failed build must not hide the tests."""
    if copy_range.MISSING is not None:
        if os.environ.get("CI"):
            pytest.fail(f"the extension was not built: {copy_range.MISSING}")
        pytest.skip("the extension was not built: needs gcc, python3-dev and libfuse3-dev")


class Copying:
    """The file system of copying.py, in a process of its own."""

    def __init__(self, path: Path, how: str) -> None:
        self.path = path
        path.mkdir()
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, SCRIPT, path, how],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.stderr = ""
        self._threads = [threading.Thread(target=self._listen), threading.Thread(target=self._err)]
        for thread in self._threads:
            thread.start()
        wait_until(lambda: is_mountpoint(path) or self.process.poll() is not None)
        self.installed = self.next()["installed"]

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(json.loads(line))

    def _err(self) -> None:
        assert self.process.stderr is not None
        self.stderr = self.process.stderr.read()

    def next(self) -> dict[str, Any]:
        """What it says next."""
        return self._lines.get(timeout=PROMPTLY)

    def said(self) -> list[dict[str, Any]]:
        """What it has said since it was asked last."""
        lines: list[dict[str, Any]] = []
        with suppress(OSError):  # it has ended, and its last line has been read
            os.getxattr(self.path, "user.mark")
            while "mark" not in (line := self.next()):
                lines.append(line)
            return lines
        with suppress(queue.Empty):
            while True:
                lines.append(self._lines.get_nowait())
        return lines

    def write(self, name: str, content: bytes) -> Path:
        """Make a file."""
        (self.path / name).write_bytes(content)
        return self.path / name

    def has(self, name: str, content: bytes) -> bool:
        """Whether a file has this content, asked in a way that is no read()."""
        digest = os.getxattr(self.path / name, "user.sha256").decode()
        return digest == hashlib.sha256(content).hexdigest()

    def terminate(self) -> None:
        """End it, and see that it ended well."""
        self.process.terminate()
        self.await_end()

    def await_end(self) -> None:
        """See that it ends well."""
        code = self.process.wait(PROMPTLY)
        for thread in self._threads:
            thread.join()
        assert code == 0, self.stderr
        assert {"ended": True} in self.said()

    def close(self) -> None:
        """End it however it is."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PROMPTLY)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for thread in self._threads:
            thread.join()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()
        if is_mountpoint(self.path):
            detach(self.path)


@pytest.fixture
def serve(fuse: None, extension: None, tmp_path: Path) -> Iterator[Callable[[str], Copying]]:
    """Make file systems; all of them end with the test."""
    made: list[Copying] = []

    def make(how: str) -> Copying:
        made.append(Copying(tmp_path / how, how))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def copying(serve: Callable[[str], Copying]) -> Copying:
    """The file system, with the handler installed as kontenumfs does it."""
    made = serve("install")
    assert made.installed
    return made


def copy(source: Path, target: Path, length: int, begin: int = 0, to: int = 0) -> int:
    """One copy_file_range(2) to a file that is made if need be."""
    read = os.open(source, os.O_RDONLY)
    write = os.open(target, os.O_WRONLY | os.O_CREAT)
    try:
        return os.copy_file_range(read, write, length, begin, to)
    finally:
        for handle in (write, read):
            with suppress(OSError):  # the file system may have gone
                os.close(handle)


def failure(source: Path, target: Path) -> int:
    """The errno of a copy that fails."""
    with pytest.raises(OSError, match=r"\[Errno") as failed:
        copy(source, target, 10)
    number = failed.value.errno
    assert number is not None
    return number


def test_a_copy_arrives_as_it_was_asked(copying: Copying) -> None:
    """Files, offsets, length and flags reach the handler, and its count the program."""
    source = copying.write("source", bytes(range(100)))
    assert copy(source, copying.path / "target", 30, 20, 5) == 30
    assert copying.said() == [{"copy": ["source", 20, "target", 5, 30, 0], "under_way": 1}]
    assert copying.has("target", bytes(5) + bytes(range(20, 50)))


def test_large_offsets_and_lengths(copying: Copying) -> None:
    """Beyond 4 GiB the numbers stay whole; the kernel cuts the length at the source's end."""
    source = copying.write("source", b"x" * 1000)
    assert copy(source, copying.path / "short", 2**40, 0, 0) == 3
    with pytest.raises(OSError, match=r"\[Errno"):
        copy(source, copying.path / f"errno{errno.EFBIG}", 10, 990, 2**40 + 7)
    assert [line["copy"] for line in copying.said()] == [
        ["source", 0, "short", 0, 1000, 0],
        ["source", 990, f"errno{errno.EFBIG}", 2**40 + 7, 10, 0],
    ]


def test_a_huge_copy_is_counted_right(copying: Copying) -> None:
    """Over 4 GiB at once, or in steps where libfuse (before 3.18) counts in 32 bits."""
    source = copying.write("huge", b"")
    copied = 0
    while copied < HUGE:
        count = copy(source, copying.path / "nothing", HUGE - copied, copied, copied)
        assert count in (HUGE - copied, 0xFFFFF000)
        copied += count
    assert copied == HUGE


def test_the_file_grows_as_the_copy_says(copying: Copying) -> None:
    """A handler may copy less: the program is told so, and asks again."""
    source = copying.write("source", b"0123456789")
    assert copy(source, copying.path / "short", 10) == 3
    assert (copying.path / "short").stat().st_size == 3
    run("cp", source, copying.path / "short")
    assert copying.has("short", b"0123456789")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.ESTALE, errno.EFBIG])
def test_an_errno_reaches_the_program(copying: Copying, number: int) -> None:
    """FUSEError is the program's errno, and the next copy works."""
    source = copying.write("source", b"content")
    assert failure(source, copying.path / f"errno{number}") == number
    assert copy(source, copying.path / "target", 7) == 7
    copying.terminate()
    assert copying.stderr == ""


@pytest.mark.parametrize("name", ["raise", "none", "more", "errno0", "errno512", "errno-5"])
def test_a_broken_handler_is_an_io_error(copying: Copying, name: str) -> None:
    """An exception, or an answer that is none, is EIO and a traceback in the log."""
    source = copying.write("source", b"content")
    assert failure(source, copying.path / name) == errno.EIO
    assert copy(source, copying.path / "target", 7) == 7
    copying.terminate()
    assert "copy_file_range failed" in copying.stderr
    assert "Traceback" in copying.stderr


@pytest.mark.parametrize("how", ["drop", "fail", "closed"])
def test_no_request_is_left_without_an_answer(serve: Callable[[str], Copying], how: str) -> None:
    """Whatever Python does with a request, the program is not left hanging."""
    made = serve(how)
    assert made.installed
    source = made.write("source", b"content")
    for _ in range(3):
        assert failure(source, made.path / "target") == errno.EIO
    made.terminate()


def test_a_request_has_one_answer(serve: Callable[[str], Copying]) -> None:
    """Impossible answers and second ones are refused, and the right one is sent."""
    made = serve("twice")
    source = made.write("source", b"0123456789")
    assert copy(source, made.path / "target", 10) == 10
    (line,) = made.said()
    assert line["refused"] == [
        "11 of 10 bytes",
        "-1 of 10 bytes",
        "0 is no errno",
        "512 is no errno",
        "the request has been answered",
        "the request has been answered",
    ]


def test_without_a_handler_nothing_changes(serve: Callable[[str], Copying]) -> None:
    """The kernel is told ENOSYS, as by a file system that knows nothing of it, and reads."""
    made = serve("nobody")
    assert not made.installed
    source = made.write("source", b"content")
    assert failure(source, made.path / "target") in (errno.EACCES, errno.EOPNOTSUPP)
    made.terminate()


def test_cp_and_cat_copy_without_reading(copying: Copying) -> None:
    """coreutils' cp and cat ask for copies, and read nothing."""
    a, b = os.urandom(300_000), os.urandom(100_000)
    copying.write("a", a)
    copying.write("b", b)
    shell("cp a copy", copying.path)
    assert copying.has("copy", a)
    shell("cat a b > c", copying.path)
    assert copying.has("c", a + b)
    said = copying.said()
    assert not [line for line in said if "read" in line]
    assert [line["copy"][:5] for line in said if line["copy"][4]] == [
        ["a", 0, "copy", 0, 300_000],
        ["a", 0, "c", 0, 300_000],
        ["b", 0, "c", 300_000, 100_000],
    ]


def test_copies_run_side_by_side(copying: Copying) -> None:
    """Several are under way at once, while other requests are answered."""
    source = copying.write("source", b"content")
    with ThreadPoolExecutor(TOGETHER) as pool:
        copies = [
            pool.submit(copy, source, copying.path / f"together{number}", 7)
            for number in range(TOGETHER - 1)
        ]
        wait_until(lambda: copying.next()["under_way"] == TOGETHER - 1)
        assert source.stat().st_size == 7
        copies.append(pool.submit(copy, source, copying.path / "together-last", 7))
        assert [each.result(PROMPTLY) for each in copies] == [7] * TOGETHER


def test_many_copies_take_turns(copying: Copying) -> None:
    """No more than the limit are under way, and all are done."""
    source = copying.write("source", b"content")
    with ThreadPoolExecutor(4 * AT_ONCE) as pool:
        done = list(
            pool.map(
                lambda number: copy(source, copying.path / f"yield{number}", 7), range(20 * AT_ONCE)
            )
        )
    assert done == [7] * 20 * AT_ONCE
    assert max(line["under_way"] for line in copying.said()) == AT_ONCE


def test_the_first_copies_may_come_at_once(copying: Copying) -> None:
    """A kernel that asks for COPY_FILE_RANGE_64 first (6.18) is not told ENOSYS.

    It takes the second of two such answers at once for the end of all copying on this mount.
    """
    source = copying.write("source", b"content")
    for number in range(AT_ONCE):
        copying.write(f"target{number}", b"")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        handles = [os.open(copying.path / f"target{n}", os.O_WRONLY) for n in range(AT_ONCE)]
        read = os.open(source, os.O_RDONLY)
        copying.process.send_signal(signal.SIGSTOP)
        copies = [pool.submit(os.copy_file_range, read, each, 7, 0, 0) for each in handles]
        time.sleep(0.3)  # all of them wait in the kernel's queue by now
        copying.process.send_signal(signal.SIGCONT)
        try:
            assert [each.result(PROMPTLY) for each in copies] == [7] * AT_ONCE
        finally:
            for handle in (read, *handles):
                os.close(handle)


def outstanding(made: Copying, pool: ThreadPoolExecutor) -> list[Future[int]]:
    """Copies that hang, in the handler's hands; to one file the kernel asks for one at a time."""
    source = made.write("source", b"content")
    copies = [pool.submit(failure, source, made.path / f"hang{number}") for number in range(3)]
    assert {made.next()["copy"][2] for _ in copies} == {"hang0", "hang1", "hang2"}
    return copies


@pytest.mark.parametrize(
    ("how", "expected"), [("install", errno.EIO), ("outlive", errno.ECONNABORTED)]
)
def test_the_end_with_copies_under_way(
    serve: Callable[[str], Copying], how: str, expected: int
) -> None:
    """SIGTERM ends the mount and the programs' waits, whoever ends first: handlers or session."""
    made = serve(how)
    with ThreadPoolExecutor() as pool:
        copies = outstanding(made, pool)
        made.terminate()
        assert [each.result(PROMPTLY) for each in copies] == [expected] * 3
    assert made.stderr == ""
    assert not is_mountpoint(made.path)


@pytest.mark.parametrize("how", ["install", "outlive"])
def test_a_forced_unmount_with_copies_under_way(serve: Callable[[str], Copying], how: str) -> None:
    """`umount -f` cuts the connection: programs and file system end, nothing crashes."""
    if os.geteuid() != 0:
        pytest.skip("umount -f needs root")
    made = serve(how)
    with ThreadPoolExecutor() as pool:
        copies = outstanding(made, pool)
        run("umount", "--force", "--lazy", made.path)
        made.await_end()
        assert [each.result(PROMPTLY) for each in copies] == [errno.ECONNABORTED] * 3


def test_a_killed_file_system_hangs_nobody(copying: Copying) -> None:
    """The kernel ends what was under way."""
    with ThreadPoolExecutor() as pool:
        copies = outstanding(copying, pool)
        copying.process.kill()
        await_end(copying.process.pid)
        assert [each.result(PROMPTLY) for each in copies] == [errno.ECONNABORTED] * 3


@pytest.mark.parametrize("module", MODULES_WITH_PYFUSE3)
def test_every_import_loads_the_extension_first(extension: None, module: str) -> None:
    """Whichever of our modules is imported first, pyfuse3 comes after the extension."""
    script = f"""if True:
        import sys
        class Watch:
            def find_spec(self, name, path=None, target=None):
                if name == "pyfuse3":
                    assert "kontenumfs.fuse._copy_range" in sys.modules
                    print("watched")
        sys.meta_path.insert(0, Watch())
        import {module}
    """
    assert run(sys.executable, "-c", script).stdout == "watched\n"


def test_the_extension_is_off_after_pyfuse3(extension: None, fuse: None, tmp_path: Path) -> None:
    """Loaded too late, or not built, install() says so; the mount is none the worse."""
    script = f"""if True:
        import pyfuse3, trio
        from kontenumfs.fuse import copy_range
        async def main():
            pyfuse3.init(pyfuse3.Operations(), {str(tmp_path)!r})
            try:
                async with trio.open_nursery() as nursery:
                    assert not copy_range.install(None, nursery)
            finally:
                pyfuse3.close()
        trio.run(main)
    """
    assert "copy_file_range is off" in run(sys.executable, "-c", script).stderr


async def test_without_the_extension(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where it could not be built, a line of the log says what is off."""

    async def handler(*words: int) -> int:
        raise AssertionError("never called")

    monkeypatch.setattr(copy_range, "MISSING", "no module")
    async with trio.open_nursery() as nursery:
        assert not copy_range.install(handler, nursery)
    assert "copy_file_range is off" in caplog.text
