# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The command line: one module a subcommand.

It may import config, admin, daemon and the emulator, beside protocol and store; nothing imports it.
"""

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from kontenumfs import __version__
from kontenumfs.admin.journal import complain
from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit

COMMANDS = {
    "mount": "mount a bucket",
    "unmount": "unmount, and wait until everything is stored",
    "check": "find out what keeps a bucket from being mounted",
    "status": "what the running mounts are doing",
    "spool": "what is safe on the disk and not in the store yet",
    "ls": "list keys, also those that cannot be files",
    "concat": "join files of a mount, inside the store",
    "refresh": "see at once what others have changed",
    "bucket": "list, create and delete buckets",
    "config": "show the settings of a mount and where each comes from",
    "completion": "print what makes a shell complete the commands",
    "manual": "print the manual pages",
    "install-units": "put systemd units and mount helpers in place",
    "demo": "show the main job on this machine, with an emulator",
    "emulator": "run a Kontenum of your own on this machine, for tests",
}
"""Each is a module of this package with ``parser()`` and ``main(argv) -> int``."""
HIDDEN = ("premount",)
"""More of them, which only our systemd units call."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the process's exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        command = _command(words[:1])
        return int(command.main(words[1:]))
    except UserError as error:
        complain(f"kontenumfs: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Who read our output has gone, as in "kontenumfs ls bucket | head".
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.READER_GONE


def _command(words: Sequence[str]) -> Any:
    if not words:
        raise UserError(f"a command is missing: {', '.join(COMMANDS)} (see kontenumfs --help)")
    if words[0].startswith("-"):
        parser().parse_args(words)
        raise UserError(f"{words[0]} is unknown here (see kontenumfs --help)")
    if words[0] not in (*COMMANDS, *HIDDEN):
        near = difflib.get_close_matches(words[0], COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "see kontenumfs --help"
        raise UserError(f"unknown command {words[0]!r}; {hint}")
    return module(words[0])


def module(command: str) -> Any:
    """Import the module of a subcommand."""
    return importlib.import_module(f"kontenumfs.cli.{command.replace('-', '_')}")


def parser() -> argparse.ArgumentParser:
    """Make the parser of what comes before a command."""
    made = argparse.ArgumentParser(
        prog="kontenumfs",
        usage="kontenumfs [-h] [--version] COMMAND ...",
        description="A write-only mount for Kontenum buckets.",
        epilog="commands:\n"
        + "\n".join(f"  {name:<13} {text}" for name, text in COMMANDS.items())
        + "\n\nEach has a --help of its own.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"kontenumfs {__version__}")
    return made
