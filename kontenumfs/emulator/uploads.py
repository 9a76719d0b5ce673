# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Multipart uploads on disk: each part is complete or not there, and so is what they become."""

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from kontenumfs.emulator.segments import Extent
from kontenumfs.emulator.storage import Storage, StoredObject


@dataclass(frozen=True, slots=True)
class StoredPart:
    """One part of a multipart upload; `checksums` are base64 by algorithm."""

    number: int
    size: int
    etag: str
    modified: float
    checksums: dict[str, str] = field(default_factory=dict)
    owner: int = 0


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload under way; `headers` become the object's."""

    id: str
    bucket: str
    key: str
    headers: dict[str, str]
    created: float


class Uploads:
    """The multipart uploads of one storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._database = storage.database
        self._sql = storage.database.sql

    def create(self, bucket: str, key: str, headers: dict[str, str]) -> str:
        """Begin an upload; returns its id."""
        identity = secrets.token_hex(16)
        self._sql.execute(
            "INSERT INTO uploads VALUES (?, ?, ?, ?, ?)",
            (identity, bucket, key.encode(), json.dumps(headers), time.time()),
        )
        return identity

    def under_way(self, bucket: str) -> list[Upload]:
        """The uploads under way in a bucket, by key and id."""
        rows = self._sql.execute(
            "SELECT id, key, headers, created FROM uploads WHERE bucket = ? ORDER BY key, id",
            (bucket,),
        )
        return [
            Upload(identity, bucket, key.decode(), json.loads(headers), created)
            for identity, key, headers, created in rows
        ]

    def get(self, identity: str) -> Upload | None:
        """An upload, or None."""
        row = self._sql.execute(
            "SELECT bucket, key, headers, created FROM uploads WHERE id = ?", (identity,)
        ).fetchone()
        if row is None:
            return None
        return Upload(identity, row[0], row[1].decode(), json.loads(row[2]), row[3])

    def put_part(self, identity: str, part: StoredPart, extents: Sequence[Extent]) -> None:
        """Add or replace one part."""
        with self._database.change() as dropped:
            old = self._sql.execute(
                "SELECT owner FROM parts WHERE upload = ? AND number = ?", (identity, part.number)
            )
            dropped += (owner for (owner,) in old)
            self._sql.execute(
                "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    identity,
                    part.number,
                    self._database.add_extents(0, extents),
                    part.size,
                    part.etag,
                    part.modified,
                    json.dumps(part.checksums),
                ),
            )

    def parts(self, identity: str) -> list[StoredPart]:
        """The parts of an upload, by number."""
        rows = self._sql.execute(
            "SELECT number, size, etag, modified, checksums, owner FROM parts"
            " WHERE upload = ? ORDER BY number",
            (identity,),
        )
        return [StoredPart(n, s, e, m, json.loads(c), o) for n, s, e, m, c, o in rows]

    def complete(self, upload: Upload, stored: StoredObject, parts: Sequence[StoredPart]) -> None:
        """Make the object of these parts and end the upload, both or neither."""
        extents = [extent for part in parts for extent in self._database.extents(part.owner)]
        with self._database.change() as dropped:
            self._storage.put_within(dropped, upload.bucket, stored, extents)
            self._end(dropped, upload.id)

    def drop(self, identity: str) -> None:
        """End an upload; its parts' segments live on only where an object has them."""
        with self._database.change() as dropped:
            self._end(dropped, identity)

    def _end(self, dropped: list[int], identity: str) -> None:
        gone = self._sql.execute("DELETE FROM parts WHERE upload = ? RETURNING owner", (identity,))
        dropped += [owner for (owner,) in gone.fetchall()]
        self._sql.execute("DELETE FROM uploads WHERE id = ?", (identity,))
