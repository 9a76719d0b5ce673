# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Where helper objects are, and what is left of them when a daemon was killed."""

import hashlib
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from kontenumfs.protocol.errors import KontenumError, UnexpectedAnswer
from kontenumfs.store.api import Store
from kontenumfs.store.beliefs import UNKNOWN
from kontenumfs.store.probe import STAGING_PREFIX

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Staging:
    """The keys that belong to one mount, on one host, at one mountpoint.

    Args:
        name: tells the mount from others of the bucket.
        mount: the prefix of all its lives.
        run: the prefix of this one.
    """

    name: str
    mount: str
    run: str

    @classmethod
    def of(cls, prefix: str, host: str, mountpoint: str) -> "Staging":
        """The staging area below the mount's `prefix`."""
        name = hashlib.sha256(f"{host}\0{mountpoint}".encode()).hexdigest()[:12]
        mount = f"{prefix}{STAGING_PREFIX}{name}/"
        return cls(name, mount, f"{mount}{secrets.token_hex(4)}/")

    async def clear(self, store: Store) -> int:
        """Drop what earlier lives of this mount have left; returns how many objects and uploads.

        A failure is logged, for a mount can work all the same.
        """
        try:
            return await self._clear(store)
        except KontenumError as error:
            log.warning("the staging area was not cleared: key=%r (%s)", self.mount, error)
            return 0

    async def _clear(self, store: Store) -> int:
        count = 0
        uploads = await store.list_uploads(self.mount)
        self._require_own([upload.key for upload in uploads])
        for upload in uploads:
            if not upload.key.startswith(self.run):
                await store.abort_multipart(upload.key, upload.upload_id)
                count += 1
        token: str | None = None
        left: list[str] = []
        while True:
            page = await store.list_page(self.mount, token=token)
            self._require_own([info.key for info in page.objects])
            left += [info.key for info in page.objects if not info.key.startswith(self.run)]
            token = page.next_token
            if token is None:
                break
        if left:
            await store.delete_many(dict.fromkeys(left, UNKNOWN))
        if count or left:
            log.warning("an earlier mount had left %d helper objects", count + len(left))
        return count + len(left)

    def _require_own(self, keys: Sequence[str]) -> None:
        """What is deleted because of a listing is ours; one foreign key spoils all of it.

        The client has looked already: this is the place where a mistake would cost a bucket.
        """
        if foreign := [key for key in keys if not key.startswith(self.mount)]:
            raise UnexpectedAnswer(
                f"names {foreign[0][:100]!r}, which is not the mount's to delete",
                operation="ListObjectsV2",
                resource=self.mount,
            )
