# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What /proc tells of the programs that use the mount (proc(5)); where it tells nothing: unknown.

The kernel names a thread with each request (fuse_in_header.pid, linux/fuse.h), and 0 where its
process is in another pid namespace.

Of a process that may be in execve(2), only `status` and `comm` are read. For `stat`, Linux 6.18
waits for the end of that execve, which closes what is O_CLOEXEC, and so may wait for our answer.
"""

import os

PROC = "/proc"
LONGEST = 16 * 1024
"""Bytes of one of these files at most."""
EXIT_CODE = 52
"""The field of /proc/PID/stat that has how the process ends, for those who may trace it."""


def process_of(thread: int, proc: str | os.PathLike[str] = PROC) -> int:
    """Return the process that a thread belongs to; 0 where that is unknown."""
    said = _status(thread, proc).get("Tgid", "")
    return int(said) if said.isdecimal() else 0


def is_alive(process: int, proc: str | os.PathLike[str] = PROC) -> bool:
    """Tell whether the process exists and has not ended."""
    return _status(process, proc).get("State", "")[:1] not in ("", "Z", "X")


def name_of(process: int, proc: str | os.PathLike[str] = PROC) -> str:
    """Return the name of a process (comm, at most 15 characters); empty where unknown."""
    return _read(f"{os.fspath(proc)}/{process}/comm").rstrip("\n") if process > 0 else ""


def died_of_signal(thread: int, proc: str | os.PathLike[str] = PROC) -> bool:
    """Tell whether the thread is ending because a signal has killed its process.

    The kernel closes what a dying process has open, and that close looks like any other one. By
    then it has given back the memory of the process.
    """
    status = _status(thread, proc)
    if not status or "VmSize" in status:
        return False  # it has its memory still, so it does not end: it may be in execve(2)
    stat = _read(f"{os.fspath(proc)}/{thread}/stat")
    fields = stat.rpartition(")")[2].split()  # the name before may hold anything
    code = fields[EXIT_CODE - 3] if len(fields) > EXIT_CODE - 3 else "0"
    return code.isdecimal() and int(code) & 0x7F != 0


def _status(thread: int, proc: str | os.PathLike[str]) -> dict[str, str]:
    """/proc/PID/status by the names of its lines; empty where unknown."""
    text = _read(f"{os.fspath(proc)}/{thread}/status") if thread > 0 else ""
    lines = (line.partition(":") for line in text.splitlines())
    return {name: said.strip() for name, _, said in lines}


def _read(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, LONGEST).decode(errors="replace")
    except OSError:
        return ""  # it ends at this moment
    finally:
        os.close(descriptor)
