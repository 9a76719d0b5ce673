# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a mount spools, where, and what it tells of that."""

import logging
import os
from base64 import b64encode
from pathlib import Path
from typing import Any

from kontenumfs.admin.spool_place import SpoolPlace, default_size, doubt_of
from kontenumfs.config.live import LiveSettings
from kontenumfs.config.source import Source
from kontenumfs.daemon.control import Send
from kontenumfs.protocol.errors import UserError
from kontenumfs.store.spool.spool import Spool
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.spooling import Spooling

log = logging.getLogger(__name__)

MOST_PARKED = 20
"""Parked requests that are named in the status, the oldest ones."""


def spooling_of(live: LiveSettings, source: Source, mountpoint: Path) -> Spooling | None:
    """Return how a mount spools; None where it writes through, and nothing was left to send.

    What an earlier mount has left is gone on with, also where nothing is to be spooled any more.
    Raises SpoolRefused.
    """
    options, rules = live.settings.options, live.rules
    place = SpoolPlace.of(options.spool_dir, options.endpoint, source, mountpoint, os.environ)
    if not (rules.uses_spool or place.is_left):
        return None
    place.prepare(mountpoint, is_given=options.spool_dir is not None)
    if doubt := doubt_of(place.directory):
        log.warning("%s", doubt)
    for other in place.others():
        log.warning(
            "%s has what a mount of %s/%s at %s has not stored: mount it there again",
            *(other[name] for name in ("directory", "bucket", "prefix", "mountpoint")),
        )
    size = options.spool_size
    return Spooling(
        directory=place.directory,
        whose=place.whose,
        size=default_size(place.directory) if size is None else size,
        is_spooled=lambda path: rules.policy(path).is_spooled,
        publish_last=[glob for glob in options.publish_last.split(":") if glob],
    )


def spool_told(spool: Spool) -> dict[str, Any]:
    """Return the state of a spool, as ``kontenumfs status --json`` prints it."""
    queue = spool.queue
    return {
        "directory": str(spool.journal.directory),
        "requests": len(queue),
        "bytes": queue.bytes,
        "size": spool.options.size,
        "oldest_seconds": round(spool.age),
        "store_is_away": spool.outage.is_on,
        "parked": [{"key": e.key, "why": e.parked} for e in queue.parked[:MOST_PARKED]],
        "problems": spool.problems,
    }


class SpoolCommands:
    """What a person decides about a spool, over the control socket.

    Args:
        spool: None where the mount has none.
        tree: believes nothing any more of what was dropped.
    """

    def __init__(self, spool: Spool | None, tree: Tree) -> None:
        self._spool = spool
        self._tree = tree

    async def command(self, request: dict[str, Any], send: Send) -> Any:
        """Answer ``spool``, whose ``action`` is list, retry, drop or export."""
        if self._spool is None:
            raise UserError("this mount has no spool: see durability=")
        action = {
            "list": self._list,
            "retry": self._retry,
            "drop": self._drop,
            "export": self._export,
        }.get(str(request.get("action")))
        if action is None:
            raise UserError(f"spool has no {request.get('action')!r}")
        key = request.get("key")
        return await action(self._spool, None if key is None else str(key), send)

    async def _list(self, spool: Spool, key: str | None, send: Send) -> Any:
        for entry in list(spool.queue):
            if key in (None, entry.key):
                await send({"entry": entry.told()})
        return spool_told(spool)

    async def _retry(self, spool: Spool, key: str | None, send: Send) -> Any:
        return {"retried": await spool.retry(key)}

    async def _drop(self, spool: Spool, key: str | None, send: Send) -> Any:
        dropped = await spool.drop(_named(key))
        await self._tree.refresh(self._tree.root, recursive=True)
        return {"dropped": dropped}

    async def _export(self, spool: Spool, key: str | None, send: Send) -> Any:
        try:
            pieces = await spool.export(_named(key))
        except (OSError, ValueError) as error:
            raise UserError(f"its bytes in the spool are damaged: {error}") from None
        for piece in pieces:
            await send({"data": b64encode(piece).decode()})
        return {"bytes": sum(len(piece) for piece in pieces)}


def _named(key: str | None) -> str:
    if key is None:
        raise UserError("which key? kontenumfs spool list shows them")
    return key
