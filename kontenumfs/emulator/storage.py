# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Objects on disk: immutable segment files, and one sqlite file that says what they make.

An object is a list of extents (segment, offset, length). An append adds a segment, a compose or
a copy shares those of its sources, so no byte is ever written twice. A segment is complete before
the transaction that names it, so a killed server has the old object or the new one.
"""

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Extent = tuple[str, int, int]
"""Segment name, offset and length in bytes."""

_SCHEMA = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=NORMAL;
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, created REAL);
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT, key BLOB, size INTEGER, etag TEXT, modified REAL, headers TEXT, extents TEXT,
    appends INTEGER, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, bucket TEXT, key BLOB, headers TEXT, created REAL);
CREATE TABLE IF NOT EXISTS parts (
    upload TEXT, number INTEGER, size INTEGER, etag TEXT, modified REAL, extents TEXT,
    PRIMARY KEY (upload, number));
CREATE TABLE IF NOT EXISTS segments (name TEXT PRIMARY KEY, refs INTEGER);
"""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object: what HEAD shows, and where its bytes are."""

    key: str
    size: int
    etag: str
    modified: float
    headers: dict[str, str] = field(default_factory=dict)
    extents: tuple[Extent, ...] = ()
    appends: int = 0


@dataclass(frozen=True, slots=True)
class StoredPart:
    """One part of a multipart upload."""

    number: int
    size: int
    etag: str
    modified: float
    extents: tuple[Extent, ...]


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload under way."""

    id: str
    bucket: str
    key: str
    headers: dict[str, str]
    created: float


class Storage:
    """Every bucket of one emulator; all methods are synchronous and short.

    Args:
        directory: made when it is missing; survives restarts.
    """

    def __init__(self, directory: Path) -> None:
        self._segments = directory / "segments"
        self._segments.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(directory / "meta.sqlite", isolation_level=None)
        self._db.executescript(_SCHEMA)
        known = {name for (name,) in self._db.execute("SELECT name FROM segments")}
        for left in self._segments.iterdir():
            if left.name not in known:
                left.unlink()  # written, but the server was killed before it was named

    def close(self) -> None:
        """Close the sqlite file."""
        self._db.close()

    def new_segment(self) -> tuple[str, Path]:
        """A name and a path for the bytes of one request."""
        name = secrets.token_hex(12)
        return name, self._segments / name

    def segment_path(self, name: str) -> Path:
        """Where a segment's bytes are."""
        return self._segments / name

    # Buckets

    def buckets(self) -> list[tuple[str, float]]:
        """Names and creation times."""
        return self._db.execute("SELECT name, created FROM buckets ORDER BY name").fetchall()

    def has_bucket(self, name: str) -> bool:
        """Whether a bucket exists."""
        found = self._db.execute("SELECT 1 FROM buckets WHERE name = ?", (name,))
        return found.fetchone() is not None

    def create_bucket(self, name: str) -> bool:
        """Create a bucket; whether it was missing."""
        made = self._db.execute("INSERT OR IGNORE INTO buckets VALUES (?, ?)", (name, time.time()))
        return made.rowcount == 1

    def delete_bucket(self, name: str) -> None:
        """Delete a bucket with all that is in it."""
        rows = self._db.execute("SELECT key FROM objects WHERE bucket = ?", (name,)).fetchall()
        for (key,) in rows:
            self.delete(name, key.decode())
        for upload in self.uploads(name):
            self.drop_upload(upload.id)
        self._db.execute("DELETE FROM buckets WHERE name = ?", (name,))

    # Objects

    def get(self, bucket: str, key: str) -> StoredObject | None:
        """An object, or None."""
        row = self._db.execute(
            "SELECT size, etag, modified, headers, extents, appends FROM objects"
            " WHERE bucket = ? AND key = ?",
            (bucket, key.encode()),
        ).fetchone()
        if row is None:
            return None
        size, etag, modified, headers, extents, appends = row
        return StoredObject(
            key, size, etag, modified, json.loads(headers), _extents(extents), appends
        )

    def put(self, bucket: str, stored: StoredObject) -> None:
        """Make `stored` the object of its key; its segments are held, the old one's let go."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            old = self.get(bucket, stored.key)
            self._hold(stored.extents)
            self._db.execute(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    bucket,
                    stored.key.encode(),
                    stored.size,
                    stored.etag,
                    stored.modified,
                    json.dumps(stored.headers),
                    json.dumps(stored.extents),
                    stored.appends,
                ),
            )
            freed = self._let_go(old.extents) if old else []
        self._unlink(freed)

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; a missing one is no error."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            old = self.get(bucket, key)
            self._db.execute(
                "DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key.encode())
            )
            freed = self._let_go(old.extents) if old else []
        self._unlink(freed)

    def scan(self, bucket: str, prefix: bytes, after: bytes) -> Iterator[StoredObject]:
        """Objects whose key starts with `prefix` and sorts behind `after`, in byte order."""
        start = max(prefix, after + b"\0") if after else prefix
        rows = self._db.execute(
            "SELECT key, size, etag, modified FROM objects"
            " WHERE bucket = ? AND key >= ? ORDER BY key",
            (bucket, start),
        )
        for key, size, etag, modified in rows:
            if not key.startswith(prefix):
                return
            yield StoredObject(key.decode(), size, etag, modified)

    # Multipart

    def create_upload(self, bucket: str, key: str, headers: dict[str, str]) -> str:
        """Begin a multipart upload; returns its id."""
        identity = secrets.token_hex(16)
        self._db.execute(
            "INSERT INTO uploads VALUES (?, ?, ?, ?, ?)",
            (identity, bucket, key.encode(), json.dumps(headers), time.time()),
        )
        return identity

    def uploads(self, bucket: str) -> list[Upload]:
        """The uploads under way in a bucket, by key."""
        rows = self._db.execute(
            "SELECT id, key, headers, created FROM uploads WHERE bucket = ? ORDER BY key, created",
            (bucket,),
        )
        return [
            Upload(id_, bucket, key.decode(), json.loads(headers), created)
            for id_, key, headers, created in rows
        ]

    def upload(self, identity: str) -> Upload | None:
        """An upload, or None."""
        row = self._db.execute(
            "SELECT bucket, key, headers, created FROM uploads WHERE id = ?", (identity,)
        ).fetchone()
        if row is None:
            return None
        return Upload(identity, row[0], row[1].decode(), json.loads(row[2]), row[3])

    def put_part(self, identity: str, part: StoredPart) -> None:
        """Add or replace one part."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            old = [p for p in self.parts(identity) if p.number == part.number]
            self._hold(part.extents)
            self._db.execute(
                "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)",
                (
                    identity,
                    part.number,
                    part.size,
                    part.etag,
                    part.modified,
                    json.dumps(part.extents),
                ),
            )
            freed = self._let_go(old[0].extents) if old else []
        self._unlink(freed)

    def parts(self, identity: str) -> list[StoredPart]:
        """The parts of an upload, by number."""
        rows = self._db.execute(
            "SELECT number, size, etag, modified, extents FROM parts"
            " WHERE upload = ? ORDER BY number",
            (identity,),
        )
        return [StoredPart(n, s, e, m, _extents(x)) for n, s, e, m, x in rows]

    def drop_upload(self, identity: str) -> None:
        """End an upload; its parts' segments live on only where an object has them."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            freed: list[str] = []
            for part in self.parts(identity):
                freed += self._let_go(part.extents)
            self._db.execute("DELETE FROM parts WHERE upload = ?", (identity,))
            self._db.execute("DELETE FROM uploads WHERE id = ?", (identity,))
        self._unlink(freed)

    # Segments

    def _hold(self, extents: Sequence[Extent]) -> None:
        self._db.executemany(
            "INSERT INTO segments VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET refs = refs + 1",
            [(name,) for name, _, _ in extents],
        )

    def _let_go(self, extents: Sequence[Extent]) -> list[str]:
        freed = []
        for name, _, _ in extents:
            row = self._db.execute(
                "UPDATE segments SET refs = refs - 1 WHERE name = ? RETURNING refs", (name,)
            ).fetchone()
            if row and row[0] <= 0:
                self._db.execute("DELETE FROM segments WHERE name = ?", (name,))
                freed.append(name)
        return freed

    def _unlink(self, names: Sequence[str]) -> None:
        for name in names:
            (self._segments / name).unlink(missing_ok=True)


def _extents(text: str) -> tuple[Extent, ...]:
    return tuple((name, offset, length) for name, offset, length in json.loads(text))


def cut(extents: Sequence[Extent], first: int, length: int) -> tuple[Extent, ...]:
    """The extents of `length` bytes from offset `first` on."""
    found: list[Extent] = []
    at = 0
    for name, offset, size in extents:
        begin, end = max(first, at), min(first + length, at + size)
        if begin < end:
            found.append((name, offset + begin - at, end - begin))
        at += size
    return tuple(found)
