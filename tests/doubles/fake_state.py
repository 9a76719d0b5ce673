# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the store in memory holds."""

import hashlib
from dataclasses import dataclass, field

from kontenumfs.store.api import Attributes


@dataclass(slots=True)
class FakeObject:
    """One stored object; `appends` counts towards the limit."""

    data: bytearray
    attributes: Attributes
    etag: str
    last_modified: float
    appends: int = 0


@dataclass(frozen=True, slots=True)
class FakePart:
    """One part of an upload."""

    data: bytes
    etag: str

    def digest(self) -> bytes:
        """The MD5 that goes into the ETag of the whole."""
        return hashlib.md5(self.data, usedforsecurity=False).digest()


@dataclass(slots=True)
class FakeUpload:
    """One multipart upload under way."""

    key: str
    attributes: Attributes
    initiated: float
    parts: dict[int, FakePart] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FakeCall:
    """One request that was made.

    Args:
        operation: the S3 name, such as ``AppendObject``.
        sent: bytes of the request's body.
    """

    operation: str
    key: str
    sent: int = 0
