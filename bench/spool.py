# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the spool gains: ``python -m bench.spool [--delay 20] [--rounds 3]``.

The same work, at some milliseconds a round trip, on a mount without a spool, on one with it, and on
rclone mount with its write cache, in turn: the time until the program has ended, the time until the
bucket is right, and the requests.
"""

import argparse
import os
import signal
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Protocol

from bench.line import far_away
from tests.harness.emulator import BUCKET, Emulator, running_emulator
from tests.harness.mounts import MountedBucket, wait_until
from tests.interop.clients import rclone

DIRECTORIES = 20
FILES = 100
SIZE = 10 << 10
WORKS = ("rsync -a", "cp -r", "rm -r")
NONE = 0
NEVER = 60.0
"""Seconds after which what is not stored counts as never stored."""


class Mount(Protocol):
    """Somewhere to work in."""

    path: Path

    def close(self) -> None:
        """Unmount."""


class Rclone:
    """rclone mount with ``--vfs-cache-mode writes``, whose close() does not wait for the store."""

    def __init__(self, directory: Path, url: str) -> None:
        self.path = directory / "mnt"
        self.path.mkdir(parents=True)
        self._client = rclone(url, directory)
        self._words = ["--vfs-cache-mode", "writes", "--cache-dir", str(directory / "cache")]
        self._words += ["--vfs-write-back", "1s"]
        command = [*self._client.command, "mount", f"k:{BUCKET}", str(self.path), *self._words]
        environment = {**os.environ, **self._client.environment}
        self._process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        wait_until(lambda: os.path.ismount(self.path))

    def close(self) -> None:
        """Unmount."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


class Bucket:
    """What is in the bucket, read from the emulator's own records: it costs nobody a request."""

    def __init__(self, emulator: Emulator) -> None:
        self._file = emulator.directory / "data" / "meta.sqlite"

    def count(self) -> int:
        """How many of the files are whole."""
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)) as database:
            query = "SELECT count(*) FROM objects WHERE size = ? AND key > ? AND key < ?"
            (found,) = database.execute(query, (SIZE, b"tree/", b"tree0")).fetchone()
        return int(found)

    def wait(self, wanted: int, since: float) -> float:
        """Return the seconds from `since` until so many of the files are there; gives up late."""
        while self.count() != wanted and time.monotonic() < since + NEVER:
            time.sleep(0.02)
        return time.monotonic() - since


def make_source(place: Path) -> None:
    """Make the files to copy."""
    for number in range(FILES):
        name = f"d{number % DIRECTORIES:02}/f{number:03}"
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(os.urandom(SIZE))


@contextmanager
def mounted(kind: str, scratch: Path, emulator: Emulator, url: str) -> Iterator[Mount]:
    """Mount one of the three."""
    place = Path(tempfile.mkdtemp(dir=scratch))
    made: Mount
    if kind == "rclone":
        made = Rclone(place, url)
    else:
        (place / "spool").mkdir()
        server = SimpleNamespace(s3_url=url, fetch=emulator.fetch, exists=emulator.exists)
        options = [f"durability={kind}", f"spool_dir={place / 'spool'}", "log_level=info"]
        made = MountedBucket(place, server, *options)
        (made.path / "probe").write_bytes(b"")  # what the store can do is asked once a mount
        (made.path / "probe").unlink()
    try:
        yield made
    finally:
        made.close()


def work(what: str, source: Path, target: Path) -> Callable[[], object]:
    """One of WORKS, to be run."""
    commands = {
        "rsync -a": ["rsync", "-a", f"{source}/", str(target / "tree")],
        "cp -r": ["cp", "-r", str(source), str(target / "tree")],
        "rm -r": ["rm", "-r", str(target / "tree")],
    }
    return lambda: subprocess.run(commands[what], check=True)


def measure(
    kind: str, scratch: Path, emulator: Emulator, url: str
) -> dict[str, tuple[float, float, int]]:
    """Do all of WORKS on one mount; returns seconds, seconds until stored, and requests."""
    bucket = Bucket(emulator)
    found: dict[str, tuple[float, float, int]] = {}
    with mounted(kind, scratch, emulator, url) as mount:
        for what in ("rsync -a", "rm -r", "cp -r", "rm -r"):
            emulator.mark()
            begin = time.monotonic()
            work(what, scratch / "source", mount.path)()
            returned = time.monotonic() - begin
            stored = bucket.wait(NONE if what == "rm -r" else FILES, begin)
            time.sleep(1)  # what comes after counts too
            found[what] = (returned, stored, sum(emulator.counts().values()))
    return found


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--delay", type=float, default=20.0, help="ms a round trip")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    kinds = ("store", "spool", "rclone")
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spool-")))
        make_source(scratch / "source")
        emulator = stack.enter_context(running_emulator(scratch / "emulator"))
        url = far_away(emulator.s3_url, chosen.delay / 1000)
        rows: dict[tuple[str, str], list[tuple[float, float, int]]] = {}
        for _ in range(chosen.rounds):
            for kind in kinds:
                for what, figures in measure(kind, scratch, emulator, url).items():
                    rows.setdefault((what, kind), []).append(figures)
    print("| work | mount | returns (s) | stored (s) | requests | returns / rclone |")
    print("|---|---|---|---|---|---|")
    for what in WORKS:
        peer = statistics.median(figures[0] for figures in rows[what, "rclone"])
        for kind in kinds:
            returns, stored, requests = (
                statistics.median(values) for values in zip(*rows[what, kind], strict=True)
            )
            told = f"{returns:.2f} | {stored:.2f} | {requests:.0f} | {returns / peer:.2f}"
            print(f"| {what} | {kind} | {told} |")


if __name__ == "__main__":
    main()
