# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The common arguments of the subcommands' parsers."""

import argparse
import os
from functools import partial
from pathlib import Path
from typing import NoReturn

from kontenumfs.admin.runtime import own_runtime_file
from kontenumfs.admin.spool_place import spool_base
from kontenumfs.config.live import LiveSettings
from kontenumfs.config.outside import Outside
from kontenumfs.config.settings import Settings, read_settings
from kontenumfs.daemon.cache import cache_file
from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit
from kontenumfs.store.wire import Endpoint


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that says what is wrong in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        """Raise a UserError instead of printing the usage."""
        raise UserError(f"{message} (see {self.prog} --help)", Exit.USAGE)


def parser(command: str, description: str, epilog: str | None = None) -> Parser:
    """Make the parser of ``kontenumfs COMMAND``."""
    return Parser(
        prog=f"kontenumfs {command}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_settings(made: argparse.ArgumentParser) -> None:
    """Add the arguments that settings come from: ``-o`` and ``--name``."""
    add_options(made)
    made.add_argument(
        "--name", metavar="NAME", help="take the settings of /etc/kontenumfs/NAME.toml"
    )


def add_options(made: argparse.ArgumentParser) -> None:
    """Add ``-o``, as mount(8) has it."""
    made.add_argument(
        "-o",
        dest="options",
        action="append",
        default=[],
        metavar="OPT,...",
        help="mount options, such as endpoint=URL (kontenumfs mount --help has them all)",
    )


def add_json(made: argparse.ArgumentParser) -> None:
    """Add ``--json``, for scripts."""
    made.add_argument("--json", action="store_true", help="print JSON")


def working_directory() -> str:
    """Return where relative paths begin; raises UserError where somebody has deleted it."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise UserError(
            "the current directory has been deleted: cd elsewhere", Exit.USAGE
        ) from None


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Read the settings that the arguments lead to; raises ConfigurationError."""
    return read_settings(
        arguments.options, os.environ, name=arguments.name, directory=working_directory()
    )


def live_settings(arguments: argparse.Namespace, outside: Outside | None = None) -> LiveSettings:
    """Read the settings and the keys, from `outside` of a mount; raises ConfigurationError."""
    # A daemon leaves its directory, and reads relative paths again long after.
    read = partial(
        read_settings,
        arguments.options,
        os.environ,
        name=arguments.name,
        directory=working_directory(),
    )
    return LiveSettings(read, os.environ, outside)


def outside_of(mountpoint: Path, settings: Settings) -> Outside:
    """Make the judge of all the paths that a mount has, by options and by environment."""
    places = {"the runtime directory": own_runtime_file(mountpoint, "sock").parent}
    # Only the directory counts, which is the same for all buckets.
    kept = cache_file(settings.options.cache_dir, "", "", os.environ)
    if kept is not None:
        places["the cache directory"] = kept.parent
    if settings.rules.uses_spool:
        places["the directory of the spools"] = spool_base(settings.options.spool_dir, os.environ)
    return Outside(mountpoint, os.environ, places)


def endpoint_of(settings: Settings) -> Endpoint:
    """Return where the store is and how it is spoken to."""
    options = settings.options
    return Endpoint(
        url=options.endpoint,
        addressing=options.addressing,
        signature=options.signature,
        region=options.region,
        ca_file=options.ca_file,
    )
