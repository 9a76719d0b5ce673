# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The command line: one module a subcommand."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from kontenumfs import __version__
from kontenumfs.protocol.errors import UserError

COMMANDS = {
    "mount": "mount a bucket",
    "unmount": "unmount, and wait until everything is stored",
    "concat": "join files of a mount, inside the store",
    "refresh": "see at once what others have changed",
    "status": "what a running mount is doing",
    "demo": "show the main job on this machine, with an emulator",
    "emulator": "run a Kontenum of your own on this machine, for tests",
}
"""Each is a module of this package with ``main(argv) -> int``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the process's exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="kontenumfs",
        description="A write-only mount for Kontenum buckets.",
        epilog="\n".join(f"  {name:<10} {text}" for name, text in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kontenumfs {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    arguments = parser.parse_args(words[:1])
    command = importlib.import_module(f"kontenumfs.cli.{arguments.command}")
    try:
        return int(command.main(words[1:]))
    except UserError as error:
        print(f"kontenumfs: {error}", file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        return 130
