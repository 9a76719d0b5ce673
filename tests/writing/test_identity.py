# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What an object is stored with is what is known of it afterwards."""

import pytest
from trio.testing import MockClock

from kontenumfs.protocol.errors import NameTooLong
from kontenumfs.protocol.metadata import MAX_USER_METADATA, FileMetadata, metadata_size
from kontenumfs.store.api import Attributes
from kontenumfs.writing.identity import Composer
from tests.doubles.fake import FakeStore
from tests.writing.harness import workbench
from tests.writing.rival import Rival


async def test_what_was_sent_is_recorded_whatever_has_been_set_since(
    autojump_clock: MockClock,
) -> None:
    """A chmod that comes while the request is under way is not in the store yet."""
    store = Rival()
    async with workbench(store) as bench:
        handle = await bench.open("f")
        await handle.write(0, b"hello")

        async def change_mode() -> None:
            bench.files.set_metadata(handle.node, FileMetadata(mode=0o600))

        store.before("PutObject", "f", change_mode)
        await bench.files.flush(handle)
        assert store.has_acted
        info = handle.node.info
        assert info is not None
        assert info.attributes is not None
        assert info.attributes.metadata["mode"] == str(0o100644)
        assert handle.file is not None
        assert handle.file.write_back.metadata.unsent
        await bench.files.fsync(handle)
        assert store.objects["f"].attributes.metadata["mode"] == str(0o100600)
        assert not handle.file.write_back.metadata.unsent


async def test_an_append_leaves_what_the_object_has() -> None:
    """It carries nothing, so nothing new is believed of the object."""
    store = FakeStore()
    async with workbench(store) as bench:
        handle = await bench.open("f")
        await handle.write(0, b"hello")
        await bench.files.flush(handle)
        before = handle.node.info
        bench.now += 60
        await handle.write(5, b"again")
        await bench.files.flush(handle)
        after = handle.node.info
        assert before is not None
        assert after is not None
        assert (before.size, after.size) == (5, 10)
        assert after.attributes == before.attributes == store.objects["f"].attributes
        await bench.files.release(handle)


def test_content_is_stored_with_what_fits_of_its_metadata() -> None:
    """Where others have filled the object's, the bytes are not refused because of ours."""
    users = {"theirs": "x" * (MAX_USER_METADATA - 20)}
    composed = Composer().written("f", Attributes(users), FileMetadata(mode=0o600, uid=1), 5)
    assert composed.metadata == users | {"mode": "33152", "uid": "1"}
    composed = Composer().written(
        "f", Attributes(users), FileMetadata(mode=0o600, mtime_ns=10**18), 5
    )
    assert composed.metadata == users | {"mode": "33152"}
    assert metadata_size(composed.metadata) <= MAX_USER_METADATA


def test_a_link_to_what_no_object_can_carry_is_an_error() -> None:
    with pytest.raises(NameTooLong):
        Composer().written("l", None, FileMetadata(target="x" * 3000), 3000)
