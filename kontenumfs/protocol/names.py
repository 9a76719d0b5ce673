# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Object keys and file names: one is the other, or the key is hidden; nothing is ever changed."""

from urllib.parse import quote

from kontenumfs.protocol.dialect import MAX_KEY_BYTES as MAX_KEY_BYTES
from kontenumfs.protocol.errors import InvalidName, NameTooLong, NotPermitted

RESERVED = ".kontenumfs"
"""The component below which mounts keep helper objects; no program sees it."""
STAGING_PREFIX = f"{RESERVED}/"
"""The same as a prefix of keys, below that of the mount."""
MAX_NAME_BYTES = 255
"""The longest component that Linux takes (NAME_MAX)."""


def component_from_bytes(name: bytes) -> str:
    """The key component that a file name is.

    Raises InvalidName where it is not UTF-8, as S3 keys are, NameTooLong over 255 bytes, and
    NotPermitted for the one name that is the mount's own.
    """
    if len(name) > MAX_NAME_BYTES:
        raise NameTooLong(f"a name of {len(name)} bytes; {MAX_NAME_BYTES} is the limit")
    if name == RESERVED.encode():
        raise NotPermitted(f"{RESERVED} is where mounts keep objects of their own")
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidName(f"{name!r} is not UTF-8, and S3 keys are") from None


def check_text(path: str) -> None:
    """Raise InvalidName for a path of the command line that is not UTF-8, as S3 keys are."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        # As argv has it: Python keeps such bytes as surrogates (PEP 383).
        name = path.encode("utf-8", "surrogateescape")
        raise InvalidName(f"{name!r} is not UTF-8, and S3 keys are") from None


def is_mappable(name: str) -> bool:
    """Whether a key component can be a file name: text, not empty, dots, too long, NUL or ours."""
    if name in ("", ".", "..", RESERVED) or "\0" in name or "/" in name:
        return False
    try:
        return len(name.encode("utf-8")) <= MAX_NAME_BYTES
    except UnicodeEncodeError:
        return False


def quote_key(key: str) -> str:
    """A key as it stands in a request's path: percent-encoded, slashes kept (SigV4's rule).

    Bytes that are no text stand in a key as surrogates (PEP 383), and go out as they came.
    """
    return quote(key, safe="/-_.~", errors="surrogateescape")
