# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Where a daemon's log lines go: a file, the terminal, or syslog."""

import logging
import logging.handlers
import os

from kontenumfs.protocol.errors import UserError

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def set_up_logging(level: str, file: str | None, *, foreground: bool) -> None:
    """Send log lines of `level` and above to `file`, else to stderr or (in the background) syslog.

    Raises UserError when `file` cannot be written.
    """
    handler: logging.Handler
    if file is not None:
        try:
            handler = logging.FileHandler(file, encoding="utf-8")
        except OSError as error:
            raise UserError(f"log_file {file}: {error.strerror}", 2) from None
    elif foreground:
        handler = logging.StreamHandler()
    elif os.path.exists("/dev/log"):
        handler = logging.handlers.SysLogHandler("/dev/log")
        handler.ident = f"kontenumfs[{os.getpid()}]: "
    else:
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter(FORMAT))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for chatty in ("httpx", "httpcore", "pyfuse3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
