# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The state of a mount, for ``kontenumfs status``, systemd's status and the metrics."""

import os
import time
from pathlib import Path
from typing import Any

from kontenumfs import __version__
from kontenumfs.config.live import LiveSettings
from kontenumfs.config.source import Source
from kontenumfs.daemon.assembly import Parts
from kontenumfs.daemon.control import Send
from kontenumfs.daemon.logs import LastError
from kontenumfs.daemon.metrics import Metrics, State
from kontenumfs.daemon.spool import spool_told

MOST_FILES = 20
"""Open files that are named, those with the most pending bytes."""


class Report:
    """Reads the state of one mount; nothing here changes or waits for anything."""

    def __init__(
        self,
        source: Source,
        mountpoint: Path,
        live: LiveSettings,
        parts: Parts,
        metrics: Metrics,
        errors: LastError,
    ) -> None:
        self._source = source
        self._mountpoint = mountpoint
        self._live = live
        self._parts = parts
        self._spool = parts.filesystem.spool
        self._metrics = metrics
        self._errors = errors
        self._began = time.monotonic()

    def pending(self) -> dict[str, Any]:
        """Return what is not stored yet."""
        files = self._parts.filesystem.files.table
        return {
            "pending_bytes": files.pending,
            "open_files": files.count,
            "spool_requests": 0 if self._spool is None else len(self._spool.queue),
            "spool_bytes": 0 if self._spool is None else self._spool.queue.bytes,
        }

    def state(self) -> State:
        """Return every number, by the names of metrics.STATE."""
        names, journal = self._parts.tree.statistics, self._parts.filesystem.journal
        return {
            **self.pending(),
            "spool_oldest_seconds": 0 if self._spool is None else self._spool.age,
            "spool_parked": 0 if self._spool is None else len(self._spool.queue.parked),
            "memory_bytes": self._parts.filesystem.memory.used,
            "tree_entries": names.entries,
            "inodes": len(self._parts.operations.inodes),
            "hidden_keys": sum(names.hidden.values()),
            "lookups_answered": names.answered,
            "lookups_asked": names.asked,
            "appends_repeated": journal.repeated,
            "appends_resolved": journal.resolved,
            "errors": self._errors.count,
        }

    async def command(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        """Answer the control command ``status``."""
        return self.status()

    def status(self) -> dict[str, Any]:
        """Return all of it, in the shape that ``kontenumfs status --json`` prints."""
        parts, skew = self._parts, self._live.clock.measured
        state = self.state()
        return {
            "mountpoint": str(self._mountpoint),
            "source": str(self._source),
            "pid": os.getpid(),
            "version": __version__,
            "uptime_seconds": round(time.monotonic() - self._began),
            **self.pending(),
            "files": self._files(),
            "spool": None if self._spool is None else spool_told(self._spool),
            "memory_bytes": state["memory_bytes"],
            "entries": state["tree_entries"],
            "inodes": state["inodes"],
            "hidden": parts.tree.statistics.hidden,
            "lookups": {"answered": state["lookups_answered"], "asked": state["lookups_asked"]},
            "totals": {name: int(value) for name, value in self._metrics.totals().items()},
            "appends": {
                "repeated": state["appends_repeated"],
                "resolved": state["appends_resolved"],
            },
            "access_key": self._live.keys.current.access_key,
            "clock_skew_seconds": None if skew is None else round(skew.total_seconds(), 1),
            "renames": [
                {"from": at.source, "to": at.target, "copied": at.copied}
                for at in parts.filesystem.namespace.directory_renames
            ],
            "errors": state["errors"],
            "last_error": self._errors.last,
        }

    def _files(self) -> list[dict[str, Any]]:
        writers = self._parts.filesystem.files.table.writers
        files = sorted(writers, key=lambda file: -file.write_back.pending)
        return [
            {
                "key": file.node.key,
                "state": file.state.value,
                "size": file.size,
                "pending_bytes": file.write_back.pending,
            }
            for file in files[:MOST_FILES]
        ]
