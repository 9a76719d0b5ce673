# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What earlier mounts left is cleared; what is not theirs stays, whatever a listing names."""

from typing import Any

import pytest

from kontenumfs.store.api import Attributes, ListPage, Upload
from kontenumfs.store.fake import FakeStore
from kontenumfs.writing.staging import Staging

STAGING = Staging.of("mine/", "host", "/mnt")


class Liar(FakeStore):
    """Names objects, or uploads, beyond the prefix that was asked for."""

    about = ""

    async def list_page(self, prefix: str = "", **asked: Any) -> ListPage:
        """See Store."""
        return await super().list_page("" if self.about == "objects" else prefix, **asked)

    async def list_uploads(self, prefix: str) -> list[Upload]:
        """See Store."""
        return await super().list_uploads("" if self.about == "uploads" else prefix)


@pytest.mark.parametrize(("about", "cleared"), [("", 2), ("objects", 0), ("uploads", 0)])
async def test_clearing_touches_nothing_foreign(about: str, cleared: int) -> None:
    store = Liar("bucket")
    for key in (f"{STAGING.mount}left/1", "theirs/precious"):
        await store.put(key, [b"x"], Attributes())
        await store.create_multipart(key, Attributes())
    store.about = about
    assert await STAGING.clear(store) == cleared
    store.about = ""
    assert store.data("theirs/precious") == b"x"
    assert [upload.key for upload in await store.list_uploads("theirs/")] == ["theirs/precious"]
