# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""systemd's journal: whether a descriptor is it, and lines that begin with their priority."""

import logging
import os
import sys
from collections.abc import Mapping

PRIORITIES = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
    (logging.DEBUG, 7),
)
"""From the level on, the priority of syslog(3)."""
ERROR = 3
"""The priority of an error."""


def complain(line: str) -> None:
    """Say on stderr why a command ends; the journal is told that it is an error."""
    prefix = f"<{ERROR}>" if is_journal(2, os.environ) else ""
    print(f"{prefix}{line}", file=sys.stderr)


def is_journal(descriptor: int, environment: Mapping[str, str]) -> bool:
    """Tell whether a descriptor is systemd's journal, by its device and inode (JOURNAL_STREAM)."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class JournalFormatter(logging.Formatter):
    """Begins every line with its priority, as sd-daemon(3) has it; a traceback has many lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines, each with the priority."""
        prefix = f"<{next((p for level, p in PRIORITIES if record.levelno >= level), 7)}>"
        return "\n".join(prefix + line for line in super().format(record).split("\n"))
