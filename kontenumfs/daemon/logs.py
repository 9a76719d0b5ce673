# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A daemon's log: a file, the terminal, systemd's journal, or syslog."""

import logging
import logging.handlers
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from kontenumfs.admin.journal import JournalFormatter, complain, is_journal
from kontenumfs.admin.safe_files import open_log
from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.incidents import CARRIED

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
SHORT_FORMAT = "%(name)s: %(message)s"
"""For logs that keep time and priority beside the line."""
LONGEST_ERROR = 200
"""Characters of an error in a status."""


def set_up_logging(level: str, file: str | None, *, foreground: bool) -> None:
    """Send log lines of `level` and above to `file`, else to stderr or (in the background) syslog.

    Raises UserError when `file` cannot be written.
    """
    handler: logging.Handler
    formatter = logging.Formatter(FORMAT)
    if file is not None:
        try:
            lines = os.fdopen(open_log(Path(file)), "a", encoding="utf-8")
        except OSError as error:
            raise UserError(f"log_file {file}: {error.strerror}") from None
        handler = _File(lines, file)
    elif foreground:
        handler = logging.StreamHandler()
        if is_journal(sys.stderr.fileno(), os.environ):
            formatter = JournalFormatter(SHORT_FORMAT)
    elif os.path.exists("/dev/log"):
        handler = logging.handlers.SysLogHandler("/dev/log")
        handler.ident = f"kontenumfs[{os.getpid()}]: "
        formatter = logging.Formatter(SHORT_FORMAT)
    else:
        handler = logging.NullHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for chatty in ("httpx", "httpcore", "pyfuse3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _File(logging.StreamHandler[TextIO]):
    """Lines into a file, which is closed with it."""

    def __init__(self, stream: TextIO, name: str) -> None:
        super().__init__(stream)
        self._name = name
        self._has_failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        """Say once that the disk is full; a traceback for each line would fill the next one."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._has_failed:
            self._has_failed = True
            complain(f"kontenumfs: log_file {self._name}: {error.strerror}: lines are lost")

    def close(self) -> None:
        """Let go of the file."""
        super().close()
        self.stream.close()


class LastError(logging.Handler):
    """Counts and remembers incidents, and errors that are logged without one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""
        """When and what, in one line; empty where there was none."""
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Take the record's first line."""
        if record.levelno < logging.ERROR and not hasattr(record, CARRIED):
            return
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        line = record.getMessage().partition("\n")[0]
        self.last = f"{when}: {line[:LONGEST_ERROR]}"
        self.count += 1

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear of every error within the block."""
        root = logging.getLogger()
        root.addHandler(self)
        try:
            yield
        finally:
            root.removeHandler(self)
