# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Objects packed in as few bytes as will do: a mount remembers a million of them."""

import json
import struct

from kontenumfs.store.api import Attributes, ObjectInfo

_FACTS = struct.Struct("<qdB")  # size, LastModified, flags
_MD5_HEX = 32
_IS_MD5, _IS_YOUNG = 1, 2


def pack_facts(info: ObjectInfo, *, young: bool = False) -> bytes:
    """Pack size, LastModified and ETag; the key is the name's, and not kept."""
    flags = _IS_YOUNG if young else 0
    etag = info.etag
    if len(etag) == _MD5_HEX and etag.islower():
        try:
            packed = bytes.fromhex(etag)
            return _FACTS.pack(info.size, info.last_modified, flags | _IS_MD5) + packed
        except ValueError:
            pass  # not an MD5 after all
    return _FACTS.pack(info.size, info.last_modified, flags) + etag.encode()


def is_young(facts: bytes) -> bool:
    """Return True if the attributes beside these facts were learnt too early to be proved."""
    return bool(facts[_FACTS.size - 1] & _IS_YOUNG)


def unpack_facts(key: str, facts: bytes, attributes: bytes | None) -> ObjectInfo:
    """Return the object called `key` that was packed."""
    size, modified, flags = _FACTS.unpack_from(facts)
    etag = facts[_FACTS.size :]
    known = None if attributes is None else unpack_attributes(attributes)
    return ObjectInfo(key, size, etag.hex() if flags & _IS_MD5 else etag.decode(), modified, known)


def pack_attributes(attributes: Attributes) -> bytes:
    """Pack metadata and headers as JSON."""
    return json.dumps(
        [dict(attributes.metadata), dict(attributes.headers)],
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode("utf-8", "surrogatepass")


def unpack_attributes(packed: bytes) -> Attributes:
    """Return packed attributes; raise ValueError for what `pack_attributes` did not make."""
    metadata, headers = json.loads(packed)
    for table in (metadata, headers):
        if not isinstance(table, dict) or not all(isinstance(v, str) for v in table.values()):
            raise ValueError("not attributes")
    return Attributes(metadata, headers)
