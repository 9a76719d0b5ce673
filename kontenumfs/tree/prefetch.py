# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Attributes asked for a little ahead of who wants those of one file after another."""

from contextlib import suppress

import trio

from kontenumfs.protocol.errors import KontenumError
from kontenumfs.tree.attribute_fetcher import AttributeFetcher
from kontenumfs.tree.node import File
from kontenumfs.tree.series import Series


class Prefetcher:
    """Asks for the attributes of the files that a series will want next.

    Args:
        attributes: asks for them.
        series: tells which.
        parallel: how many HEAD requests run side by side at most.
    """

    def __init__(self, attributes: AttributeFetcher, series: Series, *, parallel: int) -> None:
        self._attributes = attributes
        self._series = series
        # Who waits for an answer does not queue behind what may never be wanted.
        self._slots = trio.Semaphore(max(1, parallel - 1))
        self._asked: set[File] = set()

    async def run(self) -> None:
        """Ask for attributes ahead of who wants one after another, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._series.wait()
                for node in self._series.following():
                    if self._series.went_on:
                        break  # who wants them has gone on, perhaps elsewhere
                    if not self._attributes.known(node) and node not in self._asked:
                        await self._slots.acquire()
                        self._asked.add(node)
                        nursery.start_soon(self._fetch, node)

    async def _fetch(self, node: File) -> None:
        try:
            with suppress(KontenumError):  # who wants it asks again, and is told
                await self._attributes.fetch_file(node)
        finally:
            self._asked.discard(node)
            self._slots.release()
