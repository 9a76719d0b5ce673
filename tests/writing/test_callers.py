# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What /proc tells of who closes a file, and what is made of what it does not tell."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from kontenumfs.writing.callers import died_of_signal, is_alive, name_of, process_of


def process(proc: Path, pid: int, *, name: str = "cp", state: str = "R", code: str = "0") -> None:
    """A directory as proc(5) describes it."""
    (proc / str(pid)).mkdir()
    fields = [state, *["0"] * 48, code]
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
    (proc / str(pid) / "comm").write_text(f"{name}\n")
    (proc / str(pid) / "status").write_text(
        f"Name:\t{name}\nState:\t{state} (told)\nTgid:\t{pid}\n"
    )


@pytest.mark.parametrize(
    ("code", "killed"),
    [
        ("0", False),
        ("256", False),
        ("9", True),
        (str(15), True),
        (str(0x80 | 11), True),
        ("", False),
    ],
    ids=["no code, or hidden", "exit(1)", "SIGKILL", "SIGTERM", "core dump", "an old kernel"],
)
def test_how_a_process_ends(tmp_path: Path, code: str, killed: bool) -> None:
    """S2.5: only a signal that the kernel shows counts; what it hides is closed as on a disk."""
    process(tmp_path, 7, name="a) R 9 (b", code=code)
    assert died_of_signal(7, tmp_path) is killed
    assert name_of(7, tmp_path) == "a) R 9 (b"


def test_a_process_that_may_be_in_execve_is_not_asked_how_it_ends(tmp_path: Path) -> None:
    """S2.4: its stat is locked until its files are closed, and we would wait for ourselves."""
    process(tmp_path, 7, code="9")
    with (tmp_path / "7" / "status").open("a") as status:
        status.write("VmSize:\t    2868 kB\n")
    (tmp_path / "7" / "stat").unlink()
    os.mkfifo(tmp_path / "7" / "stat")  # to open it is to wait
    assert not died_of_signal(7, tmp_path)
    assert is_alive(7, tmp_path)


def test_a_process_of_another_namespace(tmp_path: Path) -> None:
    """S2.5: the kernel names it 0, and nothing is known of it; the same of one that has gone."""
    for pid in (0, 4711):
        assert process_of(pid, tmp_path) == 0
        assert not died_of_signal(pid, tmp_path)
        assert not is_alive(pid, tmp_path)
        assert name_of(pid, tmp_path) == ""


def test_a_process_that_has_ended_is_not_alive(tmp_path: Path) -> None:
    """Though its parent has not asked for its end yet."""
    process(tmp_path, 7)
    process(tmp_path, 8, state="Z")
    assert is_alive(7, tmp_path)
    assert not is_alive(8, tmp_path)


def test_the_true_proc() -> None:
    """A child that was killed, seen between its end and its parent's wait; and ourselves."""
    assert process_of(os.getpid()) == os.getpid()
    assert is_alive(os.getpid())
    assert not died_of_signal(os.getpid())
    child = subprocess.Popen(["sleep", "600"])
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert died_of_signal(child.pid)
    assert not is_alive(child.pid)
    child.wait()
