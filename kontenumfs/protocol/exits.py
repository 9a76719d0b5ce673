# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The exit codes of all commands: the one place that knows their numbers.

docs/exit-codes.md and kontenumfs(1) are made of this (``make docs``).
"""

from enum import IntEnum
from typing import Self


class Exit(IntEnum):
    """The exit codes of kontenumfs; the docstring of each says when a process ends with it.

    Args:
        code: the number; systemd's units and scripts rely on it, so it never changes.
        meaning: when a command ends with it, in Markdown.
        cure: where to look then, in Markdown; empty where there is nothing to cure.
    """

    cure: str

    def __new__(cls, code: int, meaning: str = "", cure: str = "") -> Self:
        """Make a member of its number, with its meaning as docstring."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.__doc__ = meaning
        member.cure = cure
        return member

    @property
    def meaning(self) -> str:
        """When a command ends with this code, in Markdown."""
        return self.__doc__ or ""

    OK = 0, "done; from `mount -f`: unmounted with everything stored"
    FAILED = 1, "a fault of kontenumfs, or data that could not be stored", "see the log"
    USAGE = 2, "an option, an argument or a line of the file is wrong", "the line names it"
    MOUNTPOINT = (
        3,
        "the mountpoint is missing, not a directory, not empty, taken, in use or not mounted",
        "the line says which",
    )
    FUSE = (
        4,
        "`/dev/fuse` or `fusermount3` is missing",
        "`modprobe fuse`, `apt-get install fuse3`",
    )
    CREDENTIALS = 5, "keys are missing, malformed, or others can read the file", "`chmod 600`"
    NAME = 6, "the endpoint's name does not resolve", "`endpoint=`"
    CONNECTION = 7, "nothing answers at the endpoint", "`endpoint=`, firewall"
    TLS = (
        8,
        "the endpoint's certificate is not trusted, or `ca_file` cannot be read",
        "`ca_file=`",
    )
    KEYS = 9, "the access key is unknown, or the secret key does not fit", "the keys"
    CLOCK = 10, "this machine's clock is wrong", "NTP"
    BUCKET = 11, "there is no such bucket, or its name is taken, or it is not empty", "its name"
    DENIED = 12, "the keys may not use the bucket", "their rights"
    DEADLINE = (
        13,
        "the endpoint did not answer in time, or a daemon did not end in time",
        "`deadline=`, `--timeout`",
    )
    STORE = 14, "the store refused for another reason", "the line says it"
    DEFECT = (
        15,
        "a fault of kontenumfs, or somebody (fusectl), has ended a mount, which stays, dead",
        "the next start takes it over; see the log",
    )
    SPOOL = (
        16,
        "the spool cannot be used: missing, another mount's, newer, or its file system is full",
        "the line says which",
    )
    SPOOLED = (
        17,
        "unmounted; what the store has not taken yet is safe in the spool",
        "the next mount stores it",
    )
    NOT_MOUNTED = (
        32,
        "from `mount.kontenumfs`, for every failure: not mounted",
        "the line says why",
    )
    INTERRUPTED = 130, "interrupted (Ctrl-C)"
    READER_GONE = 141, "whoever read the output has gone, such as a pager"
