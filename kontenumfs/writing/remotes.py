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
        """The object that `info` describes: one and the same for all who refer to it."""
        known = self._by_key.get(info.key)
        told = (info.key, info.size, info.etag)
        if known and not known.lost and (known.key, known.size, known.etag) == told:
            return known
        made = RemoteObject(info.key, info.size, info.etag)
        self._by_key[info.key] = made
        return made

    def add(self, remote: RemoteObject) -> None:
        """Know an object that a file has written."""
        self._by_key[remote.key] = remote

    def renamed(self, remote: RemoteObject | None, old: str, new: str, etag: str) -> None:
        """An object (or the one that is known by its `old` key) was copied to a `new` key."""
        remote = remote or self._by_key.pop(old, None)
        if remote is not None:
            remote.key, remote.etag = new, etag
            self._by_key[new] = remote
