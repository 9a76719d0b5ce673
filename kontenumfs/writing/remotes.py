# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The stored objects that open files refer to, each of them once."""

from weakref import WeakValueDictionary

from kontenumfs.store.api import ObjectInfo
from kontenumfs.writing.extents import RemoteObject


class Remotes:
    """Objects by key, as long as somebody refers to them."""

    def __init__(self) -> None:
        self._by_key: WeakValueDictionary[str, RemoteObject] = WeakValueDictionary()

    def of(self, info: ObjectInfo) -> RemoteObject:
        """Return the object that `info` describes: one and the same for all who refer to it."""
        known = self._by_key.get(info.key)
        described = (info.key, info.size, info.etag)
        if known and not known.lost and (known.key, known.size, known.etag) == described:
            return known
        made = RemoteObject(info.key, info.size, info.etag)
        self._by_key[info.key] = made
        return made

    def add(self, remote: RemoteObject) -> None:
        """Know an object that a file has written."""
        self._by_key[remote.key] = remote

    def renamed(self, remote: RemoteObject | None, was: ObjectInfo, now: ObjectInfo) -> bool:
        """Give what `was` the key of `now`; returns whether `remote` is that object.

        Args:
            remote: what the file's writer refers to; without one, what is known by the old key.

        One that others had changed before it was copied stays what it was: its size and its ETag
        belong together, and the store refuses what rests on them.
        """
        remote = remote or self._by_key.pop(was.key, None)
        if remote is None:
            return True
        remote.key = now.key
        if (remote.size, remote.etag or was.etag) != (was.size, was.etag):
            return False
        remote.etag = now.etag
        self._by_key[now.key] = remote
        return True
