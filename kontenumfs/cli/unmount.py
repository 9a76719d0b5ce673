# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs unmount``: unmount, and wait until everything is stored."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from kontenumfs.daemon.background import Running
from kontenumfs.daemon.kernel import FSTYPE, is_mountpoint, unmount
from kontenumfs.daemon.preflight import Exit
from kontenumfs.protocol.errors import UserError


def main(argv: Sequence[str]) -> int:
    """Return when the mount is gone and its daemon has ended."""
    parser = argparse.ArgumentParser(
        prog="kontenumfs unmount",
        description="Unmount, and wait until everything is stored.",
    )
    parser.add_argument(
        "--timeout", type=float, default=300.0, help="seconds to wait for the daemon (default 300)"
    )
    parser.add_argument("mountpoint", metavar="MOUNTPOINT")
    arguments = parser.parse_args(argv)
    mountpoint = Path(os.path.abspath(arguments.mountpoint))
    if not is_mountpoint(mountpoint, FSTYPE):
        raise UserError(f"{mountpoint}: no kontenumfs is mounted here", Exit.MOUNTPOINT)
    unmount(mountpoint)
    if not Running(mountpoint).wait_for_end(arguments.timeout):
        raise UserError(
            f"{mountpoint}: unmounted, but the daemon still stores data after "
            f"{arguments.timeout:g} s: see its log",
            Exit.DEADLINE,
        )
    return Exit.OK
