# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Going into the background without losing the reason for a failure."""

import json
import logging
import os
from collections.abc import Callable

from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit

log = logging.getLogger(__name__)


def run_in_background(serve: Callable[[Callable[[], None]], None]) -> None:
    """Return when `serve` has called its argument, while it goes on in a process of its own.

    Raises the UserError that `serve` raised before that. No session of its own is begun before
    the mount answers: autofs lets only the process group that it started walk the path until
    then, and an earlier setsid would deadlock (measured, docs of the systemd units).
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        _raise_reported(said, pid)
        return
    os.close(reading)
    status = Exit.FAILED
    try:
        serve(lambda: _daemonize(writing))
        status = Exit.OK
    except UserError as error:
        _report(writing, {"message": str(error), "exit_code": error.exit_code})
        status = error.exit_code
    except Exception as error:
        # A fault of ours: the whole story goes to the log, the one line to the user.
        log.exception("the mount ended")
        message = f"internal error: {error!r}: see the log"
        _report(writing, {"message": message, "exit_code": Exit.FAILED})
    finally:
        os._exit(status)


def _raise_reported(said: bytes, pid: int) -> None:
    if not said:
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        raise UserError(f"the mount process ended before it was ready (status {code})", Exit.FAILED)
    report = json.loads(said)
    if report:
        os.waitpid(pid, 0)
        raise UserError(report["message"], Exit(report["exit_code"]))


def _report(pipe: int, report: dict[str, object]) -> None:
    try:
        os.write(pipe, json.dumps(report).encode())
        os.close(pipe)
    except OSError:
        pass  # ready was said already, and the pipe is closed


def _daemonize(pipe: int) -> None:
    """Leave the terminal and tell the parent, when the mount answers."""
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    _report(pipe, {})
