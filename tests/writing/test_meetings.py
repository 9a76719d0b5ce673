# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Two calls that meet in one file or directory: each takes place as if it had come alone."""

import os
import random
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol.errors import FileMissing
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.beliefs import UNKNOWN
from kontenumfs.tree.node import Directory
from kontenumfs.writing.handle import Handle
from tests.doubles.fake import FakeStore
from tests.doubles.faulty import Fault, FaultyStore
from tests.writing.harness import Workbench, workbench
from tests.writing.test_memory import SlowStore

APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


async def store_file(bench: Workbench, name: str, data: bytes) -> None:
    """Write a file of the root and close it."""
    handle = await bench.open(name)
    await handle.write(0, data)
    await bench.close(handle)


async def meet(delay: float, first: Callable[[], Awaitable[object]], second: object) -> None:
    """Have `second` come `delay` seconds after `first`, and wait for both."""

    async def late() -> None:
        await trio.sleep(delay)
        await second()  # type: ignore[operator]

    async def begin() -> None:
        await first()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(begin)
        nursery.start_soon(late)


def contents(store: FakeStore) -> dict[str, bytes]:
    """All that the store has."""
    return {key: store.data(key) for key in store.objects}


@pytest.mark.parametrize("name", ["f", ".f.abcdef"])
async def test_rename_meets_a_file_that_is_being_closed(
    name: str, autojump_clock: MockClock
) -> None:
    """rsync's and mv's: what a close or the timer of late names stores has the new name then."""
    fake = FakeStore()
    store = FaultyStore(fake, Fault("put", delay=2.0, key=name))
    async with workbench(store) as bench:
        handle = await bench.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        await handle.write(0, b"precious")
        root = bench.tree.root
        await meet(
            3.0 if name.startswith(".") else 1.0,
            lambda: bench.close(handle),
            lambda: bench.namespace.rename(root, name, root, "g"),
        )
        await trio.sleep(10)
        assert store.is_spent
        assert (await bench.find("g")).info is not None
    assert contents(fake) == {"g": b"precious"}


async def test_a_truncating_open_meets_a_close(autojump_clock: MockClock) -> None:
    """`: > f; echo hi > f`: the kernel releases the first one while the second opens."""
    fake = FakeStore()
    store = FaultyStore(fake, Fault("put", delay=1.0))
    async with workbench(store) as bench:
        first = await bench.open("f")

        async def open_truncating() -> None:
            second = await bench.files.open(first.node, os.O_WRONLY | os.O_TRUNC, 0)
            await second.write(0, b"hi")
            await bench.close(second)

        await meet(0.5, lambda: bench.files.release(first), open_truncating)
        await trio.sleep(10)
        assert bench.files.table.count == 0
    assert contents(fake) == {"f": b"hi"}


async def test_truncate_by_path_meets_a_close(autojump_clock: MockClock) -> None:
    """S1.6: When truncate(2) has returned, the object has that length."""
    fake = FakeStore()
    store = FaultyStore(fake, Fault("put", delay=1.0))
    async with workbench(store) as bench:
        handle = await bench.open("f")

        async def truncate() -> None:
            await bench.files.truncate(handle.node, 5)
            assert fake.data("f") == bytes(5)

        await meet(0.5, lambda: bench.files.release(handle), truncate)
        assert bench.files.table.count == 0


@pytest.mark.parametrize("verb", ["copy", "delete_many"])
async def test_what_happens_below_a_directory_that_is_renamed(
    verb: str, autojump_clock: MockClock
) -> None:
    """S5.9: Lines, files, directories and deletions that come meanwhile are in the new one."""
    fake = FakeStore()
    store = FaultyStore(fake)
    async with workbench(store) as bench:
        root, namespace = bench.tree.root, bench.namespace
        directory = await namespace.make_directory(root, "d", FileMetadata())
        for name in ("log", "gone", "touched"):
            handle = await bench.files.create(directory, name, FileMetadata())
            await handle.write(0, b"old ")
            await bench.close(handle)
        log, touched = directory.children["log"], directory.children["touched"]

        async def append() -> None:
            handle = await bench.files.open(log, APPEND, 0)  # type: ignore[arg-type]
            await handle.write(0, b"new")
            await bench.close(handle)

        async def create() -> None:
            handle = await bench.files.create(directory, "created", FileMetadata())
            await handle.write(0, b"created")
            await bench.close(handle)

        async def all_of_it() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(append)
                nursery.start_soon(create)
                nursery.start_soon(namespace.make_directory, directory, "made", FileMetadata())
                nursery.start_soon(
                    namespace.make_symlink, directory, "link", "target", FileMetadata()
                )
                nursery.start_soon(namespace.unlink, directory, "gone")
                nursery.start_soon(namespace.rename, directory, "touched", root, "moved")

        bench.files.set_metadata(touched, FileMetadata(mode=0o600))  # type: ignore[arg-type]
        await bench.capabilities.get()
        store.add(Fault(verb, delay=5.0, count=-1))
        await meet(2.0, lambda: namespace.rename(root, "d", root, "e"), all_of_it)
        await trio.sleep(30)
    assert contents(fake) == {
        "e/": b"",
        "e/log": b"old new",
        "e/created": b"created",
        "e/made/": b"",
        "e/link": b"target",
        "moved": b"old ",
    }


@pytest.mark.parametrize("moment", [0.5, 1.5])
async def test_metadata_that_is_being_sent_meets_a_change(
    moment: float, autojump_clock: MockClock
) -> None:
    """An object that is copied onto itself loses no line, and does not come back."""

    class SlowCopies(FakeStore):
        """Reads the source at once and has the copy stored a second later, as a store may."""

        async def copy(self, source, target, attributes=None, *, expected=UNKNOWN):  # type: ignore[no-untyped-def]
            before = self.objects.get(source)
            await trio.sleep(1)
            self.objects[source] = before  # type: ignore[assignment]
            return await super().copy(source, target, attributes, expected=expected)

    store = SlowCopies()
    async with workbench(store) as bench:
        root = bench.tree.root
        for name in ("log", "gone"):
            await store_file(bench, name, b"one ")
            node = await bench.find(name)
            bench.files.set_metadata(node, FileMetadata(mode=0o600))
        await trio.sleep(moment)
        await bench.namespace.unlink(root, "gone")
        line = await bench.open("log", APPEND)
        await line.write(0, b"two")
        await bench.close(line)
        await trio.sleep(10)
    assert contents(store) == {"log": b"one two"}


@pytest.mark.parametrize("moment", [0.2, 1.2, 2.2, 3.2])
async def test_a_copy_of_a_log_that_grows(moment: float, autojump_clock: MockClock) -> None:
    """`cp log copy` while a line is appended: what the log had is copied, whenever the line comes.

    A copy that names an ETag is refused when the object has another one by then.
    """
    fake = FakeStore()
    store = FaultyStore(fake)
    async with workbench(store) as bench:
        await store_file(bench, "log", b"line 1\n")
        line = await bench.open("log", APPEND)
        await line.write(0, b"line 2\n")
        await bench.close(line)

        async def copy() -> None:
            source = await bench.files.open(await bench.find("log"), os.O_RDONLY, 0)
            target = await bench.open("copy")
            await bench.files.ranges.copy_range(source, 0, target, 0, 1 << 20)
            await bench.close(target)

        async def grow() -> None:
            line = await bench.open("log", APPEND)
            await line.write(0, b"line 3\n")
            await bench.close(line)

        store.add(Fault("*", delay=1.0, key="copy", count=-1))
        await meet(moment, copy, grow)
    assert contents(fake) == {
        "log": b"line 1\nline 2\nline 3\n",
        "copy": b"line 1\nline 2\n",
    }


class Logger:
    """Appends numbered lines, each through a handle of its own, to whatever has the name."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.directories = trio.Lock()
        self.written = 0

    async def line(self, name: str) -> None:
        """What `echo N >> DIR/NAME` does; the kernel lets one change a directory at a time."""
        directory = self.bench.tree.root.children["d"]
        assert isinstance(directory, Directory)
        handle: Handle
        async with self.directories:
            try:
                node = await self.bench.tree.lookup(directory, name)
                handle = await self.bench.files.open(node, APPEND, 0)  # type: ignore[arg-type]
            except FileMissing:
                handle = await self.bench.files.create(directory, name, FileMetadata(), append=True)
        await handle.write(0, b"%d\n" % self.written)
        self.written += 1
        await self.bench.close(handle)


@pytest.mark.parametrize("seed", range(20))
async def test_lines_outlive_every_rotation(seed: int, autojump_clock: MockClock) -> None:
    """A log that is renamed, and whose directory is, while it is written to and described."""
    numbers = random.Random(seed)
    store = SlowStore(numbers)
    async with workbench(store) as bench:
        root, namespace = bench.tree.root, bench.namespace
        await namespace.make_directory(root, "d", FileMetadata())
        logger = Logger(bench)

        async def write() -> None:
            for _ in range(40):
                await logger.line("log")
                await trio.sleep(numbers.random() * 0.02)

        async def rotate() -> None:
            for number in range(12):
                await trio.sleep(numbers.random() * 0.08)
                directory = root.children["d"]
                assert isinstance(directory, Directory)
                async with logger.directories:
                    try:
                        await namespace.rename(directory, "log", directory, f"log.{number}")
                    except FileMissing:
                        continue

        async def touch() -> None:
            for number in range(12):
                await trio.sleep(numbers.random() * 0.3)
                for node in list(root.children["d"].children.values()):  # type: ignore[attr-defined]
                    bench.files.set_metadata(node, FileMetadata(mode=number))

        async with trio.open_nursery() as nursery:
            for task in (write, rotate, touch):
                nursery.start_soon(task)
        await trio.sleep(10)
        assert bench.memory.used == 0
    lines = b"".join(store.data(key) for key in store.objects).split()
    assert sorted(map(int, lines)) == list(range(40))
