# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs status``: what the running mounts are doing."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kontenumfs.admin.client import ask
from kontenumfs.admin.mounts import FSTYPE, mounts
from kontenumfs.cli import arguments as given
from kontenumfs.cli.concat import mount_of
from kontenumfs.cli.text import amount, printable
from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit

PATIENCE = 3.0
"""Seconds after which a daemon that does not answer hangs."""
CLEAR = "\033[H\033[J"
"""Begin the screen anew (ECMA-48)."""
COLUMNS = (
    ("mountpoint", 24),
    ("source", 24),
    ("pending", 9),
    ("files", 5),
    ("requests", 9),
    ("errors", 6),
)

Status = dict[str, Any]
"""A daemon's answer, or ``mountpoint`` and ``problem``."""


def main(argv: Sequence[str]) -> int:
    """Print once, or again and again; fails where a daemon does not answer."""
    arguments = parser().parse_args(argv)
    before: dict[str, Status] = {}
    while True:
        found = _look(arguments.mountpoint)
        if arguments.json:
            one = arguments.mountpoint is not None
            print(json.dumps(found[0] if one else found, indent=2), flush=True)
        else:
            clear = CLEAR if arguments.watch and sys.stdout.isatty() else ""
            details = arguments.mountpoint is not None
            lines = _details(found[0]) if details else _table(found)
            print(clear + "\n".join([*lines, *_rates(found, before, arguments.every)]), flush=True)
        if not arguments.watch:
            return Exit.FAILED if any("problem" in status for status in found) else Exit.OK
        before = {status["mountpoint"]: status for status in found}
        time.sleep(arguments.every)


def _look(mountpoint: str | None) -> list[Status]:
    if mountpoint is not None:
        return [_ask(mount_of(mountpoint))]
    ours = [at for at, kind in mounts() if kind == FSTYPE]
    with ThreadPoolExecutor(max(1, len(ours))) as pool:
        return list(pool.map(_ask, ours))


def _ask(mountpoint: Path) -> Status:
    try:
        for line in ask(mountpoint, {"command": "status"}, timeout=PATIENCE):
            result: Status = line.get("result") or {"problem": line.get("error", "no answer")}
            return {"mountpoint": str(mountpoint), **result}
        problem = "the daemon has ended: see its log"
    except TimeoutError:
        problem = f"the daemon has not answered for {PATIENCE:g} s: see its log"
    except UserError as error:
        problem = f"no daemon of yours serves it ({error})"
    return {"mountpoint": str(mountpoint), "problem": problem}


def _table(found: Sequence[Status]) -> list[str]:
    if not found:
        return ["no kontenumfs is mounted"]
    lines = ["  ".join(f"{name:<{width}}" for name, width in COLUMNS).rstrip()]
    for status in found:
        if "problem" in status:
            lines.append(f"{status['mountpoint']:<24}  {status['problem']}")
            continue
        values = (
            status["mountpoint"],
            status["source"],
            amount(status["pending_bytes"]),
            status["open_files"],
            status["totals"]["requests"],
            status["errors"],
        )
        cells = zip(values, COLUMNS, strict=True)
        lines.append("  ".join(f"{value!s:<{width}}" for value, (_, width) in cells).rstrip())
    return lines


def _details(status: Status) -> list[str]:
    if "problem" in status:
        return [f"{status['mountpoint']}: {status['problem']}"]
    totals, lookups = status["totals"], status["lookups"]
    skew = status["clock_skew_seconds"]
    lines = [
        f"{status['source']} at {status['mountpoint']}",
        f"  daemon      {status['version']}, process {status['pid']}, "
        f"for {status['uptime_seconds']:,} s",
        f"  pending     {amount(status['pending_bytes'])} in {status['open_files']} open files",
        *(f"              {_file(file)}" for file in status["files"]),
        *_spool(status.get("spool")),
        f"  requests    {totals['requests']:,}, {totals['failed_requests']:,} failed, "
        f"{totals['retries']:,} repeated; {amount(totals['sent_bytes'])} sent, "
        f"{amount(totals['received_bytes'])} received",
        f"  names       {status['entries']:,} in memory; {lookups['answered']:,} lookups from "
        f"memory, {lookups['asked']:,} by the store",
        *_hidden(status["hidden"]),
        *_renames(status["renames"]),
        f"  access key  {status['access_key']}",
        f"  clock       {'not compared' if skew is None else f'{skew:+g} s from the store'}",
        f"  errors      {status['errors']:,}",
    ]
    if status["last_error"]:
        lines.append(f"  last error  {printable(status['last_error'])}")
    return lines


def _spool(spool: Status | None) -> list[str]:
    if spool is None:
        return []
    away = "; the store is away" if spool["store_is_away"] else ""
    return [
        f"  spool       {amount(spool['bytes'])} of {amount(spool['size'])} in "
        f"{spool['requests']:,} requests, the oldest for {spool['oldest_seconds']:,} s{away}",
        *(
            f"  parked      {printable(at['key'])}: {printable(at['why'])}"
            for at in spool["parked"]
        ),
        *(f"  damaged     {printable(problem)}" for problem in spool["problems"]),
    ]


def _hidden(hidden: dict[str, int]) -> list[str]:
    return [f"  hidden      {count:,} keys in {printable(at)}" for at, count in hidden.items()]


def _renames(renames: Sequence[Status]) -> list[str]:
    return [
        f"  renaming    {printable(at['from'])} to {printable(at['to'])}: {at['copied']:,} copied"
        for at in renames
    ]


def _file(file: Status) -> str:
    pending, size = amount(file["pending_bytes"]), amount(file["size"])
    return f"{pending} of {size}  {file['state']}  {printable(file['key'])}"


def _rates(found: Sequence[Status], before: dict[str, Status], seconds: float) -> list[str]:
    """Return a line of rates since the last look for each mount."""
    lines = []
    for status in found:
        old = before.get(status["mountpoint"], {})
        if "totals" not in status or old.get("pid") != status["pid"]:
            continue
        change = {name: status["totals"][name] - old["totals"][name] for name in old["totals"]}
        lines.append(
            f"{status['mountpoint']}: {change['requests'] / seconds:.1f} requests/s, "
            f"{amount(int(change['sent_bytes'] / seconds))}/s sent"
        )
    return lines


def _interval(given: str) -> float:
    seconds = float(given)
    if not 0.1 <= seconds <= 3600:
        raise ValueError
    return seconds


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``kontenumfs status``."""
    made = given.parser(
        "status",
        "What the running mounts are doing: a line each, or all about one.\n"
        "A daemon that has died or hangs is named, and the exit code is 1.",
    )
    given.add_json(made)
    made.add_argument(
        "--watch", action="store_true", help="look again and again, and show the rates between"
    )
    made.add_argument(
        "--every", type=_interval, default=2.0, metavar="SECONDS", help="how often (default 2)"
    )
    made.add_argument("mountpoint", metavar="MOUNTPOINT", nargs="?", help="default: all mounts")
    return made
