# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What one mount has learnt saves the next one its HEADs, and is never believed without proof."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.store.api import Attributes
from kontenumfs.tree.node import Directory
from kontenumfs.tree.remembered import RememberedAttributes
from kontenumfs.tree.tree import Tree
from tests.tree.conftest import EPOCH, HEAD, LIST, StagedStore

KNOWN = Attributes({"mode": "33188", "mtime": "17"}, {"content-type": "text/x-own"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a mount keeps what it has learnt."""
    return tmp_path / "cache" / "bucket.sqlite"


@asynccontextmanager
async def mounted(store: StagedStore, path: Path, *, limit: int = 1000) -> AsyncIterator[Tree]:
    """One mount after another, on one file."""
    # Not by `run`: while a thread works, the clock would jump to the end of its sleep.
    remembered = RememberedAttributes(path, limit=limit, wall=lambda: EPOCH + trio.current_time())
    yield Tree(store, remembered=remembered)
    await remembered.flush()
    remembered.close()


async def described(tree: Tree) -> dict[str, Attributes | None]:
    """What stat() makes known of every file."""
    found = {}
    for node in await tree.children(tree.root):
        await tree.fetch_attributes(node)
        assert node.info is not None
        found[node.name] = node.info.attributes
    return found


async def stored(store: StagedStore, *keys: str) -> None:
    """Somebody stored objects a while ago."""
    for key in keys:
        await store.put(key, [key.encode()], KNOWN)
    await trio.sleep(10)
    store.asked()


async def test_what_head_told_is_not_asked_again(
    store: StagedStore, path: Path, autojump_clock: MockClock
) -> None:
    """S10.5."""
    await stored(store, "a", "b", "c")
    for requests in ([HEAD] * 3 + [LIST], [LIST], [LIST]):
        async with mounted(store, path) as tree:
            assert await described(tree) == dict.fromkeys("abc", KNOWN)
            assert store.asked() == requests


async def test_what_has_changed_is_asked_again(
    store: StagedStore, path: Path, autojump_clock: MockClock
) -> None:
    """S10.5: Other bytes, or the same bytes with other metadata, which only LastModified shows."""
    await stored(store, "a", "b", "c")
    async with mounted(store, path) as tree:
        await described(tree)
    other = Attributes({"mode": "1"}, {"content-type": "text/x-other"})
    await store.put("a", [b"other"], other)
    await store.put("b", [b"b"], other)
    await trio.sleep(10)
    store.asked()
    async with mounted(store, path) as tree:
        assert await described(tree) == {"a": other, "b": other, "c": KNOWN}
        assert store.asked() == [HEAD, HEAD, LIST]


async def test_what_was_learnt_young_is_not_remembered(
    store: StagedStore, path: Path, autojump_clock: MockClock
) -> None:
    """It could change within the second that LastModified counts."""
    await store.put("a", [b"a"], KNOWN)
    async with mounted(store, path) as tree:
        await described(tree)
    other = Attributes({"mode": "1"}, {"content-type": "text/x-other"})
    await store.put("a", [b"a"], other)
    await trio.sleep(10)
    async with mounted(store, path) as tree:
        assert await described(tree) == {"a": other}


async def test_own_writes_need_no_head(
    store: StagedStore, path: Path, autojump_clock: MockClock
) -> None:
    async with mounted(store, path) as tree:
        node = tree.add_file(tree.root, "own")
        await store.put("own", [b"own"], KNOWN)
        tree.stored(node, await store.head("own"))
        marker = Attributes({"mode": "16877"}, {"content-type": "application/x-directory"})
        await store.put("dir/", [], marker)
        tree.add_directory(tree.root, "dir", await store.head("dir/"))
    await trio.sleep(10)
    store.asked()
    async with mounted(store, path) as tree:
        assert await described(tree) == {"own": KNOWN, "dir": marker}
        assert store.asked() == [LIST, LIST]


async def test_a_directory_without_a_marker_is_not_asked_for_again(
    store: StagedStore, path: Path, autojump_clock: MockClock
) -> None:
    await stored(store, "dir/file")
    for requests in ([HEAD, LIST], [LIST, LIST]):
        async with mounted(store, path) as tree:
            (node,) = await tree.children(tree.root)
            assert isinstance(node, Directory)
            await tree.fetch_attributes(node)
            assert store.asked() == requests


@pytest.mark.parametrize("contents", [b"", b"not a database" * 100, None])
async def test_a_file_that_is_not_ours_is_set_aside(
    store: StagedStore,
    path: Path,
    contents: bytes | None,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An empty one, rubbish, and another program's."""
    path.parent.mkdir()
    if contents is None:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE objects (mine INTEGER)")
        other.close()
    else:
        path.write_bytes(contents)
    await stored(store, "a")
    for requests in ([HEAD, LIST], [LIST]):
        async with mounted(store, path) as tree:
            assert await described(tree) == {"a": KNOWN}
            assert store.asked() == requests
    assert ("set aside" in caplog.text) == (contents != b"")
    assert Path(f"{path}.unusable").exists() == (contents != b"")


async def test_rows_that_nobody_wrote_are_not_believed(
    store: StagedStore, path: Path, autojump_clock: MockClock
) -> None:
    await stored(store, "a", "b")
    async with mounted(store, path) as tree:
        await described(tree)
    database = sqlite3.connect(path)
    database.execute("UPDATE objects SET attributes = '[1, 2]' WHERE key = ?", (b"a",))
    database.execute("UPDATE objects SET facts = 'x' WHERE key = ?", (b"b",))
    database.commit()
    database.close()
    async with mounted(store, path) as tree:
        assert await described(tree) == dict.fromkeys("ab", KNOWN)


async def test_a_file_that_breaks_under_way_only_costs_requests(
    store: StagedStore, path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    await stored(store, *map(str, range(200)))
    async with mounted(store, path) as tree:
        await described(tree)
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 40960)
    for _ in range(2):
        async with mounted(store, path) as tree:
            assert len(await described(tree)) == 200
    assert "set aside" in caplog.text


async def test_a_place_that_cannot_be_written_is_no_reason_to_fail(
    store: StagedStore, tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    await stored(store, "a")
    async with mounted(store, tmp_path / "file" / "bucket.sqlite") as tree:
        assert await described(tree) == {"a": KNOWN}
    assert "not remembered" in caplog.text


async def test_no_more_than_the_limit_is_kept(
    store: StagedStore, path: Path, autojump_clock: MockClock
) -> None:
    """What was not seen for longest goes first."""
    await stored(store, "old")
    async with mounted(store, path) as tree:
        await described(tree)
    await store.lose("old")
    await trio.sleep(3 * 86400)
    await stored(store, *(f"{number}" for number in range(8)))
    async with mounted(store, path, limit=8) as tree:
        await described(tree)
    database = sqlite3.connect(path)
    kept = {key for (key,) in database.execute("SELECT key FROM objects")}
    database.close()
    assert kept == {str(number).encode() for number in range(8)}
