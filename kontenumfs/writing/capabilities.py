# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the store was proven to do, asked once and only when it matters."""

import logging

import trio

from kontenumfs.store.api import Store
from kontenumfs.store.probe import Capabilities, probe

log = logging.getLogger(__name__)


class ProvenCapabilities:
    """Probes the store on a scratch key before the mount's first append or compose.

    A server that does not know ``?append`` would replace the object by its tail, so nothing is
    believed that was not shown.
    """

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._lock = trio.Lock()
        self._found: Capabilities | None = None

    async def get(self) -> Capabilities:
        """What the store is proven to do; raises what the probe's requests fail with."""
        async with self._lock:
            if self._found is None:
                self._found = await probe(self._store, self._prefix)
                log.info("the store was probed: %s", self._found)
        return self._found
