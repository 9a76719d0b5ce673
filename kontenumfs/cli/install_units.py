# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs install-units``: put systemd units and mount helpers in place."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from kontenumfs.admin.units import Installation
from kontenumfs.cli import arguments as given
from kontenumfs.protocol.exits import Exit


def main(argv: Sequence[str]) -> int:
    """Print what was written or removed."""
    arguments = parser().parse_args(argv)
    root = Path(os.path.abspath(arguments.root))
    installation = Installation.of(root)
    umask = os.umask(0o022)  # all of it is for every user to read
    try:
        changed = installation.uninstall() if arguments.uninstall else installation.install()
    finally:
        os.umask(umask)
    for path in changed:
        print(f"{'removed' if arguments.uninstall else 'written'}: {path}")
    if installation.warning and not arguments.uninstall:
        print(f"note: {installation.warning}", file=sys.stderr)
    # Only what boots by systemd has this directory, sd_booted(3).
    if root == Path("/") and os.path.isdir("/run/systemd/system"):
        subprocess.run(["systemctl", "daemon-reload"], check=False)
    return Exit.OK


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``kontenumfs install-units``."""
    made = given.parser(
        "install-units",
        "Put the systemd units kontenumfs@.service and kontenumfs-sandbox@.service below\n"
        "/usr/local/lib, the helpers mount.kontenumfs and mount.fuse.kontenumfs into /sbin, and\n"
        "the command into /usr/local/bin, with the path of this installation written in.",
    )
    made.add_argument(
        "--root", default="/", metavar="DIR", help="of the system, when an image is being made"
    )
    made.add_argument("--uninstall", action="store_true", help="take all of it away again")
    return made
