# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs concat``: one file of many, made by the store."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kontenumfs.admin.client import follow
from kontenumfs.admin.mounts import FSTYPE, mounts
from kontenumfs.cli import arguments as given
from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit

BAR = 40
"""Columns of the progress bar."""


def main(argv: Sequence[str]) -> int:
    """Return when the target is in the store."""
    arguments = parser().parse_args(argv)
    mountpoint = mount_of(arguments.target)
    request = {
        "command": "concat",
        "target": _file_in(mountpoint, arguments.target),
        "sources": [_file_in(mountpoint, source) for source in arguments.sources],
        "append": arguments.append,
    }
    bar = sys.stderr.isatty()
    for line in follow(mountpoint, request, arguments.target):
        if "result" in line:
            print(f"{arguments.target}: {line['result']['size']} bytes")
        elif bar:
            _show(line)
    return Exit.OK


def mount_of(path: str) -> Path:
    """Return the mountpoint that `path` is below; raises UserError where there is none."""
    absolute = Path(os.path.abspath(path))
    ours = {at for at, kind in mounts() if kind == FSTYPE}
    for at in (absolute, *absolute.parents):
        if at in ours:
            return at
    raise UserError(f"{path}: no kontenumfs is mounted here", Exit.MOUNTPOINT)


def inside(mountpoint: Path, path: str) -> str:
    """Return `path` relative to the mount, which itself is empty; raises UserError outside."""
    if mount_of(path) != mountpoint:
        raise UserError(f"{path}: is not in the same mount, {mountpoint}", Exit.USAGE)
    relative = os.path.relpath(os.path.abspath(path), mountpoint)
    return "" if relative == "." else relative


def _file_in(mountpoint: Path, path: str) -> str:
    if not (found := inside(mountpoint, path)):
        raise UserError(f"{path}: is the mount itself, not a file in it", Exit.USAGE)
    return found


def _show(line: dict[str, Any]) -> None:
    done, of = line.get("done", 1), line.get("of", 1)
    full = BAR * done // max(1, of)
    print(f"\r[{'#' * full}{' ' * (BAR - full)}] {line['stage']:<12}", end="", file=sys.stderr)
    if line["stage"] == "joining":
        print(file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``kontenumfs concat``."""
    made = given.parser(
        "concat", "Join files of one mount. The store does it: no byte of them is sent or read."
    )
    made.add_argument(
        "-a", "--append", action="store_true", help="add to TARGET instead of replacing it"
    )
    made.add_argument("target", metavar="TARGET")
    made.add_argument("sources", metavar="SOURCE", nargs="+")
    return made
