# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The history of a bucket that two clients write to, and who has lost what in it.

Every write is made of records with a number of their own, so that a record tells whose bytes are
where. A record may vanish because the other client, B, has replaced or deleted it, or because the
program on mount A knew of it and did; the mount itself must not lose one, and not double one.
"""

import re
from collections import Counter

from kontenumfs.store.api import ObjectInfo
from tests.doubles.fake import FakeStore

RECORD = re.compile(rb"\[[AB]\d{4}[a-z]*\]")
HELPERS = ".kontenumfs"


def record(client: str, number: int, length: int) -> bytes:
    """One record of `length` bytes, or of a few more."""
    head = f"[{client}{number:04}".encode()
    return head + bytes([97 + number % 26]) * max(0, length - len(head) - 1) + b"]"


def records(data: bytes) -> list[bytes]:
    """The records that are whole in `data`."""
    return RECORD.findall(data)


class Lost(AssertionError):
    """Bytes are not where they must be."""


class Ledger:
    """What was under which key, and which records may vanish.

    Args:
        store: the bucket itself.
    """

    def __init__(self, store: FakeStore) -> None:
        self.store = store
        self.versions: dict[str, bytes] = {}
        """Content by ETag."""
        self.history: dict[str, list[bytes]] = {}
        """What each key has had."""
        self.described: dict[str, list[ObjectInfo | None]] = {}
        """What HEAD would have said of each key, the oldest first."""
        self.ever: dict[str, set[bytes]] = {}
        """The records that each key has had."""
        self.forfeit: set[bytes] = set()
        """Records that a program has replaced or deleted, and knew it."""
        self.acknowledged: set[bytes] = set()
        self.copies: Counter[bytes] = Counter()
        """How often a record was copied by a program of A."""
        self.replaceable: set[str] = set()
        """Keys that A's program deletes or replaces now, whatever is there."""
        self.broken: Lost | None = None
        """The first promise that was found broken, in whatever task."""
        self._dropped: set[bytes] = set()
        self._now: dict[str, tuple[str, bytes]] = {}
        self.told: list[str] = []

    def data(self, key: str) -> bytes:
        """What is under the key; nothing where no object is."""
        found = self.store.objects.get(key)
        return bytes(found.data) if found else b""

    def keys(self) -> list[str]:
        """The keys that users see."""
        return [key for key in self.store.objects if not key.startswith(HELPERS)]

    def observe(self, client: str, *, over: str = "") -> None:
        """Something may have changed, because of this client: nothing must be lost or doubled.

        Args:
            over: a key that a request without a condition may have replaced.
        """
        removed: dict[bytes, str] = {}
        for key in {*self.keys(), *self._now}:
            found = self.store.objects.get(key)
            was_etag, was = self._now.get(key, ("", b""))
            if found is None:
                if key in self._now:
                    del self._now[key]
                    self.described.setdefault(key, [None]).append(None)
                    self.told.append(f"{client}: {key} deleted")
            elif key in self._now and found.etag == was_etag and len(found.data) == len(was):
                continue
            else:
                self._now[key] = found.etag, bytes(found.data)
                self.described.setdefault(key, [None]).append(
                    ObjectInfo(
                        key, len(found.data), found.etag, found.last_modified, found.attributes
                    )
                )
                self.told.append(f"{client}: {key} = {bytes(found.data)!r}")
            now = self._now.get(key, ("", b""))[1]
            if found is not None:
                self._note(key, found.etag, now)
            for gone in {*records(was)} - {*records(now)}:
                removed[gone] = key
        if client == "B":
            return
        alive = {one for _, data in self._now.values() for one in records(data)}
        for gone, key in removed.items():
            if key in self.replaceable or key == over:
                self.forfeit.add(gone)
            if gone in alive or gone in self.forfeit:
                continue
            self._dropped.add(gone)
            if gone.startswith(b"[B") or gone in self.acknowledged:
                raise self._lost(f"{gone!r} is lost from {key!r}")

    def forfeit_end(self, data: bytes, size: int) -> None:
        """A program cuts what it knows to be `data`."""
        self.forfeit |= {*records(data)} - {*records(data[:size])}

    def _lost(self, told: str) -> Lost:
        self.broken = self.broken or Lost(told)
        return self.broken

    def _note(self, key: str, etag: str, now: bytes) -> None:
        self.versions[etag] = now
        self.history.setdefault(key, []).append(now)
        found = records(now)
        self.ever.setdefault(key, set()).update(found)
        for one, count in Counter(found).items():
            if count > 1 + self.copies[one]:
                raise self._lost(f"{one!r} stands {count} times in {key!r}")

    def acknowledge(self, key: str, pending: set[bytes]) -> None:
        """A call has returned after which these records must be stored under the key."""
        for one in pending - self.forfeit:
            if one not in self.ever.get(key, ()):
                raise self._lost(f"{one!r} was told to be stored in {key!r}, and never was")
            if one in self._dropped:
                raise self._lost(f"{one!r} was told to be stored in {key!r}, and was dropped")
        self.acknowledged |= pending

    def acknowledge_all(self, key: str, content: bytes, *, was: str = "") -> None:
        """A call has returned after which the key must have had exactly this; or its old name."""
        if content not in [*self.history.get(key, ()), *self.history.get(was, ())]:
            raise self._lost(f"{key!r} was told to be stored as {content!r}, and never was")
        self.acknowledged |= {*records(content)}
