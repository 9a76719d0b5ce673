# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Random programs of several handles, against files in memory: the same bytes and sizes."""

import os
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import FileMissing
from kontenumfs.writing.handle import Handle
from kontenumfs.writing.policy import FilePolicy, Publish
from tests.doubles.fake import FakeStore
from tests.writing.harness import Workbench, workbench

LIMITS = Limits(max_components=3, min_part=40, max_part=4000, max_copy=4000)
NAMES = st.sampled_from(["a", "b", ".c.123456"])
PLACES = st.integers(0, 300)
FLAGS = st.sampled_from(
    [0, os.O_CREAT, os.O_CREAT | os.O_TRUNC, os.O_CREAT | os.O_APPEND, os.O_CREAT | os.O_EXCL]
)
SLOTS = st.integers(0, 2)
STEPS = st.one_of(
    st.tuples(st.just("open"), SLOTS, NAMES, FLAGS),
    st.tuples(st.just("write"), SLOTS, PLACES, st.integers(1, 150)),
    st.tuples(st.just("write"), SLOTS, PLACES, st.integers(1, 150)),
    st.tuples(st.just("truncate"), NAMES, PLACES),
    st.tuples(st.just("sync"), SLOTS),
    st.tuples(st.just("flush"), SLOTS),
    st.tuples(st.just("close"), SLOTS),
    st.tuples(st.just("rename"), NAMES, NAMES),
    st.tuples(st.just("unlink"), NAMES),
    st.tuples(st.just("copy"), NAMES, SLOTS, PLACES, PLACES, st.integers(1, 300)),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1.5, 5.0])),
)

PREPARATION: list[tuple[Any, ...]] = [
    ("open", 0, "a", os.O_CREAT),
    ("write", 0, 0, 120),
    ("close", 0),
    ("open", 1, "b", os.O_CREAT),
    ("write", 1, 0, 30),
    ("close", 1),
]
"""Two files to begin with: most programs would not come to anything worth copying."""


@dataclass
class ModelHandle:
    """An open file: the content outlives the name."""

    content: bytearray
    append: bool


@dataclass
class Model:
    """What a local file system would do."""

    files: dict[str, bytearray] = field(default_factory=dict)
    handles: dict[int, ModelHandle] = field(default_factory=dict)


def put(content: bytearray, offset: int, data: bytes) -> None:
    """pwrite."""
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


class Run:
    """One program, done to both."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.model = Model()
        self.handles: dict[int, Handle] = {}
        self.count = 0

    async def step(self, step: tuple[Any, ...]) -> None:
        """Do one thing to both, and compare what can be seen of every file."""
        self.bench.now += 0.01
        await getattr(self, step[0])(*step[1:])
        for name, content in self.model.files.items():
            node = await self.bench.find(name)
            size = node.local.size if node.local else node.info.size if node.info else -1
            assert size == len(content), name

    async def open(self, slot: int, name: str, flags: int) -> None:
        if slot in self.handles or (name not in self.model.files and not flags & os.O_CREAT):
            return
        exists = name in self.model.files
        if exists and flags & os.O_EXCL:
            return
        content = self.model.files.setdefault(name, bytearray())
        if flags & os.O_TRUNC:
            content.clear()
        self.model.handles[slot] = ModelHandle(content, bool(flags & os.O_APPEND))
        self.handles[slot] = await self.bench.open(name, os.O_WRONLY | flags)

    async def write(self, slot: int, offset: int, length: int) -> None:
        if slot not in self.handles:
            return
        self.count += 1
        data = bytes([self.count % 251 + 1]) * length
        handle = self.model.handles[slot]
        put(handle.content, len(handle.content) if handle.append else offset, data)
        assert await self.handles[slot].write(offset, data) == length

    async def truncate(self, name: str, size: int) -> None:
        if name in self.model.files:
            content = self.model.files[name]
            content[:] = (content + bytes(size))[:size]
            await self.bench.files.truncate(await self.bench.find(name), size)

    async def sync(self, slot: int) -> None:
        if slot not in self.handles:
            return
        handle = self.handles[slot]
        await self.bench.files.fsync(handle)
        self._check_stored(slot)

    def _check_stored(self, slot: int) -> None:
        content = self.model.handles[slot].content
        for name, file in self.model.files.items():
            if file is content:
                assert self.bench.store.data(name) == content  # type: ignore[attr-defined]

    async def flush(self, slot: int) -> None:
        if slot in self.handles:
            await self.bench.files.flush(self.handles[slot])

    async def close(self, slot: int) -> None:
        if slot in self.handles:
            await self.bench.close(self.handles.pop(slot))
            del self.model.handles[slot]

    async def rename(self, old: str, new: str) -> None:
        root = self.bench.tree.root
        if old in self.model.files:
            await self.bench.namespace.rename(root, old, root, new)
            self.model.files[new] = self.model.files.pop(old)

    async def unlink(self, name: str) -> None:
        if name in self.model.files:
            await self.bench.namespace.unlink(self.bench.tree.root, name)
            del self.model.files[name]
            with pytest.raises(FileMissing):
                await self.bench.find(name)

    async def copy(self, name: str, slot: int, offset: int, at: int, length: int) -> None:
        target = self.model.handles.get(slot)
        if target is None or target.append or name not in self.model.files:
            return
        source = self.model.files[name]
        data = bytes(source[offset : offset + length])
        if source is target.content and at < offset + length and offset < at + length:
            return  # the kernel refuses to copy between overlapping ranges
        reading = await self.bench.files.open(await self.bench.find(name), os.O_RDONLY, 0)
        copied = await self.bench.files.ranges.copy_range(
            reading, offset, self.handles[slot], at, length
        )
        assert copied == len(data)
        if data:
            put(target.content, at, data)

    async def wait(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def finish(self, store: FakeStore) -> None:
        """Close everything: the store has these files, and nothing else."""
        for slot in list(self.handles):
            await self.close(slot)
        await trio.sleep(10)
        expected = {name: bytes(content) for name, content in self.model.files.items()}
        assert {name: store.data(name) for name in store.objects} == expected
        assert not store.uploads
        assert self.bench.memory.used == 0


async def execute(program: list[tuple[Any, ...]], publish: Publish, memory: int) -> None:
    """Run one program to its end."""
    store = FakeStore(limits=LIMITS)
    policy = FilePolicy(publish, append_interval=1.0)
    async with workbench(store, memory=memory, limits=LIMITS, policy=policy) as bench:
        run = Run(bench)
        with trio.fail_after(1000):  # of a clock that jumps: a standstill
            for step in [*PREPARATION, *program]:
                await run.step(step)
            await run.finish(store)


@settings(max_examples=600, deadline=None)
@example(
    [("open", 1, "b", os.O_CREAT | os.O_APPEND), ("write", 1, 0, 64), ("rename", "a", "b")],
    Publish.AUTO,
    200,
)
@example([("open", 0, "b", 0), ("copy", "a", 0, 0, 0, 1), ("truncate", "a", 0)], Publish.AUTO, 200)
@example(
    [
        ("open", 2, ".c.123456", os.O_CREAT | os.O_EXCL | os.O_APPEND),
        ("write", 2, 0, 1),
        ("rename", ".c.123456", "a"),
    ],
    Publish.AUTO,
    200,
)
@example(
    [("open", 0, "n", os.O_CREAT), ("write", 0, 0, 64), ("write", 0, 0, 1), ("unlink", "n")],
    Publish.AUTO,
    1 << 20,
)
@example(
    [("open", 0, "a", 0), ("open", 2, "b", 0), ("write", 2, 94, 64), ("write", 0, 0, 1)],
    Publish.ATOMIC,
    200,
)
@given(
    program=st.lists(STEPS, max_size=40),
    publish=st.sampled_from(Publish),
    memory=st.sampled_from([1 << 20, 200]),
)
def test_any_program_leaves_the_bytes_that_a_disk_would(
    program: list[tuple[Any, ...]], publish: Publish, memory: int
) -> None:
    """Write, truncate, append, copy, rename, sync, unlink, in any order through any handles."""
    # A clock of its own for each example: pytest-trio's would be one for all.
    trio.run(execute, program, publish, memory, clock=MockClock(autojump_threshold=0))
