# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The control command ``ls`` of a mount."""

from typing import Any

from kontenumfs.admin.listing import Entry, entries, hidden
from kontenumfs.daemon.control import Send
from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.names import check_text
from kontenumfs.store.api import Store

BATCH = 500
"""Entries in one line of the control socket."""


class Listing:
    """Answers ``ls``.

    Args:
        root: the mount's prefix.
    """

    def __init__(self, store: Store, root: str) -> None:
        self._store = store
        self._root = root

    async def command(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        """Send the entries below ``path`` in lines of many; only hidden ones with ``hidden``."""
        path = request.get("path")
        if not isinstance(path, str):
            raise UserError("ls takes a path")
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
                await send({"entries": batch})
                batch = []
        await send({"entries": batch})
        return {"count": count, "prefix": prefix}
