# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Keys as they are in the bucket, and those among them that a mount cannot show."""

from collections.abc import AsyncIterator
from typing import Any

from kontenumfs.protocol.names import RESERVED, is_mappable
from kontenumfs.store.api import ObjectInfo, Store

Entry = dict[str, Any]
"""``key``, ``size`` and ``modified`` (seconds) of an object, ``key`` alone of a prefix; ``why``
where it is hidden."""


async def entries(store: Store, prefix: str) -> AsyncIterator[Entry]:
    """Yield the objects and prefixes right below `prefix`, as the bucket has them."""
    token: str | None = None
    while True:
        page = await store.list_page(prefix, delimiter="/", token=token)
        for name in page.prefixes:
            yield {"key": name}
        for info in page.objects:
            yield _entry(info)
        token = page.next_token
        if token is None:
            return


async def hidden(store: Store, prefix: str, root: str) -> AsyncIterator[Entry]:
    """Yield the keys below `prefix`, however deep, that cannot be files of a mount of `root`."""
    token: str | None = None
    above: list[ObjectInfo] = []
    """Earlier keys that the current one begins with: one of them may be shadowed by it."""
    while True:
        page = await store.list_page(prefix, token=token)
        for info in page.objects:
            if why := reason(info.key.removeprefix(root)):
                yield _entry(info) | {"why": why}
                continue
            while above and not info.key.startswith(above[-1].key):
                above.pop()
            for other in [other for other in above if info.key.startswith(other.key + "/")]:
                above.remove(other)
                yield _entry(other) | {"why": "a directory has its name"}
            if not info.key.endswith("/"):
                above.append(info)
        token = page.next_token
        if token is None:
            return


def reason(path: str) -> str:
    """Return why a key cannot be a file name; empty where it can."""
    for part in path.removesuffix("/").split("/") if path else ():
        if part == RESERVED:
            return "belongs to mounts"
        if not part:
            return "an empty name between slashes"
        if not is_mappable(part):
            return "dots" if part in (".", "..") else "a name over 255 bytes or with a NUL"
    return ""


def _entry(info: ObjectInfo) -> Entry:
    return {"key": info.key, "size": info.size, "modified": info.last_modified}
