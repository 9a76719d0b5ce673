# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A multipart upload as one thing."""

import logging
from dataclasses import dataclass, field

from kontenumfs.protocol.errors import KontenumError
from kontenumfs.store.api import Attributes, Body, Part, Store, Written
from kontenumfs.store.beliefs import UNKNOWN, Belief
from kontenumfs.writing.journal import Journal

log = logging.getLogger(__name__)

CLEAN_UP_SECONDS = 10.0
"""What was begun is dropped even when it was cancelled, if that is quick."""


@dataclass(slots=True)
class Upload:
    """One multipart upload: parts in any order, published by `complete`.

    Args:
        store: where it goes.
        journal: has it until it is completed or aborted.
        key: what it becomes.
        upload_id: as the store named it.
    """

    store: Store
    journal: Journal
    key: str
    upload_id: str
    entry: int
    numbers: int = 0
    parts: list[Part] = field(default_factory=list)

    @classmethod
    async def begin(
        cls, store: Store, journal: Journal, key: str, attributes: Attributes
    ) -> "Upload":
        """Start an upload that will carry `attributes`."""
        upload_id = await store.create_multipart(key, attributes)
        return cls(store, journal, key, upload_id, journal.upload_begins(key, upload_id))

    def next_number(self) -> int:
        """Return the number of the part that comes next in the file."""
        self.numbers += 1
        return self.numbers

    async def send(self, number: int, body: Body) -> None:
        """Send one part; several may be under way at once."""
        self.parts.append(await self.store.upload_part(self.key, self.upload_id, number, body))

    async def copy(
        self, number: int, source: str, offset: int, length: int, expected: Belief
    ) -> None:
        """Make one part of `length` bytes that the store has, of what is `expected`."""
        made = await self.store.upload_part_copy(
            self.key,
            self.upload_id,
            number,
            source,
            first=offset,
            last=offset + length - 1,
            expected=expected,
        )
        self.parts.append(made)

    async def complete(self, expected: Belief = UNKNOWN) -> Written:
        """Publish where the key has what is `expected`; returns what the object has become."""
        self.parts.sort(key=lambda part: part.number)
        written = await self.store.complete_multipart(
            self.key, self.upload_id, self.parts, expected=expected
        )
        self.journal.upload_ended(self.entry)
        return written

    async def abort(self) -> None:
        """Drop the parts; a failure is logged, for the data was not acknowledged."""
        try:
            await self.store.abort_multipart(self.key, self.upload_id)
            self.journal.upload_ended(self.entry)
        except KontenumError as error:
            log.warning("multipart upload left behind: key=%r (%s)", self.key, error)
