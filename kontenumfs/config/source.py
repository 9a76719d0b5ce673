# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The source of a mount: a bucket, or the keys below a prefix of it."""

import re
from dataclasses import dataclass
from urllib.parse import quote

from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit
from kontenumfs.protocol.names import MAX_KEY_BYTES, RESERVED, is_mappable

SHOWN = "".join(sorted(set(map(chr, range(32, 127))) - set(",\\%")))
"""Characters that are not escaped in a mount table."""
LONGEST_PREFIX = MAX_KEY_BYTES - 256
"""Bytes: what is below must have room for a name."""


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a mount.

    Args:
        bucket: its name.
        prefix: what every key starts with: empty, or ends with a slash.
    """

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, text: str) -> "Source":
        """Read ``BUCKET[/PREFIX]``; raises UserError."""
        bucket, _, prefix = text.partition("/")
        if not bucket:
            raise UserError(f"{text!r} names no bucket: BUCKET or BUCKET/PREFIX", Exit.USAGE)
        return cls.of(bucket, prefix)

    @classmethod
    def of(cls, bucket: str, prefix: str) -> "Source":
        """Check a bucket and a prefix, leaving off slashes around it; raises UserError."""
        # Old buckets have capitals and underscores; nothing else was ever a bucket's name (AWS).
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", bucket):
            raise UserError(
                f"{bucket!r} cannot be a bucket's name: letters, digits, dots and hyphens",
                Exit.USAGE,
            )
        prefix = prefix.strip("/")
        for part in prefix.split("/") if prefix else ():
            if not is_mappable(part):
                why = "belongs to mounts" if part == RESERVED else "cannot be a directory's name"
                raise UserError(f"prefix {prefix!r}: {part!r} {why}: name another", Exit.USAGE)
        if len(prefix.encode("utf-8")) > LONGEST_PREFIX:
            raise UserError(
                f"prefix {prefix[:40]!r}... is longer than {LONGEST_PREFIX} bytes: keys have "
                f"{MAX_KEY_BYTES} at most",
                Exit.USAGE,
            )
        return cls(bucket, prefix + "/" if prefix else "")

    @property
    def fsname(self) -> str:
        """Return the name for mount tables: libfuse takes ASCII, and gives commas a meaning."""
        return quote(str(self), safe=SHOWN)

    def __str__(self) -> str:
        return f"{self.bucket}/{self.prefix}".rstrip("/")
