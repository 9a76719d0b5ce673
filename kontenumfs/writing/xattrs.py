# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Extended attributes: an object's headers and the user's own metadata, as a program sees them.

``user.mime_type`` is the Content-Type (freedesktop.org's name for it), ``user.http.NAME`` another
header, ``user.meta.NAME`` the user's metadata; ``user.kontenum.*`` tell what the mount knows.
"""

import re
from collections.abc import Mapping

from kontenumfs.protocol.dialect import SYSTEM_HEADERS
from kontenumfs.protocol.errors import (
    AttributeMissing,
    AttributesTooLarge,
    AttributeUnsupported,
    InvalidArgument,
)
from kontenumfs.protocol.headers import value_fault
from kontenumfs.protocol.metadata import (
    MAX_USER_METADATA,
    OWN_NAMES,
    FileMetadata,
    encode,
    fitting,
    leaves_room,
    metadata_size,
)
from kontenumfs.tree.attributes import metadata_of
from kontenumfs.tree.node import File

MIME_TYPE = "user.mime_type"
HTTP = "user.http."
META = "user.meta."
TOLD = "user.kontenum."
MAX_OBJECT = 5 << 40
"""Bytes of the largest object, whose size is the longest to tell."""
META_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,200}")
"""What may follow x-amz-meta- (RFC 9110, token); S3 keeps names in lower case."""


def read_attributes(node: File) -> dict[str, str]:
    """Return the headers and metadata of `node`, those included that wait to be sent.

    A header that was removed is what the name suggests again, once that was sent.
    """
    known = node.info.attributes if node.info else None
    changes = metadata_of(node)
    headers: dict[str, str | None] = {**(known.headers if known else {}), **changes.headers}
    user: dict[str, str | None] = {**(known.metadata if known else {}), **changes.user}
    found: dict[str, str] = {}
    for name, value in headers.items():
        if value is not None and name in SYSTEM_HEADERS:
            found[MIME_TYPE if name == "content-type" else HTTP + name] = value
    for name, value in user.items():
        if value is not None and name not in OWN_NAMES:
            found[META + name] = value
    return found


def own_attributes(node: File, named: Mapping[str, str]) -> list[str]:
    """Return the names that a list shows: what somebody has chosen; `named` is given.

    Else `rsync -X` would remove the Content-Type of every file, as the source has none.
    """
    given = {MIME_TYPE if name == "content-type" else HTTP + name: v for name, v in named.items()}
    return [name for name, value in read_attributes(node).items() if given.get(name) != value]


def change_attribute(name: str, value: bytes | None) -> FileMetadata:
    """Return what setting the attribute `name` changes; with None it is removed.

    Raises AttributeUnsupported for a name or a value that no object can have, InvalidArgument for
    one that a header cannot, and AttributeMissing where what the mount tells would be removed.
    """
    header = "content-type" if name == MIME_TYPE else name.removeprefix(HTTP)
    own = name.removeprefix(META)
    is_header = name == MIME_TYPE or (name.startswith(HTTP) and header in SYSTEM_HEADERS)
    is_own = name.startswith(META) and own not in OWN_NAMES and META_NAME.fullmatch(own)
    if not (is_header or is_own):
        if value is None:
            raise AttributeMissing(name)
        headers = ", ".join(sorted(SYSTEM_HEADERS))
        raise AttributeUnsupported(
            f"{name}: an object has {MIME_TYPE}, {META}* and, as {HTTP}*, {headers}"
        )
    text = None if value is None else _text(name, value)
    if not is_header:
        return FileMetadata(user={own: text})
    if text is not None and (fault := value_fault(text)):
        raise InvalidArgument(f"{name} {fault}")
    return FileMetadata(headers={header: text})


def require_room(node: File, change: FileMetadata) -> None:
    """Raise AttributesTooLarge where an object cannot carry what it has with `change`.

    Room for mode, owner and times is kept free, so that those can be set afterwards; where others
    have filled it, what makes it no fuller is let through.
    """
    known = node.info.attributes if node.info else None
    changes = metadata_of(node)
    before = _users(known.metadata if known else {}, changes)
    after = _users(before, change)
    own = encode(change.over(changes), size=MAX_OBJECT)
    grows = metadata_size(after) > metadata_size(before)
    lost = encode(change, size=MAX_OBJECT).keys() - fitting(after, own).keys()
    if lost or (grows and not leaves_room(after)):
        raise AttributesTooLarge(
            f"{node.name}: all {META}* together, mode, owner and time would be more than the "
            f"{MAX_USER_METADATA} bytes that an object can carry"
        )


def _users(metadata: Mapping[str, str], change: FileMetadata) -> dict[str, str]:
    """Return the user's own metadata as it will be."""
    changed = {**metadata, **change.user}
    return {n: value for n, value in changed.items() if value is not None and n not in OWN_NAMES}


def _text(name: str, value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise AttributeUnsupported(f"{name}: the value is not UTF-8") from None
    if not text.isprintable():
        is_text = all(character.isprintable() or character.isspace() for character in text)
        kind = InvalidArgument if is_text else AttributeUnsupported
        raise kind(f"{name}: the value must be one line of text")
    return text
