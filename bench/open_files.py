# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What one more open file costs each of the others: ``python -m bench.open_files``.

Logs that are written to side by side: as many files as programs hold open, a line in each. The
store is in memory, so what is measured is the mount's own work. The ratio is the point: with 10,000
files one costs as much as with 1,000.
"""

import os
import time

import trio

from tests.doubles.fake import FakeStore
from tests.writing.harness import workbench

COUNTS = (1000, 10_000)
APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


async def seconds_per_file(count: int) -> float:
    """Open `count` files, write a line to each, close them all."""
    async with workbench(FakeStore()) as bench:
        began = time.perf_counter()
        handles = [await bench.open(f"log-{number}", APPEND) for number in range(count)]
        for handle in handles:
            await handle.write(0, b"line\n")
        for handle in handles:
            await bench.close(handle)
        return (time.perf_counter() - began) / count


def main() -> None:
    """Print what a file takes, and how that grows."""
    taken = [trio.run(seconds_per_file, count) for count in COUNTS]
    for count, seconds in zip(COUNTS, taken, strict=True):
        print(f"{count:6} open files: {seconds * 1e6:7.0f} us each")
    print(f"ratio: {taken[-1] / taken[0]:.2f}")


if __name__ == "__main__":
    main()
