# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What a killed daemon has left is cleared, and nothing else is."""

import shutil
from pathlib import Path

from kontenumfs.admin.safe_files import open_safely
from kontenumfs.store.api import Attributes, ListPage
from kontenumfs.writing.staging import Staging
from tests.doubles.fake import FakeStore
from tests.writing.test_meetings import contents

DAY = 24 * 3600


def started(file: Path | None, now: float = 0.0) -> Staging:
    """A mount at the place where all mounts of this test are."""
    staging = Staging("p/", "name", wall=lambda: now)
    staging.claim(file, open_safely)
    return staging


async def fill(store: FakeStore, staging: Staging) -> None:
    """A helper object and an upload."""
    await store.put(f"{staging.run}helper", [b"x"], Attributes())
    await store.create_multipart(f"{staging.run}upload", Attributes())


async def test_a_dead_daemon_has_one_heir(tmp_path: Path) -> None:
    """What it left is gone with the next start; what that one has made stays."""
    store = FakeStore(now=lambda: 100.0)
    dead = started(tmp_path / "identity", 100.0)
    await fill(store, dead)
    dead.close()
    heir = started(tmp_path / "identity", 100.0)
    assert heir.is_heir
    await fill(store, heir)
    assert await heir.clear(store) == 2
    assert list(contents(store)) == [f"{heir.run}helper"]
    assert [upload.key for upload in store.uploads.values()] == [f"{heir.run}upload"]


async def test_clones_leave_each_other_alone(tmp_path: Path) -> None:
    """S7.7: One host name, one mountpoint, and a file that was copied with the machine, or
    shared.
    """
    store = FakeStore(now=lambda: 100.0)
    first = started(tmp_path / "identity", 100.0)
    await fill(store, first)
    shutil.copy(tmp_path / "identity", tmp_path / "clone")
    for file in (tmp_path / "clone", tmp_path / "identity", None):
        other = started(file, 100.0)
        assert not other.is_heir
        assert other.mount != first.mount
        await other.clear(store)
        other.close()
    assert list(contents(store)) == [f"{first.run}helper"]
    assert len(store.uploads) == 1


async def test_what_nobody_owns_up_to_goes_when_it_is_a_day_old(tmp_path: Path) -> None:
    """S11.3: A machine that never came back."""
    store = FakeStore(now=lambda: 100.0)
    await fill(store, started(None))
    await started(None, 100.0 + DAY - 60).clear(store)
    assert len(contents(store)) == len(store.uploads) == 1
    await started(None, 100.0 + DAY + 60).clear(store)
    assert not contents(store)
    assert not store.uploads


async def test_a_listing_that_ignores_its_prefix_deletes_nothing(tmp_path: Path) -> None:
    """A broken server, or a cache keyed without the query: the bucket stays as it is."""

    class Careless(FakeStore):
        async def list_page(self, prefix="", **options) -> ListPage:  # type: ignore[no-untyped-def]
            return await super().list_page("", **options)

        async def list_uploads(self, prefix=""):  # type: ignore[no-untyped-def]
            return await super().list_uploads("")

    store = Careless(now=lambda: 100.0)
    dead = started(tmp_path / "identity", 100.0)
    await fill(store, dead)
    dead.close()
    await store.put("p/precious", [b"x"], Attributes())
    await store.create_multipart("p/precious", Attributes())
    heir = started(tmp_path / "identity", 100.0 + 2 * DAY)
    assert heir.is_heir
    assert await heir.clear(store) == 0
    assert len(contents(store)) == len(store.uploads) == 2
