# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Keys as they are in the bucket, and those among them that a mount cannot show."""

from collections.abc import AsyncIterator
from typing import Any

from kontenumfs.daemon.control import Tell
from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.names import RESERVED, check_text, is_mappable
from kontenumfs.store.api import ObjectInfo, Store

BATCH = 500
"""Entries in one line of the control socket."""
Entry = dict[str, Any]
"""``key``, ``size`` and ``modified`` (seconds) of an object, ``key`` alone of a prefix; ``why``
where it is hidden."""


async def entries(store: Store, prefix: str) -> AsyncIterator[Entry]:
    """The objects and prefixes right below `prefix`, as the bucket has them."""
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
    """The keys below `prefix`, however deep, that cannot be files of a mount of `root`."""
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
    """Why a key cannot be a file name; empty where it can."""
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


class Listing:
    """The control command ``ls`` of one mount.

    Args:
        root: the mount's prefix.
    """

    def __init__(self, store: Store, root: str) -> None:
        self._store = store
        self._root = root

    async def command(self, request: dict[str, Any], tell: Tell) -> dict[str, Any]:
        """Entries below ``path`` in lines of many; only hidden ones with ``hidden``."""
        path = request.get("path")
        if not isinstance(path, str):
            raise UserError("ls takes a path", 2)
        check_text(path)
        prefix = self._root + (f"{path}/" if path else "")
        found = (
            hidden(self._store, prefix, self._root)
            if request.get("hidden")
            else entries(self._store, prefix)
        )
        count = 0
        batch: list[Entry] = []
        async for entry in found:
            batch.append(entry)
            count += 1
            if len(batch) == BATCH:
                await tell({"entries": batch})
                batch = []
        await tell({"entries": batch})
        return {"count": count, "prefix": prefix}
