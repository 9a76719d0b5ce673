# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Extended attributes: an object's headers and the user's own metadata, as a program sees them.

``user.mime_type`` is the Content-Type (freedesktop.org's name for it), ``user.http.NAME`` another
header, ``user.meta.NAME`` the user's metadata; ``user.kontenum.*`` tell what the mount knows.
"""

import re
from collections.abc import Mapping

from kontenumfs.protocol.dialect import SYSTEM_HEADERS
from kontenumfs.protocol.errors import AttributeMissing, InvalidArgument, Unsupported
from kontenumfs.protocol.headers import value_fault
from kontenumfs.protocol.metadata import OWN_NAMES, FileMetadata
from kontenumfs.tree.attributes import metadata_of
from kontenumfs.tree.node import File

MIME_TYPE = "user.mime_type"
HTTP = "user.http."
META = "user.meta."
TOLD = "user.kontenum."
META_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,200}")
"""What may follow x-amz-meta- (RFC 9110, token); S3 keeps names in lower case."""


def read_attributes(node: File) -> dict[str, str]:
    """The headers and metadata of `node`, those included that wait to be sent.

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
    """The names that a list shows: what somebody has chosen, for `named` is given by the name.

    Else `rsync -X` would remove the Content-Type of every file, as the source has none.
    """
    given = {MIME_TYPE if name == "content-type" else HTTP + name: v for name, v in named.items()}
    return [name for name, value in read_attributes(node).items() if given.get(name) != value]


def change_attribute(name: str, value: bytes | None) -> FileMetadata:
    """What setting the attribute `name` changes; with None it is removed.

    Raises Unsupported for a name that no object can have, InvalidArgument for a value, and
    AttributeMissing where what the mount tells would be removed.
    """
    text = None if value is None else _text(name, value)
    header = "content-type" if name == MIME_TYPE else name.removeprefix(HTTP)
    if name == MIME_TYPE or (name.startswith(HTTP) and header in SYSTEM_HEADERS):
        if text is not None and (fault := value_fault(text)):
            raise InvalidArgument(f"{name} {fault}")
        return FileMetadata(headers={header: text})
    own = name.removeprefix(META)
    if name.startswith(META) and own not in OWN_NAMES and META_NAME.fullmatch(own):
        return FileMetadata(user={own: text})
    if value is None:
        raise AttributeMissing(name)
    headers = ", ".join(sorted(SYSTEM_HEADERS))
    raise Unsupported(f"{name}: an object has {MIME_TYPE}, {META}* and, as {HTTP}*, {headers}")


def _text(name: str, value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise InvalidArgument(f"{name}: the value is not UTF-8") from None
    if not text.isprintable():
        raise InvalidArgument(f"{name}: the value must be one line of text")
    return text
