# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The control command ``ls`` of a mount."""

from typing import Any

from kontenumfs.admin.listing import Entry, entries, hidden
from kontenumfs.daemon.control import Tell
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

    async def command(self, request: dict[str, Any], tell: Tell) -> dict[str, Any]:
        """Entries below ``path`` in lines of many; only hidden ones with ``hidden``."""
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
                await tell({"entries": batch})
                batch = []
        await tell({"entries": batch})
        return {"count": count, "prefix": prefix}
