# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A random program on mount A, with client B acting before and after any of its requests."""

import os
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import trio

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import (
    AnswerLost,
    FileAlreadyExists,
    FileMissing,
    KontenumError,
    NoSuchKey,
    ServerError,
)
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import Attributes, Body, ObjectInfo, Written
from kontenumfs.store.beliefs import UNKNOWN, Belief
from kontenumfs.store.proof import Verb
from kontenumfs.tree.node import Directory, File
from kontenumfs.writing.file import WritableFile
from kontenumfs.writing.handle import Handle
from kontenumfs.writing.policy import FilePolicy, Publish
from tests.doubles.fake import FakeStore
from tests.doubles.fake_state import FakeObject
from tests.doubles.faulty import FaultyStore
from tests.writing.harness import Workbench, workbench
from tests.writing.ledger import Ledger, record, records

T = TypeVar("T")
KEYS = ("a", "b", "d/x", "e/x", "d/y", "e/y")
LIMITS = Limits(max_components=3, min_part=40, max_part=4000, max_copy=4000)
EPOCH = 1_000_000_000.0

RISKS = {
    Verb.PUT_ABSENT: "put",
    Verb.PUT_MATCH: "put",
    Verb.COMPLETE_ABSENT: "complete_multipart",
    Verb.COMPLETE_MATCH: "complete_multipart",
    Verb.APPEND_ABSENT: "append",
    Verb.APPEND_MATCH: "append",
    Verb.COPY_SOURCE: "copy",
    Verb.PART_COPY_SOURCE: "upload_part_copy",
    Verb.DELETE_MATCH: "delete",
    Verb.DELETE_MANY_MATCH: "delete",
}
"""The store's method that a condition belongs to; a list of keys is deleted one by one where the
store passes over the condition of DeleteObjects. On a store without the condition, what B does
between A's look at the key and this request can be lost: nothing else can."""

BLIND = (
    "no digest",
    "a late DeleteObject, CopyObject or compose",
    "a late append after lost races",
    "CopyObject or compose to a new name",
    "the new name of a directory",
)
"""What no store can tell, or no request can say; B and the network spare A this."""


@dataclass(frozen=True)
class Row:
    """One kind of store.

    Args:
        ignored: the conditions that it passes over.
        lags: whether a HEAD may tell what has passed.
    """

    name: str
    ignored: Collection[Verb] = ()
    digest: bool = True
    append: bool = True
    compose: bool = True
    lags: bool = False

    def store(self) -> FakeStore:
        """An empty one."""
        return FakeStore(
            append=self.append,
            compose=self.compose,
            digest=self.digest,
            conditions=frozenset(Verb) - frozenset(self.ignored),
            limits=LIMITS,
            now=lambda: EPOCH + trio.current_time(),
        )


ROWS = [
    Row("all"),
    Row("none", ignored=tuple(Verb)),
    *(Row(f"no {verb.value}", ignored=(verb,)) for verb in Verb),
    Row("no digest", digest=False),
    Row("no append", append=False),
    Row("no compose", compose=False),
    Row("no digest, no condition of append", digest=False, ignored=(Verb.APPEND_MATCH,)),
    Row("HEAD lags", lags=True),
]


class Meeting(FaultyStore):
    """The bucket as A sees it: any request may meet B, lose its answer or come late.

    Args:
        row: what the store can do.
        rng: decides everything.
    """

    def __init__(self, inner: FakeStore, row: Row, rng: random.Random) -> None:
        super().__init__(inner)
        self.fake = inner
        self.ledger = Ledger(inner)
        self.row = row
        self.rng = rng
        self.keys = KEYS[: rng.choice([1, 2, 2, 4, 6])]
        self.armed = False
        self.meets = rng.choice([0.05, 0.2, 0.5])
        self.fails = rng.choice([0.0, 0.1, 0.25, 0.25])
        self.guarded: set[str] = set()
        """Directories into which B makes nothing for now."""
        self.cut: tuple[str, int] | None = None
        """What A's program truncates now, as it is when A looks at it, and to what size."""
        self.is_late: list[tuple[int, Callable[[], Awaitable[object]]]] = []
        self.count = 0
        self._looked: set[str] = set()
        self._under_way: list[str] = []
        """The keys of requests on which the store would not refuse what has passed."""
        self._free: set[str] = set()
        """The keys that are appended to without a condition."""
        self._unguarded: set[str] = set()
        """The keys that are made of other objects, by a request without a condition on them."""
        self._careless = {RISKS[verb] for verb in row.ignored}

    async def _through(self, verb: str, key: str, call: Callable[[], Awaitable[T]]) -> T:
        if not self.armed:
            return await call()
        await self._land()
        self._act(self._blocked(verb, key))
        fate = self.rng.random()
        if fate < self.fails:
            self._looked.discard(key)
            return await self._fail(verb, key, call)
        careless = [*self._risked(verb, key)]
        self._under_way += careless
        try:
            return await call()
        finally:
            for one in careless:
                self._under_way.remove(one)
            self.ledger.observe("A", over=key if key in self._unguarded else "")
            self.ledger.told.append(f"   {verb} {key}")
            self._looked.discard(key)
            if verb == "head" and self._careless:
                self._looked.add(key)
            self._act(self._blocked("", ""))

    async def head(self, key: str) -> ObjectInfo:
        """See Store; of a store that lags, what was true before the last change."""
        history = self.ledger.described.get(key, ())
        if not (self.armed and self.row.lags and len(history) > 1 and self.rng.random() < 0.3):
            return self._seen(await super().head(key))
        await self._through("head", key, trio.lowlevel.checkpoint)
        info = history[-2]
        self.ledger.told.append(f"   (lags: {info.size if info else None})")
        if info is None:
            raise NoSuchKey("", code="NoSuchKey", status=404, operation="HeadObject", resource=key)
        return self._seen(info)

    def _seen(self, info: ObjectInfo) -> ObjectInfo:
        if self.cut is not None and self.cut[0] == info.key:
            self.ledger.forfeit_end(self.ledger.versions.get(info.etag, b""), self.cut[1])
        return info

    # What happens to a request

    async def _fail(self, verb: str, key: str, call: Callable[[], Awaitable[T]]) -> T:
        error = self.rng.choice([AnswerLost("lost"), ServerError("", code="", status=503)])
        kind = self.rng.choice(["before", "after", "late"])
        if kind == "late" and (self._is_blind(verb, key) or verb in self._careless):
            kind = "after"
        self.ledger.told.append(f"   {verb} {key}: lost, {kind}")
        if kind == "after":
            careless = [*self._risked(verb, key)]
            self._under_way += careless
            with suppress(KontenumError):
                await call()
            for one in careless:
                self._under_way.remove(one)
            self.ledger.observe("A", over=key if key in self._unguarded else "")
        elif kind == "late":
            self.is_late.append((self.count + self.rng.randrange(1, 6), call))
        self._act(self._blocked("", ""))
        raise error

    async def _land(self, *, all_of_them: bool = False) -> None:
        self.count += 1
        for entry in list(self.is_late):
            if entry in self.is_late and (all_of_them or entry[0] <= self.count):
                self.is_late.remove(entry)
                with suppress(KontenumError):
                    await entry[1]()
                self.ledger.told.append("   (landed late)")
                self.ledger.observe("A")

    async def settle(self) -> None:
        """Let everything land that is on its way."""
        await self._land(all_of_them=True)

    # What B does

    def _blocked(self, verb: str, key: str) -> set[str]:
        """The keys that B must leave alone, for the store could not tell."""
        if not self._careless:
            return set()
        return {*self._looked, *self._under_way, *self._risked(verb, key)}

    def _risked(self, verb: str, key: str) -> Collection[str]:
        """The keys of which a request says something that this store does not listen to."""
        if verb not in self._careless:
            return ()
        return KEYS if verb in ("copy", "upload_part_copy") else (key,)

    def _is_blind(self, verb: str, key: str) -> bool:
        """Whether nothing can refuse a request that comes late, on any store."""
        return verb in ("delete", "copy", "compose") or (verb == "append" and key in self._free)

    async def append(
        self,
        key: str,
        body: Body,
        *,
        expected: Belief = UNKNOWN,
        attributes: Attributes | None = None,
    ) -> Written:
        """See Store."""
        if expected is UNKNOWN:
            self._free.add(key)
        try:
            return await super().append(key, body, expected=expected, attributes=attributes)
        finally:
            self._free.discard(key)

    async def copy(
        self,
        source: str,
        target: str,
        attributes: Attributes | None = None,
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """See Store."""
        if source != target:
            self._unguarded.add(target)
        try:
            return await super().copy(source, target, attributes, expected=expected)
        finally:
            self._unguarded.discard(target)

    async def compose(self, key: str, components: Sequence[str], attributes: Attributes) -> Written:
        """See Store."""
        self._unguarded.add(key)
        try:
            return await super().compose(key, components, attributes)
        finally:
            self._unguarded.discard(key)

    def _act(self, blocked: Collection[str]) -> None:
        if self.rng.random() >= self.meets:
            return
        keys = [
            key for key in self.keys if key not in blocked and key.split("/")[0] not in self.guarded
        ]
        if not keys:
            return
        key = self.rng.choice(keys)
        match self.rng.choices(["append", "put", "delete", "rename"], [8, 2, 1, 1])[0]:
            case "append":
                self._append(key)
            case "put":
                self._put(key, b"".join(self._line() for _ in range(self.rng.randrange(1, 4))))
            case "delete":
                self._drop(key)
            case _:
                self._rename(key, self.rng.choice(keys))
        self.ledger.observe("B")

    def begin(self, key: str) -> None:
        """Make an object of B's."""
        self._put(key, self._line() + self._line())

    def _line(self) -> bytes:
        self.count += 1
        # Without digests, lines of one length cannot be told apart where an answer was lost.
        lengths = [10, 10, 20, 50] if self.row.digest else [13, 33]
        return record("B", self.count, self.rng.choice(lengths))

    def _append(self, key: str) -> None:
        found = self.fake.objects.get(key)
        if found is None:
            self._put(key, self._line())
            return
        # Another object with the same count: nobody may keep the one that was.
        data = found.data + self._line()
        self._set(key, data, f"{self.count:032x}-b", found.attributes)

    def _put(self, key: str, data: bytes) -> None:
        self._drop(key)
        self._set(key, bytearray(data), f"{self.count:031x}b", Attributes())

    def _drop(self, key: str) -> None:
        self.ledger.forfeit.update(records(self.ledger.data(key)))
        self.fake.objects.pop(key, None)

    def _rename(self, key: str, target: str) -> None:
        found = self.fake.objects.get(key)
        if found is None or key == target:
            return
        self._drop(target)
        del self.fake.objects[key]
        self._set(target, found.data, f"{self.count:030x}bb", found.attributes)
        self.count += 1

    def _set(self, key: str, data: bytearray, etag: str, attributes: Attributes) -> None:
        now = float(int(EPOCH + trio.current_time()))
        self.fake.objects[key] = FakeObject(data, attributes, etag, now)


@dataclass
class Content:
    """What a program knows of one file that it has open for writing.

    Args:
        data: its bytes; None where others may append to it.
    """

    data: bytearray | None
    pending: dict[Handle, set[bytes]] = field(default_factory=dict)


class Program:
    """What A does."""

    def __init__(self, bench: Workbench, store: Meeting, rng: random.Random) -> None:
        self.bench = bench
        self.store = store
        self.ledger = store.ledger
        self.rng = rng
        self.keys = store.keys
        self.handles: dict[int, Handle] = {}
        self.contents: dict[WritableFile, Content] = {}
        self.count = 0

    async def step(self) -> None:
        """Do something; what fails was told."""
        steps = {
            self.open: 6,
            self.write: 10,
            self.fsync: 3,
            self.close: 4,
            self.rename: 3,
            self.rename_directory: 1,
            self.unlink: 1,
            self.truncate: 1,
            self.copy: 1,
            self.chmod: 1,
            self.directory: 1,
            self.wait: 3,
        }
        if len(self.keys) <= 2:
            del steps[self.rename_directory], steps[self.directory]
        chosen = self.rng.choices(list(steps), list(steps.values()))[0]
        if not self.handles and self.rng.random() < 0.6:
            chosen = self.open
        self.ledger.told.append(f"A {chosen.__name__}")
        self.bench.now = EPOCH + trio.current_time()
        try:
            await chosen()
        except KontenumError as error:
            self.ledger.told.append(f"  -> {type(error).__name__}: {error}")
        finally:
            self.ledger.replaceable.clear()
            self.store.guarded.clear()
            self.store.cut = None
            if self.ledger.broken is not None:
                raise self.ledger.broken

    # Names

    async def _parent(self, key: str) -> tuple[Directory, str]:
        directory, _, name = key.rpartition("/")
        root = self.bench.tree.root
        if not directory:
            return root, name
        found = await self.bench.tree.lookup(root, directory)
        if not isinstance(found, Directory):
            raise FileMissing(directory)
        return found, name

    async def _file(self, key: str) -> File:
        parent, name = await self._parent(key)
        found = await self.bench.tree.lookup(parent, name)
        if not isinstance(found, File):
            raise FileMissing(key)
        return found

    def _key(self, node: File) -> str:
        return node.key

    # Opening and closing

    async def open(self) -> None:
        """A name, in one of the ways that programs use."""
        slot = self.rng.randrange(3)
        if slot in self.handles:
            return
        key = self.rng.choice(self.keys)
        flags = self.rng.choice([0, os.O_APPEND, os.O_APPEND, os.O_TRUNC, os.O_EXCL])
        self.ledger.told.append(f"  {slot} {key} {flags}")
        parent, name = await self._parent(key)
        append, was = bool(flags & os.O_APPEND), None
        try:
            node = await self._file(key)
        except FileMissing:
            handle = await self.bench.files.create(
                parent,
                name,
                FileMetadata(mode=0o644),
                append=append,
                exclusive=bool(flags & os.O_EXCL),
            )
        else:
            if flags & os.O_EXCL:
                return
            was = self.bench.files.table.writer(node)
            if was is not None and flags & os.O_TRUNC:
                self._emptied(was, key)
            handle = await self.bench.files.open(node, os.O_WRONLY | flags, 0)
        self.handles[slot] = handle
        file = handle.file
        assert file is not None
        if file is not was:
            self._begin(file, append=append)
        if flags & os.O_TRUNC and file.content.current is not None:
            self.ledger.forfeit.update(records(self._version(file) or b""))

    def _version(self, file: WritableFile) -> bytes | None:
        current = file.content.current
        if current is None:
            return b""
        found = self.ledger.versions.get(current.etag)
        return found if found is not None and len(found) == current.size else None

    def _begin(self, file: WritableFile, *, append: bool) -> Content:
        known = self._version(file) if file.size else b""
        data = None if append or known is None else bytearray(known)
        content = self.contents[file] = Content(data)
        return content

    def _emptied(self, file: WritableFile, key: str) -> None:
        content = self.contents[file]
        current = file.content.current
        if current is not None:
            self.ledger.forfeit_end(self.ledger.versions.get(current.etag, b""), 0)
            ours = [one for one in records(self.ledger.data(current.key)) if one[1:2] == b"A"]
            self.ledger.forfeit.update(ours)
        if content.data is None:
            self.store.cut = key, 0
        for pending in content.pending.values():
            self.ledger.forfeit.update(pending)
        if content.data is not None:
            self.ledger.forfeit.update(records(bytes(content.data)))
            content.data.clear()

    def _slot(self) -> Handle | None:
        return self.handles[self.rng.choice(list(self.handles))] if self.handles else None

    async def fsync(self) -> None:
        """Of any handle: all of the file is stored then."""
        handle = self._slot()
        if handle is not None:
            await self._finished(handle, self.bench.files.fsync)

    async def close(self) -> None:
        """Any handle."""
        if not self.handles:
            return
        handle = self.handles.pop(self.rng.choice(list(self.handles)))
        try:
            await self._finished(handle, self.bench.files.flush)
        finally:
            await self.bench.files.release(handle)

    async def _finished(self, handle: Handle, call: Callable[[Handle], Awaitable[None]]) -> None:
        file = handle.file
        assert file is not None
        content = self.contents[file]
        self.ledger.told.append(f"  {handle.node.name}")
        dirty = handle.unsaved.dirty
        try:
            await call(handle)
        except KontenumError:
            if handle.unsaved.error is not None:
                content.pending.pop(handle, None)
            raise
        if not handle.node.removed and file.error is None:
            self._stored(handle.node, content, [handle], whole=dirty)

    def _stored(
        self,
        node: File,
        content: Content,
        handles: Collection[Handle],
        *,
        whole: bool,
        was: str = "",
    ) -> None:
        key = self._key(node)
        for handle in handles:
            pending = content.pending.pop(handle, set())
            if content.data is None:
                self.ledger.acknowledge(key, pending)
            elif pending and whole:
                self.ledger.acknowledge_all(key, bytes(content.data), was=was)

    # Writing

    async def write(self) -> None:
        """At the end, or anywhere in a file that is this program's alone."""
        handle = self._slot()
        if handle is None:
            return
        file = await handle.writable()
        content = self.contents.get(file) or self._begin(file, append=handle.append)
        if handle.append and content.data is not None:
            return
        data, offset = content.data, file.size
        known = bytes(data or b"")
        if data is not None:
            offset = self.rng.choice([len(data), self.rng.randrange(len(data) + 1)])
        elif not handle.append:
            found = self._version(file) if file.content.stored else None
            if found is None:
                return  # nobody knows where others' bytes are in it
            known, offset = found, self.rng.randrange(len(found) + 1)
        self.count += 1
        lengths = [10, 10, 20, 50, 60] if handle.append else [10, 20, 50, 64, 100]
        one = record("A", self.count, self.rng.choice(lengths))
        self.ledger.told.append(f"  {handle.node.name} {one!r} at {offset}")
        await handle.write(offset, one)
        content.pending.setdefault(handle, set()).add(one)
        if handle.append:
            return
        changed = known[:offset] + one + known[offset + len(one) :]
        self.ledger.forfeit |= {*records(known)} - {*records(changed)}
        if data is not None:
            data[:] = changed

    async def truncate(self) -> None:
        """By name; a file that others append to only to nothing."""
        key, size = self.rng.choice(self.keys), self.rng.choice([0, 0, 15, 70])
        self.ledger.told.append(f"  {key} {size}")
        node = await self._file(key)
        file = self.bench.files.table.writer(node)
        if file is not None:
            content = self.contents[file]
            if content.data is None:
                size = 0
            before = bytes(content.data or b"")
            if size == 0:
                self._emptied(file, key)
            else:
                assert content.data is not None
                content.data[:] = (before + bytes(size))[:size]
                self.ledger.forfeit |= {*records(before)} - {*records(bytes(content.data))}
            await self.bench.files.truncate(node, size)
            return
        known = self.bench.files.table.remote(node)
        if known is not None:
            self.ledger.forfeit_end(self.ledger.versions.get(known.etag, b""), size)
        self.store.cut = key, size
        await self.bench.files.truncate(node, size)

    async def copy(self) -> None:
        """copy_file_range to the end of a file that is this program's alone."""
        target = self._slot()
        if target is None or target.append:
            return
        file = await target.writable()
        content = self.contents.get(file) or self._begin(file, append=False)
        source = await self._file(self.rng.choice(self.keys))
        if content.data is None or source is target.node or source.removed:
            return
        reading = await self.bench.files.open(source, os.O_RDONLY, 0)
        at = len(content.data)
        length = await self.bench.files.ranges.copy_range(reading, 0, target, at, 1000)
        if not length:
            return
        remote = self.bench.files.table.remote(source)
        known = self.ledger.versions.get(remote.etag) if remote else None
        if known is None or (remote and len(known) != remote.size):
            content.data = None
            return
        self.ledger.told.append(f"  {self._key(source)} to {target.node.name}: {known!r}")
        self.ledger.copies.update(records(known))
        content.data += known
        content.pending.setdefault(target, set()).update(records(known) or [b"copied"])

    # Names

    async def rename(self) -> None:
        """A file, with and without RENAME_NOREPLACE."""
        old, new = (self.rng.choice(self.keys), self.rng.choice(KEYS))
        if old == new:
            return
        overwrite = self.rng.random() < 0.6
        self.ledger.told.append(f"  {old} to {new} overwrite={overwrite}")
        parent, name = await self._parent(old)
        new_parent, new_name = await self._parent(new)
        node = await self._file(old)
        file = self.bench.files.table.writer(node)
        if overwrite:
            self.ledger.replaceable.add(new)
        try:
            await self.bench.namespace.rename(
                parent, name, new_parent, new_name, overwrite=overwrite
            )
        except KontenumError:
            if overwrite:  # what it was to replace may be replaced yet, by a request that is late
                self.ledger.forfeit.update(records(self.ledger.data(new)))
            raise
        if file is not None and file.error is None:
            content = self.contents[file]
            whole = file.content.current is not None
            if whole:
                self._stored(node, content, list(content.pending), whole=True, was=old)
            if content.data is not None and file.content.stored:
                known = self._version(file)
                content.data = None if known is None else bytearray(known)

    async def rename_directory(self) -> None:
        """One of the two."""
        old, new = self.rng.choice([("d", "e"), ("e", "d")])
        self.ledger.told.append(f"  {old} to {new}")
        self.store.guarded.add(new)
        root = self.bench.tree.root
        files = [(writer, self.contents[writer]) for writer in self.bench.files.table.writers]
        await self.bench.namespace.rename(root, old, root, new)
        for file, content in files:
            if content.data is not None and file.error is None and file.content.stored:
                known = self._version(file)
                content.data = None if known is None else bytearray(known)

    async def unlink(self) -> None:
        """A file, whatever it is by then."""
        key = self.rng.choice(self.keys)
        self.ledger.told.append(f"  {key}")
        parent, name = await self._parent(key)
        self.ledger.replaceable.add(key)
        await self.bench.namespace.unlink(parent, name)

    async def chmod(self) -> None:
        """Sent a moment later, or by whatever request is due."""
        node = await self._file(self.rng.choice(self.keys))
        self.count += 1
        self.bench.files.set_metadata(node, FileMetadata(mode=0o600 + self.count % 64))

    async def directory(self) -> None:
        """Make or remove one."""
        root, name = self.bench.tree.root, self.rng.choice("de")
        with suppress(FileAlreadyExists):
            await self.bench.namespace.make_directory(root, name, FileMetadata(mode=0o755))
            return
        await self.bench.namespace.remove_directory(root, name)

    async def wait(self) -> None:
        """Timers run meanwhile."""
        await trio.sleep(self.rng.choice([0.1, 1.5, 5.0, 70.0]))


async def run(row: Row, seed: int, told: list[str] | None = None) -> None:
    """One program to its end; raises Lost."""
    rng = random.Random(seed)
    random.seed(seed)
    fake = row.store()
    store = Meeting(fake, row, rng)
    if told is not None:
        store.ledger.told = told
    policy = FilePolicy(rng.choice(list(Publish)), append_interval=1.0)
    memory = rng.choice([1 << 20, 200])
    async with workbench(store, memory=memory, limits=LIMITS, policy=policy) as bench:
        await bench.capabilities.get()
        program = Program(bench, store, rng)
        for name in "de":
            await bench.namespace.make_directory(bench.tree.root, name, FileMetadata(mode=0o755))
        for key in store.keys:
            if rng.random() < 0.6:
                store.begin(key)
        store.armed = True
        store.ledger.observe("B")
        with trio.fail_after(1e6):  # of a clock that jumps: a standstill
            for _ in range(rng.randrange(10, 80)):
                await program.step()
            while program.handles:
                with suppress(KontenumError):
                    await program.close()
            await trio.sleep(100)
            await store.settle()
    if store.ledger.broken is not None:
        raise store.ledger.broken
