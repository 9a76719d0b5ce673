# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs spool``: what is safe on the disk and not in the store, and what becomes of it."""

import argparse
import json
import os
import sys
import time
from base64 import b64decode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kontenumfs.admin.client import follow
from kontenumfs.admin.left_spool import LeftSpool
from kontenumfs.admin.runtime import Running
from kontenumfs.cli import arguments as given
from kontenumfs.cli.text import amount, printable
from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit

ACTIONS = ("list", "retry", "drop", "export")


def main(argv: Sequence[str]) -> int:
    """Return when it is done; 1 where there is nothing of that key."""
    arguments = parser().parse_args(argv)
    mountpoint = Path(os.path.abspath(arguments.mountpoint))
    if arguments.action in ("drop", "export") and arguments.key is None:
        raise UserError(f"which key is to be {arguments.action}ed? kontenumfs spool list shows all")
    runs = Running(mountpoint).pid() is not None
    left = None if runs else _left(mountpoint, arguments.spool_dir)
    if left is not None and arguments.action in ("retry", "drop"):
        raise UserError(f"{mountpoint}: mount it first: only a mount can {arguments.action}")
    if arguments.action == "list":
        lines = left.list(arguments.key) if left is not None else _asked(mountpoint, arguments)
        return _list(lines, arguments)
    if arguments.action == "export":
        pieces = left.read(arguments.key) if left is not None else _bytes(mountpoint, arguments)
        return _export(pieces, arguments.output)
    if arguments.action == "drop" and not arguments.yes:
        _confirm(arguments.key)
    (answer,) = [line["result"] for line in _asked(mountpoint, arguments) if "result" in line]
    (count,) = answer.values()
    print(f"{count} requests: {', '.join(answer)}")
    return Exit.OK if count else Exit.FAILED


def _left(mountpoint: Path, spool_dir: str | None) -> LeftSpool:
    found = LeftSpool.of(mountpoint, spool_dir, os.environ)
    if found is None:
        raise UserError(
            f"{mountpoint}: no kontenumfs serves it, and none has left a spool: see --spool-dir",
            Exit.MOUNTPOINT,
        )
    return found


def _asked(mountpoint: Path, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    request = {"command": "spool", "action": arguments.action, "key": arguments.key}
    return follow(mountpoint, request, str(mountpoint))


def _bytes(mountpoint: Path, arguments: argparse.Namespace) -> Iterator[bytes]:
    for line in _asked(mountpoint, arguments):
        if "data" in line:
            yield b64decode(line["data"])


def _list(lines: Iterator[dict[str, Any]], arguments: argparse.Namespace) -> int:
    entries = [line["entry"] for line in lines if "entry" in line]
    if arguments.json:
        print(json.dumps(entries, indent=2))
        return Exit.OK
    now = time.time()
    for entry in entries:
        age = f"{max(0, now - entry['created']):.0f} s"
        state = f"parked: {printable(entry['parked'])}" if entry["parked"] else "waits"
        print(
            f"{entry['kind']:<8}  {amount(entry['bytes']):>9}  {age:>8}  "
            f"{printable(entry['key'])}  {state}"
        )
    return Exit.OK


def _export(pieces: Iterator[bytes], output: str) -> int:
    if output == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        return Exit.OK
    first = next(pieces, b"")  # nothing is made where there is nothing
    try:
        with open(output, "xb") as file:
            file.write(first)
            for piece in pieces:
                file.write(piece)
    except OSError as error:
        raise UserError(f"{output}: {error.strerror}", Exit.FAILED) from None
    return Exit.OK


def _confirm(key: str) -> None:
    """Ask once more on a terminal; elsewhere --yes must be said."""
    question = f"{printable(key)}: its bytes are in no other place. Drop them for ever? [y/N] "
    if not sys.stdin.isatty():
        raise UserError("drop forgets bytes that are in no other place: say --yes")
    if input(question).strip().lower() not in ("y", "yes"):
        raise UserError("nothing was dropped", Exit.FAILED)


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``kontenumfs spool``."""
    made = given.parser(
        "spool",
        "What is safe on the disk and not in the store yet: list it, send again what the store\n"
        "has refused (parked), drop that for ever, or export its bytes to a local file.\n"
        "list and export also work on what a mount that does not run has left.",
    )
    given.add_json(made)
    made.add_argument("--yes", action="store_true", help="drop without asking")
    made.add_argument(
        "--output", metavar="FILE", default="-", help="where export writes (default: stdout)"
    )
    made.add_argument(
        "--spool-dir", metavar="PATH", help="where spools are, for a mount that does not run"
    )
    made.add_argument("action", choices=ACTIONS, help="what is to be done")
    made.add_argument("mountpoint", metavar="MOUNTPOINT")
    made.add_argument("key", metavar="KEY", nargs="?", help="as list shows it; default: all")
    return made
