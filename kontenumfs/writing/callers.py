# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What /proc tells of the programs that use the mount (proc(5)); where it tells nothing: unknown.

The kernel names a thread with each request (fuse_in_header.pid, linux/fuse.h), and 0 where its
process is in another pid namespace.
"""

import os

PROC = "/proc"
LONGEST = 16 * 1024
"""Bytes of one of these files at most."""
EXIT_CODE = 52
"""The field of /proc/PID/stat that has how the process ends, for those who may trace it."""


def process_of(thread: int, proc: str | os.PathLike[str] = PROC) -> int:
    """Return the process that a thread belongs to; 0 where that is unknown."""
    for line in _read(f"{os.fspath(proc)}/{thread}/status").splitlines() if thread > 0 else ():
        if line.startswith("Tgid:"):
            return int(line.split()[1])
    return 0


def is_alive(process: int, proc: str | os.PathLike[str] = PROC) -> bool:
    """Tell whether the process exists and has not ended."""
    return process > 0 and _state(process, proc)[:1] not in ("", "Z", "X")


def name_of(process: int, proc: str | os.PathLike[str] = PROC) -> str:
    """Return the name of a process (comm, at most 15 characters); empty where unknown."""
    return _read(f"{os.fspath(proc)}/{process}/comm").rstrip("\n") if process > 0 else ""


def died_of_signal(thread: int, proc: str | os.PathLike[str] = PROC) -> bool:
    """Tell whether the thread is ending because a signal has killed its process.

    The kernel closes what a dying process has open, and that close looks like any other one.
    """
    fields = _state(thread, proc).split() if thread > 0 else []
    code = fields[EXIT_CODE - 3] if len(fields) > EXIT_CODE - 3 else "0"
    return code.isdecimal() and int(code) & 0x7F != 0


def _state(process: int, proc: str | os.PathLike[str]) -> str:
    """/proc/PID/stat from the third field on: the name before may hold anything."""
    return _read(f"{os.fspath(proc)}/{process}/stat").rpartition(")")[2].strip()


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
