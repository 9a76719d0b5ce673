# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What /proc tells of processes, any of which may end while it is asked (proc(5))."""

from pathlib import Path


def told(pid: int | str, name: str) -> str:
    """What a file of a process says; empty where the process has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="surrogateescape")
    except (FileNotFoundError, ProcessLookupError):
        return ""  # before open(2), or between it and read(2)


def running() -> list[int]:
    """Every process of the machine."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def comm(pid: int) -> str:
    """The name of its program."""
    return told(pid, "comm").strip()


def words(pid: int) -> list[str]:
    """Its command line."""
    return told(pid, "cmdline").split("\0")[:-1]


def status(pid: int, field: str) -> list[str]:
    """The words of a line of its status; none where it has no such line, as a zombie of memory."""
    for line in told(pid, "status").splitlines():
        name, _, said = line.partition(":")
        if name == field:
            return said.split()
    return []


def children(pid: int) -> list[int]:
    """The processes that its first thread has begun, zombies included."""
    return [int(word) for word in told(pid, f"task/{pid}/children").split()]


def children_of_all_threads(pid: int | str = "self") -> set[int]:
    """The processes that any of its threads has begun, zombies included."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {int(word) for task in tasks for word in told(pid, f"task/{task.name}/children").split()}


def memory(pid: int) -> int:
    """Bytes that it has in memory."""
    return _bytes(pid, "VmRSS")


def peak_memory(pid: int) -> int:
    """Bytes that it had in memory at most."""
    return _bytes(pid, "VmHWM")


def _bytes(pid: int, field: str) -> int:
    said = status(pid, field)
    assert said, f"process {pid} has ended"
    return int(said[0]) * 1024
