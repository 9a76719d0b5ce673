# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs status``: what a running mount is doing, as JSON."""

import argparse
import json
from collections.abc import Sequence

from kontenumfs.cli import arguments as given
from kontenumfs.cli.concat import mount_of
from kontenumfs.daemon.control import ask
from kontenumfs.daemon.preflight import Exit
from kontenumfs.protocol.errors import UserError


def main(argv: Sequence[str]) -> int:
    """Print one JSON object."""
    mountpoint = mount_of(parser().parse_args(argv).mountpoint)
    for line in ask(mountpoint, {"command": "status"}):
        if "result" in line:
            print(json.dumps(line["result"], indent=2))
            return Exit.OK
    raise UserError(f"{mountpoint}: the daemon has ended: see its log", Exit.FAILED)


def parser() -> argparse.ArgumentParser:
    """What ``kontenumfs status`` takes."""
    made = given.parser("status", "What a running mount is doing, as JSON.")
    made.add_argument("mountpoint", metavar="MOUNTPOINT")
    return made
