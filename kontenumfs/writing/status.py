# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What is true of a file: what the store has of it, and what it has not."""

from collections.abc import Mapping

from cachetools import LRUCache

from kontenumfs.protocol.errors import KontenumError
from kontenumfs.tree.node import File
from kontenumfs.writing.deferred import DeferredMetadata
from kontenumfs.writing.environment import Environment
from kontenumfs.writing.file import WritableFile
from kontenumfs.writing.state import State
from kontenumfs.writing.table import FileTable

REMEMBERED = 1024
"""Failures that are remembered."""


class FileStatus:
    """Tells how the files of a mount are, those that are closed included."""

    def __init__(
        self, environment: Environment, table: FileTable, deferred: DeferredMetadata
    ) -> None:
        self._store = environment.store
        self._composer = environment.composer
        self._spool = environment.spool
        self._table = table
        self._deferred = deferred
        self._failures: LRUCache[str, str] = LRUCache(REMEMBERED)

    def ended(self, node: File, error: KontenumError | None) -> None:
        """Remember how the last file of a name has ended."""
        if error is None:
            self._failures.pop(node.key, None)
        else:
            self._failures[node.key] = str(error)

    def headers_by_name(self, node: File) -> Mapping[str, str]:
        """Return the headers that the name of `node` suggests."""
        return self._composer.named(node.key)

    def of(self, node: File) -> dict[str, str]:
        """Describe a file by facts, by name."""
        file, key = self._table.writer(node), node.key
        error = self._failures.get(key) or self._deferred.error(node)
        pending = file.write_back.pending if file is not None else 0
        state = "failed" if error else f"pending {pending} bytes" if pending else "clean"
        waits = node.pending is not None or (file is not None and not _is_stored(file))
        facts = {"state": "pending 0 bytes" if waits and state == "clean" else state, "key": key}
        if self._spool is not None:
            condition, why = self._spool.condition(key)
            if condition == "parked" or (condition == "spooled" and facts["state"] == "clean"):
                facts["state"], error = condition, why or error
        if node.has_object and node.info is not None:
            facts["etag"] = node.info.etag
        if error:
            facts["last_error"] = str(error)
        if request_id := self._store.request_id(key):
            facts["request_id"] = request_id
        return facts


def _is_stored(file: WritableFile) -> bool:
    """Tell whether the store has all of it, metadata included."""
    return file.state in (State.FRESH, State.STORED) and not file.write_back.metadata.unsent
