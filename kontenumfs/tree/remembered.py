# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Attributes of objects over mounts: as a HEAD or an own write told them, while listings confirm.

One SQLite file a bucket. A row counts only while a listing shows the same ETag, size and
LastModified, so the file may be lost, old or shared at any time; what it holds is checked.
"""

import logging
import os
import sqlite3
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

import trio

from kontenumfs.store.api import ListPage, ObjectInfo
from kontenumfs.tree.objects import CLOCK_TOLERANCE, same_object
from kontenumfs.tree.packed import pack_attributes, pack_facts, unpack_facts

log = logging.getLogger(__name__)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Rows = dict[bytes, tuple[bytes, bytes, int]]
"""Facts, attributes and the day they were last confirmed, by key."""

APPLICATION_ID = 0x6B6F6E74
SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    key BLOB PRIMARY KEY, facts BLOB NOT NULL, attributes BLOB NOT NULL, day INTEGER NOT NULL
) WITHOUT ROWID
"""
FLUSH_SECONDS = 5.0
WAITING = 10_000
"""Objects that may wait to be written; more are forgotten."""
DAY = 86_400


class RememberedAttributes:
    """The attributes of the objects of one bucket, in a file.

    Args:
        path: the file; None remembers nothing.
        limit: objects that are remembered; the ones not seen for longest go first.
        wall: seconds since the epoch.
    """

    def __init__(
        self, path: Path | None, *, limit: int, wall: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._limit = limit
        self._wall = wall
        self._database: sqlite3.Connection | None = None
        self._waiting: dict[str, ObjectInfo | None] = {}
        self._one_at_a_time = trio.CapacityLimiter(1)
        if path is not None:
            self._database = self._open(path)

    def _open(self, path: Path) -> sqlite3.Connection | None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return _connect(path)
        except sqlite3.OperationalError as error:
            log.warning("attributes are not remembered over mounts: %s: %s", path, error)
        except sqlite3.DatabaseError as error:
            return _begin_anew(path, error)
        except OSError as error:
            log.warning("attributes are not remembered over mounts: %s: %s", path, error)
        return None

    def is_young(self, info: ObjectInfo) -> bool:
        """Return True if an object is so new that another write to it might look the same."""
        return self._wall() - info.last_modified < CLOCK_TOLERANCE

    def learn(self, info: ObjectInfo, *, own: bool = False) -> None:
        """Remember the attributes of an object, if they can be told from later ones.

        LastModified counts seconds: what was asked for while it was young could be overwritten
        within the same second, and nothing would show it (git's index has the same rule).

        Args:
            own: this mount wrote it, and nobody else's answer is believed.
        """
        if self._database is None or info.attributes is None:
            return
        if self.is_young(info) and not own:
            return
        if len(self._waiting) < WAITING:
            self._waiting[info.key] = info

    def learn_unmarked(self, key: str) -> None:
        """Remember that a directory has no marker: its listing tells whether that is still so."""
        if self._database is not None and len(self._waiting) < WAITING:
            self._waiting[key] = None

    async def recall(self, page: ListPage) -> ListPage:
        """Return `page` with the attributes of the objects that are what they were."""
        if self._database is None or not page.objects:
            return page
        keys = [_blob(info.key) for info in page.objects]
        rows = await self._run(_select, keys) or {}
        return replace(page, objects=tuple(self._with(info, rows) for info in page.objects))

    def _with(self, info: ObjectInfo, rows: Rows) -> ObjectInfo:
        known = self._waiting.get(info.key)
        row = rows.get(_blob(info.key))
        day = int(self._wall() // DAY)
        if known is None and row is not None:
            facts, attributes, day = row
            with suppress(ValueError, TypeError, struct.error):  # not what we wrote: not believed
                known = unpack_facts(info.key, facts, attributes)
        if known is None or not same_object(info, known):
            return info
        found = replace(info, attributes=known.attributes)
        if day != int(self._wall() // DAY) or known.last_modified != info.last_modified:
            self.learn(found)
        return found

    async def knows(self, key: str) -> bool:
        """Return True if something is remembered of an object, true or not."""
        if self._database is None:
            return False
        return key in self._waiting or bool(await self._run(_select, [_blob(key)]))

    async def run(self) -> None:
        """Write what was learnt to the file every few seconds, until cancelled; then once more."""
        try:
            while self._database is not None:
                await trio.sleep(FLUSH_SECONDS)
                await self.flush()
        except Exception:
            raise  # it is begun again, and needs the file
        except BaseException:
            with trio.CancelScope(shield=True):
                await self.flush()
            self.close()
            raise

    async def flush(self) -> None:
        """Write to the file what waits."""
        if self._waiting and self._database is not None:
            waiting, self._waiting = self._waiting, {}
            day = int(self._wall() // DAY)
            rows = [(_blob(key), *_packed(info), day) for key, info in waiting.items()]
            await self._run(_insert, rows, self._limit)

    async def _run(
        self, function: Callable[[sqlite3.Connection, Unpack[Ts]], T], *arguments: *Ts
    ) -> T | None:
        database = self._database
        if database is None:
            return None
        try:
            return await trio.to_thread.run_sync(
                function, database, *arguments, limiter=self._one_at_a_time
            )
        except sqlite3.OperationalError as error:
            log.warning("attributes are no longer remembered: %s: %s", self._path, error)
            self._database = None
        except sqlite3.DatabaseError as error:
            if self._database is database:  # nobody has begun anew meanwhile
                database.close()
                assert self._path is not None
                self._database = _begin_anew(self._path, error)
        return None

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None


def _begin_anew(path: Path, why: sqlite3.DatabaseError) -> sqlite3.Connection | None:
    """Set the file aside, which cannot be trusted, and make another."""
    log.warning("%s is set aside and begun anew: %s", path, why)
    try:
        os.replace(path, f"{path}.unusable")
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        return _connect(path)
    except (OSError, sqlite3.Error) as error:
        log.warning("attributes are not remembered over mounts: %s: %s", path, error)
        return None


def _connect(path: Path) -> sqlite3.Connection:
    """Open the file or make it; raise sqlite3.DatabaseError for one that is not ours."""
    if path.exists() and path.stat().st_uid != os.geteuid():
        raise sqlite3.DatabaseError("it belongs to somebody else")
    database = sqlite3.connect(path, timeout=2.0, isolation_level=None, check_same_thread=False)
    try:
        path.chmod(0o600)
        (made_by,) = database.execute("PRAGMA application_id").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and made_by != APPLICATION_ID:
            raise sqlite3.DatabaseError("another program's database")
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")  # it can be lost: every row is checked
        database.execute(SCHEMA)
        database.execute("SELECT key, facts, attributes, day FROM objects LIMIT 1").fetchall()
    except BaseException:
        database.close()
        raise
    return database


def _select(database: sqlite3.Connection, keys: list[bytes]) -> Rows:
    marks = ",".join("?" * len(keys))
    found = database.execute(f"SELECT * FROM objects WHERE key IN ({marks})", keys)
    return {key: (facts, attributes, day) for key, facts, attributes, day in found}


def _insert(
    database: sqlite3.Connection, rows: Iterable[tuple[bytes, bytes, bytes, int]], limit: int
) -> None:
    database.execute("BEGIN IMMEDIATE")
    try:
        database.executemany("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", rows)
        (count,) = database.execute("SELECT count(*) FROM objects").fetchone()
        if count > limit:
            database.execute(
                "DELETE FROM objects WHERE key IN (SELECT key FROM objects ORDER BY day LIMIT ?)",
                (count - limit,),
            )
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _packed(info: ObjectInfo | None) -> tuple[bytes, bytes]:
    if info is None or info.attributes is None:
        return b"", b""
    return pack_facts(info), pack_attributes(info.attributes)


def _blob(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")
