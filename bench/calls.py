# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""How often a small file takes control from file to file: ``python -m bench.calls [-v]``.

A reader who follows create, write of 5 bytes and close through the code turns so many pages. What
counts is each call (a coroutine that is resumed is called again) of a function of kontenumfs by one
in another file, down to the border of store/conditional.py; the store behind it is in memory, and
there is no kernel. With -v, each of them is printed.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import trio

import kontenumfs
from kontenumfs.protocol.metadata import FileMetadata
from tests.doubles.fake import FakeStore
from tests.writing.harness import Workbench, workbench

ROOT = str(Path(kontenumfs.__file__).parent) + os.sep
BORDER = ROOT + os.path.join("store", "conditional.py")
Move = tuple[str, str, str]
"""From which file to which, and the function."""


def callers(frame: FrameType) -> Iterator[str]:
    """The files of kontenumfs that a frame was called from, the nearest first."""
    at = frame.f_back
    while at is not None:
        if at.f_code.co_filename.startswith(ROOT):
            yield at.f_code.co_filename
        at = at.f_back


class Counter:
    """Records moves; to be given to sys.setprofile."""

    def __init__(self) -> None:
        self.moves: list[Move] = []

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        name = frame.f_code.co_filename
        if event != "call" or not name.startswith(ROOT):
            return
        above = list(callers(frame))
        if BORDER not in above and above[:1] != [name]:
            known = above[0].removeprefix(ROOT) if above else "caller"
            self.moves.append((known, name.removeprefix(ROOT), frame.f_code.co_name))


async def create(bench: Workbench, name: str) -> None:
    """Create a file as the kernel does it: create, write, flush, release."""
    pid = os.getpid()
    handle = await bench.files.create(
        bench.tree.root, name, FileMetadata(mode=0o644, uid=0, gid=0), pid=pid
    )
    await handle.write(0, b"hello")
    await bench.files.flush(handle, pid)
    await bench.files.release(handle)


async def count() -> list[Move]:
    """Return the moves of one file, after the first one has had the store probed."""
    counter = Counter()
    async with workbench(FakeStore()) as bench:
        await bench.capabilities.get()
        await create(bench, "first")
        sys.setprofile(counter)
        try:
            await create(bench, "second")
        finally:
            sys.setprofile(None)
    return counter.moves


def main() -> None:
    """Print the count."""
    moves = trio.run(count)
    if "-v" in sys.argv:
        for source, target, function in moves:
            print(f"{source} -> {target} {function}")
    files = {target for _, target, _ in moves}
    print(f"create, write of 5 bytes, close: {len(moves)} moves through {len(files)} files")


if __name__ == "__main__":
    main()
