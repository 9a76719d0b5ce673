# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the mount costs against the same work done without it: ``make bench``.

Everything runs on this machine, side by side in one run: the embedded emulator in a process of its
own, data on tmpfs. Times differ from machine to machine; the ratios and the requests are the point.
"""

import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import trio

from kontenumfs.protocol.signing import KeyPair
from kontenumfs.store.api import Attributes
from kontenumfs.store.client import HTTPStore, open_store
from kontenumfs.store.keys import KeyRing
from kontenumfs.store.wire import Endpoint
from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator, running_emulator
from tests.harness.mounts import MountedBucket
from tests.harness.objects import s3_client
from tests.interop.clients import rclone

MIB = 1 << 20
BIG = 256 * MIB
TAIL = MIB
FILES = 1000
FILE_BYTES = 10 * 1024
ROUNDS = 3
"""Each comparison is repeated, its sides in turn; the median is shown."""
PARALLEL = 16


@dataclass(frozen=True, slots=True)
class Sample:
    """One execution: seconds, requests, bytes of request bodies."""

    seconds: float
    requests: int
    sent: int


@dataclass(frozen=True, slots=True)
class Side:
    """One way to do a piece of work.

    Args:
        name: as the table shows it.
        work: does it once.
        before: what has to be done first, and is not counted.
    """

    name: str
    work: Callable[[], object]
    before: Callable[[], object] = lambda: None


class Bench:
    """The emulator, the sources, and the table as it grows.

    Args:
        directory: everything is in it; a tmpfs, or the disk is measured too.
        stack: ends what a failure leaves mounted.
    """

    def __init__(self, directory: Path, emulator: Emulator, stack: ExitStack) -> None:
        self.directory = directory
        self.emulator = emulator
        self.stack = stack
        self.mounts = 0
        self.big = directory / "big"
        self.tail = directory / "tail"
        self.tree = directory / "tree"
        noise = random.Random(1)
        self.big.write_bytes(noise.randbytes(MIB) * (BIG // MIB))
        self.tail.write_bytes(noise.randbytes(TAIL))
        self.tree.mkdir()
        for number in range(FILES):
            (self.tree / f"{number:04}").write_bytes(noise.randbytes(FILE_BYTES))

    def mount(self) -> MountedBucket:
        """A new mount, whose daemon has used no memory yet."""
        self.mounts += 1
        name = f"mount{self.mounts}"
        made = MountedBucket(self.directory / name, self.emulator, "log_level=info", prefix=name)
        self.stack.callback(made.close)
        return made

    def measure(self, side: Side) -> Sample:
        """Do the work once."""
        side.before()
        self.emulator.mark()
        began = time.perf_counter()
        side.work()
        seconds = time.perf_counter() - began
        requests = self.emulator.requests()
        return Sample(seconds, len(requests), sum(r["request_bytes"] for r in requests))

    def compare(self, title: str, sides: list[Side], mounted: MountedBucket) -> None:
        """Print what each side took, and the first against each of the others; ends the mount."""
        samples: list[list[Sample]] = [[] for _ in sides]
        for _ in range(ROUNDS):
            for side, taken in zip(sides, samples, strict=True):
                taken.append(self.measure(side))
        peak = mounted.peak_memory() / MIB
        mounted.close()
        print(f"\n{title}")
        first = statistics.median(sample.seconds for sample in samples[0])
        for number, (side, taken) in enumerate(zip(sides, samples, strict=True)):
            seconds = statistics.median(sample.seconds for sample in taken)
            ratio = f"{first / seconds:8.3g}" if number else f"{'':8}"
            requests, sent = taken[-1].requests, taken[-1].sent / MIB
            memory = "" if number else f"{peak:10.0f}"
            print(f"  {side.name:<44}{seconds:9.3f}{ratio}{requests:10}{sent:10.2f}{memory}")


def dd(source: Path, target: Path, *words: str) -> None:
    """Copy by dd in blocks of 1 MiB."""
    command = ["dd", f"if={source}", f"of={target}", "bs=1M", "status=none", *words]
    subprocess.run(command, check=True)


def list_all(directory: Path) -> None:
    """``ls -lR``, its output dropped."""
    subprocess.run(["ls", "-lR", directory], check=True, stdout=subprocess.DEVNULL)


def client(url: str) -> HTTPStore:
    """The product's own client, without a mount."""
    return open_store(Endpoint(url), BUCKET, KeyRing([KeyPair(ACCESS, SECRET)]))


async def put_parallel(url: str, sources: list[Path], prefix: str) -> None:
    """Put each file as one object, `PARALLEL` at once; they are read as they are needed."""
    store = client(url)
    limit = trio.CapacityLimiter(PARALLEL)

    async def put(path: Path) -> None:
        async with limit:
            await store.put(f"{prefix}/{path.name}", [path.read_bytes()], Attributes())

    async with trio.open_nursery() as nursery:
        for path in sources:
            nursery.start_soon(put, path)
    await store.aclose()


def put_one_by_one(url: str, sources: list[Path], prefix: str) -> None:
    """The same through boto3, one after the other."""
    boto = s3_client(url)
    for path in sources:
        boto.put_object(Bucket=BUCKET, Key=f"{prefix}/{path.name}", Body=path.read_bytes())
    boto.close()


def long_write(bench: Bench) -> None:
    """(a) One long sequential write."""
    mounted, url = bench.mount(), bench.emulator.s3_url
    big, local = mounted.path / "big", bench.directory / "local"
    sides = [
        Side("dd into the mount, a new name", lambda: dd(bench.big, big), lambda: remove(big)),
        Side("the client alone, one PutObject", lambda: put_alone(url, bench.big)),
        Side("dd into tmpfs", lambda: dd(bench.big, local), lambda: remove(local)),
    ]
    bench.compare(f"(a) {BIG // MIB} MiB, sequential", sides, mounted)


def put_alone(url: str, path: Path) -> None:
    """One PutObject by the product's own client."""
    trio.run(put_parallel, url, [path], "client")


def remove(path: Path) -> None:
    """Make room for the next round."""
    path.unlink(missing_ok=True)


def many_files(bench: Bench) -> None:
    """(b) Many small files."""
    mounted, url = bench.mount(), bench.emulator.s3_url
    sources, target = sorted(bench.tree.iterdir()), mounted.path / "tree"

    def copy() -> None:
        subprocess.run(["cp", "-r", bench.tree, target], check=True)

    def clear() -> None:
        subprocess.run(["rm", "-rf", target], check=True)

    sides = [
        Side("cp -r into the mount", copy, clear),
        Side("boto3 put_object, one by one", lambda: put_one_by_one(url, sources, "boto3")),
        Side(
            f"the client alone, {PARALLEL} at once",
            lambda: trio.run(put_parallel, url, sources, "client"),
        ),
    ]
    bench.compare(f"(b) {FILES} files of {FILE_BYTES // 1024} KiB", sides, mounted)


def append(bench: Bench) -> None:
    """(c) A little more at the end of a long object."""
    mounted, url = bench.mount(), bench.emulator.s3_url
    remote = rclone(url, bench.directory / "home")
    dd(bench.big, mounted.path / "big")
    sides = [
        Side(
            "dd oflag=append into the mount",
            lambda: dd(bench.tail, mounted.path / "big", "oflag=append", "conv=notrunc"),
        ),
        Side(
            "rclone copyto of the whole",
            lambda: remote.run("copyto", "--ignore-times", bench.big, f"k:{BUCKET}/rclone/big"),
        ),
    ]
    bench.compare(f"(c) {TAIL // MIB} MiB appended to {BIG // MIB} MiB", sides, mounted)


def listing(bench: Bench) -> None:
    """(d) Names and attributes, asked for and remembered."""
    mounted = bench.mount()
    subprocess.run(["cp", "-r", bench.tree, mounted.path / "tree"], check=True)

    def remount() -> None:
        mounted.unmount()
        mounted.mount()

    sides = [
        Side("ls -lR, right after mounting", lambda: list_all(mounted.path), remount),
        Side("ls -lR again", lambda: list_all(mounted.path)),
        Side("ls -lR of tmpfs", lambda: list_all(bench.tree)),
    ]
    bench.compare(f"(d) {FILES} names", sides, mounted)


def main() -> None:
    """Measure everything and print the table."""
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="kontenumfs-bench-", dir=place) as name:
        directory = Path(name)
        with running_emulator(directory / "emulator") as emulator, ExitStack() as stack:
            bench = Bench(directory, emulator, stack)
            print(f"medians of {ROUNDS}; ratio: the first line's time over this one's")
            print(
                f"{'':46}{'seconds':>9}{'ratio':>8}{'requests':>10}{'MiB sent':>10}{'peak MiB':>10}"
            )
            for part in (long_write, many_files, append, listing):
                part(bench)


if __name__ == "__main__":
    main()
