# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs completion``: what makes a shell complete the commands."""

import argparse
from collections.abc import Sequence

import shtab

from kontenumfs.cli import COMMANDS, module
from kontenumfs.cli import arguments as given
from kontenumfs.cli import parser as outer
from kontenumfs.config.options import mount_options
from kontenumfs.protocol.exits import Exit

DIRECTORIES = ("mountpoint", "place", "target", "sources", "source")
"""Arguments that are paths; a bucket's name cannot be completed without asking the store."""


def main(argv: Sequence[str]) -> int:
    """Print the script."""
    shell = parser().parse_args(argv).shell
    print(shtab.complete(whole_parser(), shell=shell))
    return Exit.OK


def whole_parser() -> argparse.ArgumentParser:
    """Put all commands into one parser."""
    made = outer()
    commands = made.add_subparsers(dest="command")
    for name, text in COMMANDS.items():
        one = module(name).parser()
        for action in one._actions:
            if not action.option_strings and action.dest in DIRECTORIES:
                action.complete = shtab.FILE
            elif action.option_strings == ["-o"]:
                action.choices = _words()
        commands.add_parser(
            name, parents=[one], add_help=False, help=text, description=one.description
        )
    return made


def _words() -> list[str]:
    """Return the beginnings of the mount options: a name, and ``=`` where a value follows."""
    return [
        name if option.kind.is_switch else f"{name}=" for name, option in mount_options().items()
    ]


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``kontenumfs completion``."""
    made = given.parser(
        "completion",
        "Print what makes a shell complete the commands, for bash:\n"
        "kontenumfs completion bash > /etc/bash_completion.d/kontenumfs",
    )
    made.add_argument(
        "shell", choices=shtab.SUPPORTED_SHELLS, metavar="|".join(shtab.SUPPORTED_SHELLS)
    )
    return made
