# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What names and attributes cost, and how that grows: ``make bench``; in full without options.

Real mounts of the embedded emulator, on this machine. Walks of many directories, beside rclone and
s3fs where they are installed; then single directories, each larger than the last. Times differ from
machine to machine; the requests, the memory and how time grows are the point.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.writing import MIB
from kontenumfs.admin.mounts import is_mountpoint
from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator, running_emulator
from tests.harness.mounts import MountedBucket, wait_until
from tests.harness.processes import memory
from tests.interop.clients import rclone

WALK = 20_000
DIRECTORIES = 200
LARGE = (100_000, 1_000_000)
SHORT = {"ListObjectsV2": "LIST", "ListObjects": "LIST", "HeadObject": "HEAD"}

Mounting = Callable[[], AbstractContextManager[Path]]
"""Mounts the walked tree for a block, and knows nothing of earlier mounts' kernel caches."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One command: its seconds, its requests by operation, and what it printed."""

    seconds: float
    requests: str
    output: str


def cost(emulator: Emulator, command: str, path: Path) -> Cost:
    """Run a shell command in a mount."""
    emulator.mark()
    began = time.perf_counter()
    done = subprocess.run(
        ["bash", "-c", command], cwd=path, check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    return Cost(seconds, requests(emulator), done.stdout.strip())


def requests(emulator: Emulator) -> str:
    """The requests since the mark, most frequent first."""
    counts = emulator.counts().most_common()
    return ", ".join(f"{count:,} {SHORT.get(name, name)}" for name, count in counts) or "none"


def show(name: str, done: Cost, memory: str = "") -> None:
    """Print one line of the table."""
    print(f"  {name:<46}{done.seconds:9.2f}{memory:>9}   {done.requests}", flush=True)


class Kontenumfs:
    """This product; later mounts remember attributes, as they do for users."""

    def __init__(self, directory: Path, emulator: Emulator, *options: str) -> None:
        self._directory = directory
        self._emulator = emulator
        self._options = (*options, "log_level=info")

    @contextmanager
    def __call__(self) -> Iterator[Path]:
        mounted = MountedBucket(self._directory, self._emulator, *self._options, prefix="walk")
        try:
            yield mounted.path
        finally:
            mounted.close()


class Program:
    """Another program that mounts buckets, in the foreground.

    Args:
        path: where it mounts.
    """

    def __init__(self, path: Path, command: list[str], environment: dict[str, str]) -> None:
        path.mkdir()
        self._path = path
        self._command = command
        self._environment = environment

    @contextmanager
    def __call__(self) -> Iterator[Path]:
        log = self._path.with_suffix(".log")
        with open(log, "wb") as output:
            process = subprocess.Popen(
                self._command, env=self._environment, stdout=output, stderr=output
            )
        try:
            wait_until(lambda: process.poll() is not None or os.path.ismount(self._path))
            if process.poll() is not None:
                raise SystemExit(f"{self._command[0]} does not mount: {log.read_text()}")
            yield self._path
        finally:
            if is_mountpoint(self._path):
                subprocess.run(["umount", self._path], check=True)
            process.wait(timeout=60)


def rclone_mount(directory: Path, emulator: Emulator, *options: str) -> Program:
    """``rclone mount``, as its manual has it."""
    path = directory / "mnt"
    directory.mkdir()
    remote = rclone(emulator.s3_url, directory / "home")
    words = ["mount", *options, f"--cache-dir={directory}/cache", f"k:{BUCKET}/walk", str(path)]
    return Program(path, [*remote.command, *words], remote.environment)


def s3fs_mount(directory: Path, emulator: Emulator) -> Program:
    """s3fs, which has to be on the PATH."""
    path, passwords = directory / "mnt", directory / "passwd"
    directory.mkdir()
    passwords.touch(mode=0o600)
    passwords.write_text(f"{ACCESS}:{SECRET}\n")
    options = f"url={emulator.s3_url},use_path_request_style,passwd_file={passwords}"
    options += ",stat_cache_expire=60,max_stat_cache_size=1000000"
    command = ["s3fs", f"{BUCKET}:/walk", str(path), "-f", "-o", options]
    return Program(path, command, dict(os.environ))


def walk(emulator: Emulator, mounting: Mounting, title: str) -> None:
    """find and ls -lR, each on a new mount, and each again."""
    for command in ("find . | wc -l", "ls -lR | wc -l"):
        with mounting() as path:
            words = command.split(" |")[0]
            show(f"{title}: {words}", cost(emulator, command, path))
            show("    again", cost(emulator, command, path))


def walks(directory: Path, emulator: Emulator, count: int) -> None:
    """Many directories, listed one after another."""
    each = count // DIRECTORIES
    emulator.fill(f"walk/d{d:03}/f{n:04}" for d in range(DIRECTORIES) for n in range(each))
    print(f"\n{DIRECTORIES * each:,} objects in {DIRECTORIES} directories; times by listings alone")
    walk(emulator, Kontenumfs(directory / "list", emulator, "attributes=list"), "attributes=list")
    by_listings = rclone_mount(directory / "rclone", emulator, "--use-server-modtime")
    walk(emulator, by_listings, "rclone mount --use-server-modtime")
    print("\nthe same, times and modes as they were stored")
    remembering = Kontenumfs(directory / "full", emulator)
    walk(emulator, remembering, "attributes=full")
    walk(emulator, remembering, "attributes=full, mounted before")
    walk(emulator, rclone_mount(directory / "rclone-full", emulator), "rclone mount")
    if shutil.which("s3fs"):
        walk(emulator, s3fs_mount(directory / "s3fs", emulator), "s3fs")
    else:
        print("  s3fs is not installed")


def first_entry(path: Path) -> str:
    """The first name that a directory tells, without reading on."""
    with os.scandir(path) as entries:
        return next(entries).name


def large(directory: Path, emulator: Emulator, count: int) -> list[float]:
    """One directory of `count` objects; returns the seconds of ls -f and of ls -l."""
    emulator.fill(f"large{count}/file-{number:07}.txt" for number in range(count))
    name = f"large{count}"
    options = ("attributes=list", "ttl=3600", "log_level=info")
    mounted = MountedBucket(directory / name, emulator, *options, prefix=name)
    print(f"\none directory of {count:,} objects")
    try:
        before = memory(mounted.daemon())
        emulator.mark()
        began = time.perf_counter()
        first_entry(mounted.path)
        show("the first entry", Cost(time.perf_counter() - began, requests(emulator), ""))
        taken = []
        for command in ("ls -f", "ls -l", "ls -f"):
            done = cost(emulator, f"{command} | wc -l", mounted.path)
            taken.append(done.seconds)
            more = f"{(mounted.peak_memory() - before) / MIB:.0f}"
            show(f"{command}: {int(done.output):,} lines", done, more)
    finally:
        mounted.close()
    return taken[:2]


def numbers() -> argparse.Namespace:
    """The sizes that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--walk", type=int, default=WALK, help="objects to walk; 0 for no walks")
    parser.add_argument("--large", type=int, nargs="*", default=LARGE, help="sizes of directories")
    return parser.parse_args()


def main() -> None:
    """Measure everything and print the table."""
    sizes = numbers()
    tmpfs = Path("/dev/shm")
    place = tmpfs if os.access(tmpfs, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="kontenumfs-bench-", dir=place) as name:
        directory = Path(name)
        with running_emulator(directory / "emulator") as emulator:
            print(f"{'':48}{'seconds':>9}{'MiB more':>9}   requests")
            if sizes.walk:
                walks(directory, emulator, sizes.walk)
            before: tuple[int, list[float]] | None = None
            for count in sizes.large:
                taken = large(directory, emulator, count)
                if before is not None:
                    growth = [f"{b / a:.1f}" for a, b in zip(before[1], taken, strict=True)]
                    times = f"{count / before[0]:.1f}"
                    print(f"  {times} times the names: ls -f {growth[0]}, ls -l {growth[1]} times")
                before = count, taken


if __name__ == "__main__":
    main()
