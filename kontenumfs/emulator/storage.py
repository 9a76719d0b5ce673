# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Objects on disk: immutable segment files, and one sqlite file that says what they make.

An object is a list of extents (segment, offset, length). An append adds one, a compose or a copy
shares those of its sources, so no byte is written twice. A segment is complete before the
transaction that names it, so a killed server has the old object or the new one.
"""

import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kontenumfs.emulator.claim import claim
from kontenumfs.emulator.segments import Extent, Segments

_SCHEMA = """
CREATE TABLE buckets (name TEXT PRIMARY KEY, created REAL);
CREATE TABLE objects (
    bucket TEXT, key BLOB, owner INTEGER, size INTEGER, etag TEXT, modified REAL, headers TEXT,
    appends INTEGER, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE TABLE uploads (id TEXT PRIMARY KEY, bucket TEXT, key BLOB, headers TEXT, created REAL);
CREATE INDEX uploads_of_bucket ON uploads (bucket, key, id);
CREATE TABLE parts (
    upload TEXT, number INTEGER, owner INTEGER, size INTEGER, etag TEXT, modified REAL,
    checksums TEXT, PRIMARY KEY (upload, number)) WITHOUT ROWID;
CREATE TABLE extents (
    owner INTEGER, ordinal INTEGER, segment TEXT, start INTEGER, length INTEGER,
    PRIMARY KEY (owner, ordinal)) WITHOUT ROWID;
CREATE INDEX extents_of_segment ON extents (segment);
"""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object: what HEAD shows, and whose its extents are.

    Args:
        size: in bytes.
        etag: without quotes.
        modified: seconds since the epoch.
        owner: what `Storage.extents` takes; 0 in a listing, which has no need of it.
        appends: how many it has taken since it was written.
    """

    key: str
    size: int
    etag: str
    modified: float
    headers: dict[str, str] = field(default_factory=dict)
    appends: int = 0
    owner: int = 0


class Database:
    """The sqlite file, the extents in it and their segments: what objects and parts build on."""

    def __init__(self, directory: Path, *, durable: bool) -> None:
        self._marker = claim(directory)
        self.sql = sqlite3.connect(directory / "meta.sqlite", isolation_level=None)
        self.sql.execute("PRAGMA journal_mode=WAL")
        # NORMAL survives kill -9; FULL survives a power cut too.
        self.sql.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        self._make_schema()
        known = {name for (name,) in self.sql.execute("SELECT DISTINCT segment FROM extents")}
        self.segments = Segments(directory / "segments", known)

    def _make_schema(self) -> None:
        (tables,) = self.sql.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables:
            self.sql.executescript(f"BEGIN; {_SCHEMA} COMMIT;")

    def close_sql(self) -> None:
        """Close the sqlite file and let the directory go."""
        self.sql.close()
        os.close(self._marker)

    @contextmanager
    def change(self) -> Iterator[list[int]]:
        """One transaction; owners put on the list are dropped, and with them unused segments."""
        dropped: list[int] = []
        with self.sql:
            self.sql.execute("BEGIN IMMEDIATE")
            yield dropped
            freed = {name for owner in dropped for name in self._drop(owner)}
            freed = {name for name in freed if not self._is_used(name)}
        self.segments.remove(freed)

    def add_extents(self, owner: int, extents: Sequence[Extent], first: int = 0) -> int:
        """Give extents to an owner (0: a new one), within a change; returns the owner."""
        owner = owner or secrets.randbits(62) + 1
        self.sql.executemany(
            "INSERT INTO extents VALUES (?, ?, ?, ?, ?)",
            [(owner, number, *extent) for number, extent in enumerate(extents, first)],
        )
        return owner

    def next_ordinal(self, owner: int) -> int:
        """Where the next extent of an owner goes."""
        found = self.sql.execute("SELECT max(ordinal) FROM extents WHERE owner = ?", (owner,))
        (last,) = found.fetchone()
        return 0 if last is None else int(last) + 1

    def extents(self, owner: int) -> tuple[Extent, ...]:
        """Where an owner's bytes are, in order."""
        rows = self.sql.execute(
            "SELECT segment, start, length FROM extents WHERE owner = ? ORDER BY ordinal", (owner,)
        )
        return tuple(rows)

    def _drop(self, owner: int) -> set[str]:
        names = self.sql.execute("SELECT DISTINCT segment FROM extents WHERE owner = ?", (owner,))
        found = {name for (name,) in names}
        self.sql.execute("DELETE FROM extents WHERE owner = ?", (owner,))
        return found

    def _is_used(self, segment: str) -> bool:
        found = self.sql.execute("SELECT 1 FROM extents WHERE segment = ? LIMIT 1", (segment,))
        return found.fetchone() is not None


class Storage:
    """The buckets and objects of one emulator; all methods are synchronous and short.

    Args:
        directory: made when it is missing; survives restarts; for one emulator at a time.
        durable: whether a write outlives a power cut, and not only the process.

    Raises:
        DataDirectoryError: in use by another emulator, or made by another version.
    """

    def __init__(self, directory: Path, *, durable: bool = False) -> None:
        self.database = Database(directory, durable=durable)
        self.segments = self.database.segments
        self.extents = self.database.extents
        self.durable = durable
        self._sql = self.database.sql

    def close(self) -> None:
        """Close the sqlite file."""
        self.segments.close()
        self.database.close_sql()

    def buckets(self) -> list[tuple[str, float]]:
        """Names and creation times."""
        return self._sql.execute("SELECT name, created FROM buckets ORDER BY name").fetchall()

    def has_bucket(self, name: str) -> bool:
        """Whether a bucket exists."""
        found = self._sql.execute("SELECT 1 FROM buckets WHERE name = ?", (name,))
        return found.fetchone() is not None

    def create_bucket(self, name: str) -> bool:
        """Create a bucket; whether it was missing."""
        made = self._sql.execute("INSERT OR IGNORE INTO buckets VALUES (?, ?)", (name, time.time()))
        return made.rowcount == 1

    def delete_bucket(self, name: str) -> None:
        """Delete a bucket with all that is in it, uploads under way included."""
        with self.database.change() as dropped:
            found = self._sql.execute(
                "SELECT owner FROM objects WHERE bucket = ?1 UNION ALL SELECT parts.owner"
                " FROM parts JOIN uploads ON upload = id WHERE bucket = ?1",
                (name,),
            )
            dropped += (owner for (owner,) in found)
            self._sql.execute(
                "DELETE FROM parts WHERE upload IN (SELECT id FROM uploads WHERE bucket = ?)",
                (name,),
            )
            for table in ("uploads", "objects"):
                self._sql.execute(f"DELETE FROM {table} WHERE bucket = ?", (name,))
            self._sql.execute("DELETE FROM buckets WHERE name = ?", (name,))

    def get(self, bucket: str, key: str) -> StoredObject | None:
        """An object, or None."""
        row = self._sql.execute(
            "SELECT size, etag, modified, headers, appends, owner FROM objects"
            " WHERE bucket = ? AND key = ?",
            (bucket, key.encode()),
        ).fetchone()
        if row is None:
            return None
        size, etag, modified, headers, appends, owner = row
        return StoredObject(key, size, etag, modified, json.loads(headers), appends, owner)

    def put(self, bucket: str, stored: StoredObject, extents: Sequence[Extent]) -> None:
        """Make `stored`, which consists of `extents`, the object of its key."""
        with self.database.change() as dropped:
            self.put_within(dropped, bucket, stored, extents)

    def put_within(
        self, dropped: list[int], bucket: str, stored: StoredObject, extents: Sequence[Extent]
    ) -> None:
        """The same, within a change."""
        old = self.get(bucket, stored.key)
        owner = self.database.add_extents(0, extents)
        self._write_row(bucket, stored, owner)
        if old is not None:
            dropped.append(old.owner)

    def append(self, bucket: str, stored: StoredObject, extents: Sequence[Extent]) -> None:
        """Make `stored` of its owner's extents and these, at the cost of the new ones alone."""
        with self.database.change():
            first = self.database.next_ordinal(stored.owner)
            self.database.add_extents(stored.owner, extents, first)
            self._write_row(bucket, stored, stored.owner)

    def _write_row(self, bucket: str, stored: StoredObject, owner: int) -> None:
        self._sql.execute(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                bucket,
                stored.key.encode(),
                owner,
                stored.size,
                stored.etag,
                stored.modified,
                json.dumps(stored.headers),
                stored.appends,
            ),
        )

    def delete(self, bucket: str, keys: Sequence[str]) -> None:
        """Delete objects, all at once; a missing one is no error."""
        with self.database.change() as dropped:
            for key in keys:
                gone = self._sql.execute(
                    "DELETE FROM objects WHERE bucket = ? AND key = ? RETURNING owner",
                    (bucket, key.encode()),
                ).fetchall()
                dropped += (owner for (owner,) in gone)

    def scan(self, bucket: str, prefix: bytes, after: bytes) -> Iterator[StoredObject]:
        """Objects whose key starts with `prefix` and sorts behind `after`, in byte order."""
        start = max(prefix, after + b"\0") if after else prefix
        rows = self._sql.execute(
            "SELECT key, size, etag, modified FROM objects"
            " WHERE bucket = ? AND key >= ? ORDER BY key",
            (bucket, start),
        )
        for key, size, etag, modified in rows:
            if not key.startswith(prefix):
                return
            yield StoredObject(key.decode(), size, etag, modified)
