# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs refresh``: see at once what others have changed."""

import argparse
from collections.abc import Sequence

from kontenumfs.admin.client import follow
from kontenumfs.cli import arguments as given
from kontenumfs.cli.concat import inside, mount_of
from kontenumfs.protocol.exits import Exit


def main(argv: Sequence[str]) -> int:
    """Return when nothing that was known before is believed any more."""
    arguments = parser().parse_args(argv)
    mountpoint = mount_of(arguments.path)
    request = {
        "command": "refresh",
        "path": inside(mountpoint, arguments.path),
        "recursive": arguments.recursive,
    }
    for _line in follow(mountpoint, request, arguments.path):
        pass
    return Exit.OK


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``kontenumfs refresh``."""
    made = given.parser(
        "refresh",
        "Forget what is remembered of a file or directory, so that what others have changed is\n"
        "seen now and not within the ttl. Nothing is sent until somebody looks.",
    )
    made.add_argument("-r", "--recursive", action="store_true", help="and all that is below")
    made.add_argument("path", metavar="PATH")
    return made
