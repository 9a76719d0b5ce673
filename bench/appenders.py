# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Many hosts append to one log that is rotated: is every acknowledged line there, and once?

``python -m bench.appenders [--hosts 2 4 8] [--seconds 60] [--lost]``: real mounts of one bucket,
one of them behind a line of 80 ms; each writes numbered lines with O_APPEND and fsync, one of them
renames the log every few seconds, and with ``--lost`` every fourth answer to an append is lost.
"""

import argparse
import os
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from bench.line import far_away
from tests.harness.emulator import running_emulator
from tests.harness.mounts import MountedBucket

ROUND_TRIP = 0.08
"""Seconds, of the host that is far away."""
ROTATE_SECONDS = 5.0
RETRY_SECONDS = 0.05
FREQUENT = 4
"""Each so many-th answer is lost."""


@dataclass
class Tally:
    """What the writers were told, and what the store has in the end."""

    acknowledged: set[bytes] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    rotations: int = 0


def write_lines(path: Path, name: int, until: float, tally: Tally) -> None:
    """Append numbered lines, each stored before the next one, as a careful logger does."""
    number = 0
    log: int | None = None
    while time.monotonic() < until:
        line = b"host %d line %07d\n" % (name, number)
        number += 1
        try:
            if log is None:
                log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.write(log, line)
            os.fsync(log)
            tally.acknowledged.add(line)
        except OSError as error:
            tally.refused[os.strerror(error.errno or 0)] += 1
        if number % 50 == 0 and log is not None:  # as programs do that look for a rotation
            descriptor, log = log, None
            try:
                os.close(descriptor)
            except OSError as error:
                tally.refused[f"close: {os.strerror(error.errno or 0)}"] += 1
    if log is not None:
        with suppress(OSError):
            os.close(log)


def rotate(directory: Path, until: float, tally: Tally) -> None:
    """Rename the log now and then, as logrotate does."""
    while time.monotonic() < until - ROTATE_SECONDS / 2:
        time.sleep(ROTATE_SECONDS)
        try:
            os.rename(directory / "log", directory / f"log.{tally.rotations}")
            tally.rotations += 1
        except OSError as error:
            tally.refused[f"rename: {os.strerror(error.errno or 0)}"] += 1


def campaign(hosts: int, seconds: float, *, lost: bool) -> str:
    """One row of the table."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="appenders-")))
        emulator = stack.enter_context(running_emulator(scratch / "emulator"))
        mounts = []
        for name in range(hosts):
            far = hosts > 1 and name == hosts - 1
            url = far_away(emulator.s3_url, ROUND_TRIP) if far else emulator.s3_url
            server = SimpleNamespace(s3_url=url, fetch=emulator.fetch, exists=emulator.exists)
            mounted = MountedBucket(scratch / f"host{name}", server, "ttl=1", prefix="logs")
            mounted.expected = ".*"
            stack.callback(mounted.close)
            mounts.append(mounted)
        for mounted in mounts:  # each proves what the store can do, before answers are lost
            with open(mounted.path / "log", "ab") as log:
                log.write(b"begin\n")
        if lost:
            emulator.fault(op="AppendObject", key="logs/log", reset="after", every=FREQUENT)
        emulator.mark()
        tally, until = Tally(), time.monotonic() + seconds
        tasks = [
            threading.Thread(target=write_lines, args=(m.path / "log", n, until, tally))
            for n, m in enumerate(mounts)
        ]
        tasks.append(threading.Thread(target=rotate, args=(mounts[0].path, until, tally)))
        for task in tasks:
            task.start()
        for task in tasks:
            task.join()
        emulator.clear_faults()
        counts, sent = emulator.counts(), emulator.sent()
        names = ["log", *(f"log.{number}" for number in range(tally.rotations))]
        stored = b"".join(
            emulator.fetch(f"logs/{n}") for n in names if emulator.exists(f"logs/{n}")
        )
        lines = Counter(stored.splitlines(keepends=True))
        ours = {line: count for line, count in lines.items() if line != b"begin\n"}
        missing = tally.acknowledged - ours.keys()
        doubled = [line for line, count in ours.items() if count > 1]
        for line in sorted(missing)[:5] + sorted(doubled)[:5]:
            print("   ", line)
        written = sum(len(line) for line in tally.acknowledged) or 1
        told = ", ".join(f"{n} x {what}" for what, n in tally.refused.items()) or "none"
        return (
            f"| {hosts} | {'every fourth' if lost else 'none'} | {len(tally.acknowledged)} "
            f"| {len(missing)} | {len(doubled)} | {told} | {tally.rotations} "
            f"| {counts['AppendObject']} | {sum(counts.values())} | {sent / written:.1f} |"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--lost", action="store_true")
    chosen = parser.parse_args()
    print(
        "| hosts | answers lost | lines acknowledged | of these missing | doubled | errors told "
        "| rotations | appends | requests | bytes sent / written |\n|" + "---|" * 10
    )
    for hosts in chosen.hosts:
        print(campaign(hosts, chosen.seconds, lost=chosen.lost), flush=True)


if __name__ == "__main__":
    main()
