# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Renames while another host uses the same names: no byte of anybody is lost."""

import os
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import (
    AccessDenied,
    DirectoryNotEmpty,
    FileAlreadyExists,
    FileMissing,
    NameTooLong,
    NoSuchKey,
    RenameConflict,
    UnexpectedAnswer,
    Unsupported,
)
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import Attributes, ListPage, ObjectInfo
from kontenumfs.tree.node import Directory, File
from tests.doubles.fake import FakeStore
from tests.doubles.faulty import Fault, FaultyStore
from tests.writing.harness import Workbench, workbench
from tests.writing.rival import Rival
from tests.writing.test_meetings import contents, store_file

TINY = Limits(max_copy=16, min_part=8)


async def rename(bench: Workbench, old: str, new: str, *, overwrite: bool = True) -> None:
    """rename(2) in the root."""
    root = bench.tree.root
    await bench.namespace.rename(root, old, root, new, overwrite=overwrite)


async def directory(bench: Workbench, name: str, **files: bytes) -> Directory:
    """A directory of the root with stored files in it."""
    made = await bench.namespace.make_directory(bench.tree.root, name, FileMetadata())
    for child, data in files.items():
        handle = await bench.files.create(made, child, FileMetadata())
        await handle.write(0, data)
        await bench.close(handle)
    return made


async def test_a_log_that_has_grown_since_it_was_seen(autojump_clock: MockClock) -> None:
    """S5.4: `mv log log.1`, and a header written through an old descriptor: their line stays."""
    store = Rival()
    async with workbench(store) as bench:
        await store_file(bench, "log", b"one\n")
        header = await bench.files.open(await bench.find("log"), os.O_WRONLY, 0)
        await store.appends("log", b"theirs\n")()
        await rename(bench, "log", "log.1")
        await header.write(0, b"ONE")
        await bench.close(header)
        assert (await bench.find("log.1")).info.size == 11  # type: ignore[union-attr]
    assert contents(store) == {"log.1": b"ONE\ntheirs\n"}


async def test_a_copy_after_a_rename_is_whole(autojump_clock: MockClock) -> None:
    """`mv log log.1; cat log.1 > all`: with the lines that were added meanwhile."""
    store = Rival()
    async with workbench(store) as bench:
        await store_file(bench, "log", b"one\n")
        await store.appends("log", b"theirs\n")()
        await rename(bench, "log", "log.1")
        source = await bench.files.open(await bench.find("log.1"), os.O_RDONLY, 0)
        target = await bench.open("all")
        await bench.files.ranges.copy_range(source, 0, target, 0, 1 << 20)
        await bench.close(target)
    assert store.data("all") == b"one\ntheirs\n"


@pytest.mark.parametrize("operation", ["CopyObject", "DeleteObject"])
async def test_a_line_that_comes_while_a_log_is_rotated(
    operation: str, autojump_clock: MockClock
) -> None:
    """S5.1: logrotate here, appenders there: the line is in the old log or in the new one, once."""
    store = Rival()
    async with workbench(store) as bench:
        await store_file(bench, "log", b"one\n")
        for number in range(3):
            key = "log" if operation == "DeleteObject" else "log.1"
            store.before(operation, key, store.appends("log", b"line %d\n" % number))
        await rename(bench, "log", "log.1")
    assert store.has_acted or operation == "CopyObject"
    lines = b"".join(contents(store).values()).splitlines()
    acted = [b"line 0", b"line 1", b"line 2"][: len(lines) - 1]
    assert lines == [b"one", *acted]
    assert "log" not in store.objects


async def test_a_log_whose_appenders_never_pause(autojump_clock: MockClock) -> None:
    """S5.3: the rename is tried for its deadline, many times, and fails; the log is whole."""
    store, lines = Rival(), 0

    async def more() -> None:
        nonlocal lines
        lines += 1
        store.before("CopyObject", "log.1", more)
        await store.appends("log", b"line\n")()

    async with workbench(store) as bench:
        await store_file(bench, "log", b"one\n")
        store.before("CopyObject", "log.1", more)
        with pytest.raises(RenameConflict):
            await rename(bench, "log", "log.1")
        assert trio.current_time() > 50
        assert (await bench.find("log")).info is not None
    assert lines > 300, "pauses are short, for nobody else makes any"
    assert contents(store) == {"log": b"one\n" + b"line\n" * lines}


async def test_a_log_whose_appenders_pause_now_and_then(autojump_clock: MockClock) -> None:
    """S5.1: what was seen before a wait is not relied on after it."""
    store = Rival()

    async def chatter() -> None:
        while True:
            await trio.sleep(0.05)
            if "log" not in store.objects:
                return
            await store.appends("log", b"line\n")()

    async with workbench(store) as bench:
        await store_file(bench, "log", b"one\n")
        for _ in range(5):
            store.before("CopyObject", "log.1", store.appends("log", b"line\n"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(chatter)
            await rename(bench, "log", "log.1")
        assert trio.current_time() < 30
    assert store.has_acted
    assert set(contents(store)) == {"log.1"}


async def test_a_log_that_is_begun_anew_while_it_is_rotated(autojump_clock: MockClock) -> None:
    """S5.3: Another host rotates the same log: what it begins under the old name stays there."""
    store = Rival()

    async def rotate() -> None:
        await FakeStore.delete(store, "log")
        await store.appends("log", b"new\n")()

    async with workbench(store) as bench:
        await store_file(bench, "log", b"a long line\n")
        store.before("DeleteObject", "log", rotate)
        await rename(bench, "log", "log.1")
        assert (await bench.find("log")).info is not None
    assert contents(store) == {"log.1": b"a long line\n", "log": b"new\n"}


async def test_a_file_that_another_host_deletes_first(autojump_clock: MockClock) -> None:
    """S5.3: There is nothing to rename any more, and nothing appears."""
    store = Rival()
    async with workbench(store) as bench:
        await store_file(bench, "f", b"content")
        store.before("CopyObject", "g", lambda: FakeStore.delete(store, "f"))
        with pytest.raises(FileMissing):
            await rename(bench, "f", "g")
    assert contents(store) == {}


async def test_bytes_that_another_host_has_put_keep_their_time_and_headers(
    autojump_clock: MockClock,
) -> None:
    """S5.2: `mv a b` of a file that was replaced: nothing of the old object is pasted onto
    the new.
    """
    store = Rival()
    async with workbench(store) as bench:
        await store_file(bench, "a", b"old")
        bench.files.set_metadata(await bench.find("a"), FileMetadata(user={"colour": "red"}))
        await bench.files.sync(await bench.find("a"))
        await store.puts("a", b"new", **{"mtime": "1234567890", "mtime-size": "3"})()
        await rename(bench, "a", "b")
        node = await bench.find("b")
        assert node.info is not None
    assert store.data("b") == b"new"
    metadata = store.objects["b"].attributes.metadata
    assert metadata["mtime"] == "1234567890"
    assert "colour" not in metadata


async def test_no_replace_meets_a_name_that_another_host_makes(autojump_clock: MockClock) -> None:
    """S5.5: `mv -n mine lock` on two hosts: one of them has it, and both objects are whole."""
    store = Rival()
    async with workbench(store) as bench:
        await store_file(bench, "mine", b"mine")
        await bench.capabilities.get()
        store.before("CompleteMultipartUpload", "lock", store.puts("lock", b"theirs"))
        with pytest.raises(FileAlreadyExists):
            await rename(bench, "mine", "lock", overwrite=False)
        assert (await bench.find("lock")).info is not None
        await rename(bench, "mine", "free", overwrite=False)
    assert store.has_acted
    assert contents(store) == {"free": b"mine", "lock": b"theirs"}
    assert not store.uploads


@pytest.mark.parametrize("kind", ["link", "directory", "file without an object"])
async def test_a_name_that_another_host_has_made_is_not_replaced(
    kind: str, autojump_clock: MockClock
) -> None:
    """S5.5: symlink(), mkdir() and mv -n within the ttl: EEXIST, and their object as it was."""
    store = Rival()
    async with workbench(store) as bench:
        root, key = bench.tree.root, "d/" if kind == "directory" else "d"
        with pytest.raises(FileMissing):
            await bench.find("d")
        await store.puts(key, b"theirs")()
        handle = await bench.open("new")
        await handle.write(0, b"ours")
        makes: dict[str, Callable[[], Awaitable[object]]] = {
            "link": lambda: bench.namespace.make_symlink(root, "d", "target", FileMetadata()),
            "directory": lambda: bench.namespace.make_directory(root, "d", FileMetadata()),
            "file without an object": lambda: rename(bench, "new", "d", overwrite=False),
        }
        with pytest.raises(FileAlreadyExists):
            await makes[kind]()
    assert store.data(key) == b"theirs"


async def test_an_empty_file_over_an_existing_one(autojump_clock: MockClock) -> None:
    """S5.6: `: > new; mv new page` while new is open: the CDN has the old page or the new,
    always.
    """
    store = FakeStore()
    async with workbench(store) as bench:
        await store_file(bench, "page", b"old")
        handle = await bench.open("new")
        await rename(bench, "new", "page")
        assert store.data("page") == b""
        await handle.write(0, b"new page")
        await bench.close(handle)
    assert contents(store) == {"page": b"new page"}


async def test_rmdir_of_a_directory_with_a_directory_that_no_store_shows() -> None:
    """S9.8: On stores without markers a directory is this mount's alone: ENOTEMPTY all the same."""

    class Slashless(FakeStore):
        async def put(self, key, body, attributes, **conditions):  # type: ignore[no-untyped-def]
            return await super().put(key.rstrip("/"), body, attributes, **conditions)

    async with workbench(Slashless()) as bench:
        outer = await directory(bench, "outer")
        await bench.namespace.make_directory(outer, "inner", FileMetadata())
        with pytest.raises(DirectoryNotEmpty):
            await bench.namespace.remove_directory(bench.tree.root, "outer")
        await directory(bench, "other")
        with pytest.raises(DirectoryNotEmpty):
            await rename(bench, "other", "outer")


# Directories


async def test_a_line_that_comes_while_a_directory_is_renamed(autojump_clock: MockClock) -> None:
    """Between the copies and the deletes, and again while it is brought over."""
    store = Rival()
    async with workbench(store) as bench:
        await directory(bench, "d", log=b"one\n", other=b"x")
        store.before("DeleteObjects", "bucket", store.appends("d/log", b"two\n"))
        store.before("DeleteObject", "d/log", store.appends("d/log", b"three\n"))
        await rename(bench, "d", "e")
    assert store.has_acted
    assert contents(store) == {"e/": b"", "e/log": b"one\ntwo\nthree\n", "e/other": b"x"}


async def test_a_directory_rename_that_fails_changes_nothing(autojump_clock: MockClock) -> None:
    """S5.7: One copy of many is refused: no copy stays, and who repeats it has a free name."""
    fake = FakeStore()
    store = FaultyStore(fake, Fault("copy", AccessDenied("no"), key="e/c"))
    async with workbench(store) as bench:
        await directory(bench, "d", a=b"1", b=b"2", c=b"3")
        before = contents(fake)
        with pytest.raises(AccessDenied):
            await rename(bench, "d", "e")
        assert contents(fake) == before
        await rename(bench, "d", "e")
    assert contents(fake) == {"e/": b"", "e/a": b"1", "e/b": b"2", "e/c": b"3"}


async def test_a_directory_with_a_key_that_would_be_too_long(autojump_clock: MockClock) -> None:
    """S5.7: Refused before the first copy."""
    fake = FakeStore()
    await fake.put("d/" + "x" * 1000, [b"x"], Attributes())
    await fake.put("d/a", [b"a"], Attributes())
    async with workbench(fake) as bench:
        calls = len(fake.calls)
        with pytest.raises(NameTooLong):
            await rename(bench, "d", "e" * 100)
        assert not {call.operation for call in fake.calls[calls:]} & {"CopyObject", "PutObject"}


@pytest.mark.parametrize("deleted", [0, 1, 2])
async def test_a_directory_rename_that_was_killed_is_repeated(
    deleted: int, autojump_clock: MockClock
) -> None:
    """S5.8: `mv -T d e` after a crash between the copies, or between the deletes."""
    fake = FakeStore()
    async with workbench(fake) as bench:
        await directory(bench, "d", a=b"1", b=b"2", c=b"3")
    for name in ("", "a", "b", "c"):
        await fake.copy(f"d/{name}", f"e/{name}")
    for name in ("a", "b")[:deleted]:
        await fake.delete(f"d/{name}")
    async with workbench(fake) as bench:
        await rename(bench, "d", "e")
    assert contents(fake) == {"e/": b"", "e/a": b"1", "e/b": b"2", "e/c": b"3"}


async def test_a_directory_with_other_things_is_not_replaced(autojump_clock: MockClock) -> None:
    """A file of the same name and other bytes, or others beside it: ENOTEMPTY."""
    fake = FakeStore()
    async with workbench(fake) as bench:
        await directory(bench, "d", a=b"1", b=b"2")
        await directory(bench, "same", a=b"x")
        await directory(bench, "more", c=b"3")
        await directory(bench, "both", a=b"1", c=b"3")
        await directory(bench, "empty")
        before = contents(fake)
        for source, target in (("d", "same"), ("d", "more"), ("d", "both"), ("empty", "d")):
            with pytest.raises(DirectoryNotEmpty):
                await rename(bench, source, target)
    assert contents(fake) == before


async def test_a_listing_that_ignores_its_prefix_moves_nothing(autojump_clock: MockClock) -> None:
    """A directory's rename trusts no listing with foreign keys in it."""

    class Careless(FakeStore):
        async def list_page(self, prefix="", **options) -> ListPage:  # type: ignore[no-untyped-def]
            return await super().list_page("" if prefix == "d/" else prefix, **options)

    fake = Careless()
    async with workbench(fake) as bench:
        await directory(bench, "d", a=b"1")
        await store_file(bench, "foreign", b"x")
        before = contents(fake)
        with pytest.raises(UnexpectedAnswer):
            await rename(bench, "d", "e")
    assert contents(fake) == before


async def test_a_store_that_cannot_copy_a_marker(autojump_clock: MockClock) -> None:
    """SeaweedFS: the directory's own object is put anew."""

    class Markless(FakeStore):
        async def copy(self, source, target, *rest, **options):  # type: ignore[no-untyped-def]
            if source.endswith("/"):
                raise NoSuchKey("no such key", resource=source)
            return await super().copy(source, target, *rest, **options)

    fake = Markless()
    async with workbench(fake) as bench:
        made = await directory(bench, "d", a=b"1")
        await bench.namespace.make_directory(made, "sub", FileMetadata(mode=0o700))
        await rename(bench, "d", "e")
    assert contents(fake) == {"e/": b"", "e/a": b"1", "e/sub/": b""}
    assert fake.objects["e/sub/"].attributes.metadata["mode"] == str(0o40700)


# Large objects


@pytest.mark.parametrize("overwrite", [True, False])
async def test_renaming_more_than_one_copy_takes(
    overwrite: bool, autojump_clock: MockClock
) -> None:
    """S5.11: Beyond 5 GiB, in parts; a line that comes meanwhile is there too."""
    store = Rival(limits=TINY)
    async with workbench(store, limits=TINY) as bench:
        await store.puts("large", bytes(40), **{"mode": "33152"})()
        store.before("UploadPartCopy", "other", store.appends("large", b"line"))
        await rename(bench, "large", "other", overwrite=overwrite)
        assert (await bench.find("other")).info.size == 44  # type: ignore[union-attr]
    assert contents(store) == {"other": bytes(40) + b"line"}
    assert store.objects["other"].attributes.metadata["mode"] == "33152"
    assert not store.uploads


async def test_a_plain_server_cannot_rename_a_large_object(autojump_clock: MockClock) -> None:
    """S5.11: No compose goes to a store that would take its XML for the object: both stay as they
    are."""
    store = FakeStore(append=False, compose=False, min_range_source=1 << 40, limits=TINY)
    await store.put("large", [bytes(40)], Attributes())
    await store.put("old", [b"old"], Attributes())
    async with workbench(store, limits=TINY) as bench:
        with pytest.raises(Unsupported):
            await rename(bench, "large", "new")
        with pytest.raises(Unsupported):
            await rename(bench, "large", "old")
        with pytest.raises(Unsupported):
            await bench.namespace.rename(bench.tree.root, "large", bench.tree.root, "new")
    assert contents(store) == {"large": bytes(40), "old": b"old"}


async def test_the_count_of_appends_begins_anew_and_keeps_a_rules_acl() -> None:
    """HEAD does not show an ACL, so a copy of what HEAD shows would make the object private."""
    seen: list[Attributes | None] = []

    class Watching(FakeStore):
        async def copy(self, source, target, attributes=None, **options):  # type: ignore[no-untyped-def]
            seen.append(attributes)
            return await super().copy(source, target, attributes, **options)

    store = Watching()
    await store.put(
        "live.ts", [b"x"], Attributes({"mode": "33188"}, {"content-type": "video/mp2t"})
    )
    async with workbench(store, rules={"x-amz-acl": "public-read"}) as bench:
        described: ObjectInfo = await store.head("live.ts")
        renewed = await bench.copier.renew(described)
        assert (renewed.size, renewed.etag) == (1, store.objects["live.ts"].etag)
    (sent,) = seen
    assert sent is not None
    assert sent.headers == {"content-type": "video/mp2t", "x-amz-acl": "public-read"}
    assert sent.metadata == {"mode": "33188"}


# Renames that fail


@pytest.mark.parametrize("verb", ["copy", "delete"])
@pytest.mark.parametrize("name", ["f", "d"])
async def test_a_refused_rename_leaves_the_writers_alone(
    name: str, verb: str, autojump_clock: MockClock
) -> None:
    """One 403 on a copy or on a deletion: who has the file open, or one below, goes on."""
    fake = FakeStore()
    store = FaultyStore(fake)
    async with workbench(store) as bench:
        made = await directory(bench, "d", f=b"old")
        await store_file(bench, "f", b"old")
        node = made.children["f"] if name == "d" else await bench.find("f")
        assert isinstance(node, File)
        writer = await bench.files.open(node, os.O_WRONLY | os.O_APPEND, 0)
        await writer.write(0, b" and more")
        await bench.capabilities.get()
        many = verb == "delete" and name == "d"
        store.add(Fault("delete_many" if many else verb, AccessDenied("no"), count=1))
        with pytest.raises(AccessDenied):
            await rename(bench, name, "new")
        assert not [key for key in fake.objects if key.startswith("new/")]
        await writer.write(0, b" and more")
        await bench.close(writer)
    key = "d/f" if name == "d" else "f"
    assert fake.data(key) == b"old and more and more"


async def test_a_refused_rename_of_a_file_that_waits_for_its_name(
    autojump_clock: MockClock,
) -> None:
    """`rsync`, and one 403: the bytes stay, and are stored under the name that the file has."""
    fake = FakeStore()
    store = FaultyStore(fake, Fault("put", AccessDenied("no"), key="f"))
    async with workbench(store) as bench:
        handle = await bench.open(".f.abcdef", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        await handle.write(0, b"content")
        await bench.close(handle)
        with pytest.raises(AccessDenied):
            await rename(bench, ".f.abcdef", "f")
        await trio.sleep(10)
    assert contents(fake) == {".f.abcdef": b"content"}
