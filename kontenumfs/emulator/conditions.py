# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The conditions of writes as AWS documents them, each verb's to be switched off by itself.

Whoever asks makes the change in the same turn of the event loop, so nothing comes in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kontenumfs.emulator.answers import named_etags, read_status
from kontenumfs.emulator.errors import S3Error
from kontenumfs.emulator.storage import StoredObject

VERBS = ("put", "complete", "append", "compose", "copy", "part-copy", "delete", "delete-many")
"""What has conditions. Those of copy and part-copy are on the source."""

_SOURCE = "x-amz-copy-source-"


@dataclass(frozen=True, slots=True)
class Conditions:
    """Which verbs honour their conditions.

    Args:
        honoured: the others take no notice of theirs, as careless servers do.
    """

    honoured: frozenset[str] = frozenset(VERBS)

    def check_target(
        self, verb: str, headers: Mapping[str, str], current: StoredObject | None
    ) -> None:
        """If-Match and If-None-Match against the object that is there now; raises S3Error."""
        if verb not in self.honoured:
            return
        match, none_match = headers.get("if-match"), headers.get("if-none-match")
        if verb == "delete":
            none_match = None  # which DeleteObject does not have
        if verb == "copy":
            if match is not None or none_match is not None:
                raise S3Error("NotImplemented", "A copy has no conditions on its target.")
            return
        if match is not None:
            _check_match(match, current)
        if none_match is None:
            return
        if none_match.strip() != "*":
            raise S3Error("NotImplemented", "If-None-Match of a write is * and nothing else.")
        if current is not None:
            raise S3Error("PreconditionFailed", Condition="If-None-Match")

    def check_source(self, verb: str, headers: Mapping[str, str], found: StoredObject) -> None:
        """The x-amz-copy-source-if-* of a copy; raises S3Error."""
        if verb not in self.honoured:
            return
        named = {n.removeprefix(_SOURCE): v for n, v in headers.items() if n.startswith(_SOURCE)}
        if read_status(named, found) != 200:
            raise S3Error("PreconditionFailed")

    def check_listed(self, etag: str, current: StoredObject | None) -> None:
        """The ETag that DeleteObjects gives with one of its keys, if any; raises S3Error."""
        if etag and "delete-many" in self.honoured:
            _check_match(etag, current)


def _check_match(etags: str, current: StoredObject | None) -> None:
    if current is None:
        raise S3Error("NoSuchKey")
    if not named_etags(etags) & {current.etag, "*"}:
        raise S3Error("PreconditionFailed", Condition="If-Match")
