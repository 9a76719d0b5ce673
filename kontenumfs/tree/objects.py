# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Comparisons of two answers about one key: do they speak of the same object?"""

from dataclasses import replace

from kontenumfs.store.api import ObjectInfo

CLOCK_TOLERANCE = 2.0
"""Seconds by which the store's LastModified of our own write may differ from our clock."""


def same_object(info: ObjectInfo, known: ObjectInfo) -> bool:
    """Return True if a listing shows the object that was known: ETag, size and LastModified.

    The store tells whole seconds; of what this mount wrote itself, its own clock tells the time.
    """
    if (info.etag, info.size) != (known.etag, known.size):
        return False
    if known.last_modified.is_integer():
        return int(info.last_modified) == int(known.last_modified)
    return abs(info.last_modified - known.last_modified) <= CLOCK_TOLERANCE


def with_known_attributes(info: ObjectInfo, known: ObjectInfo | None) -> ObjectInfo:
    """Return `info` of a listing with the attributes that the same object is known to have."""
    if info.attributes is None and known is not None and same_object(info, known):
        return replace(info, attributes=known.attributes)
    return info
