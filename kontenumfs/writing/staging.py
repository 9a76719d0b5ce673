# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Where helper objects are, and what is left of them when a daemon was killed."""

import fcntl
import hashlib
import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from kontenumfs.protocol.errors import KontenumError, UnexpectedAnswer
from kontenumfs.protocol.names import STAGING_PREFIX
from kontenumfs.store.api import ObjectInfo, Store
from kontenumfs.store.beliefs import believed
from kontenumfs.writing.journal import Opener

log = logging.getLogger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
ABANDONED_SECONDS = 24 * 3600.0
"""What nobody owns up to is left alone for so long: it may be a mount's that we know nothing of."""


class Staging:
    """The keys of one run of a mount, and those that its dead predecessors have left.

    Host names and mountpoints say little: clones and containers share them. So a mount has a
    random identity. It is kept in a file, and who finds it there is heir to what the last daemon
    has left, if that has surely ended: the file is locked as long as a daemon lives, and tells the
    boot of the kernel and its own inode, which no copy of it shares.

    Args:
        prefix: of the mount's keys.
        name: tells the mount from others of this host.
    """

    def __init__(self, prefix: str, name: str, *, wall: Callable[[], float] = time.time) -> None:
        self.area = f"{prefix}{STAGING_PREFIX}"
        self.name = name
        self.is_heir = False
        """Whether what has our identity was left by a daemon that has ended."""
        self._wall = wall
        self._identity = secrets.token_hex(8)
        self._run = secrets.token_hex(4)
        self._descriptor = -1

    @classmethod
    def of(cls, prefix: str, host: str, mountpoint: str) -> "Staging":
        """Return the staging area below the mount's `prefix`."""
        place = f"{host}\0{mountpoint}".encode(errors="surrogateescape")
        return cls(prefix, hashlib.sha256(place).hexdigest()[:12])

    @property
    def mount(self) -> str:
        """The prefix of all lives of this mount."""
        return f"{self.area}{self._identity}/"

    @property
    def run(self) -> str:
        """The prefix of this one."""
        return f"{self.mount}{self._run}/"

    def claim(self, file: Path | None, opener: Opener) -> bool:
        """Take over the identity that `file` keeps, or have it keep ours.

        Args:
            opener: opens it, where no other user can lead us astray.

        Returns whether what is beside it is ours too: not, while another daemon has it.
        """
        if file is None:
            return True
        try:
            self._descriptor = opener(file, os.O_RDWR | os.O_CREAT)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._take_over()
        except BlockingIOError:
            log.warning("another mount uses %s: what it leaves is not cleared here", file)
            self.close()
            return False
        except OSError as error:
            log.warning("no identity is kept: %s: %s", file, error.strerror)
        return True

    def _take_over(self) -> None:
        here = {
            "boot": BOOT_ID.read_text().strip(),
            "inode": os.fstat(self._descriptor).st_ino,
        }
        kept: dict[str, object] = {}
        with suppress(ValueError, RecursionError):
            found = json.loads(os.pread(self._descriptor, 4096, 0))
            kept = found if isinstance(found, dict) else {}
        identity = kept.pop("identity", None)
        if kept == here and isinstance(identity, str) and identity.isalnum():
            self._identity, self.is_heir = identity, True
        identity_now = json.dumps({"identity": self._identity, **here}).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, identity_now, 0)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    async def clear(self, store: Store) -> int:
        """Drop what earlier lives of this mount have left; returns how many objects and uploads.

        What others have left goes when it is a day old. A failure is logged, for a mount can work
        all the same.
        """
        try:
            return await self._clear(store)
        except KontenumError as error:
            log.warning("the staging area was not cleared: key=%r (%s)", self.area, error)
            return 0

    async def _clear(self, store: Store) -> int:
        uploads = await store.list_uploads(self.area)
        self._require_ours("ListMultipartUploads", (upload.key for upload in uploads))
        objects = await self._objects(store)
        left = [up for up in uploads if self._is_left(up.key, up.initiated)]
        for upload in left:
            await store.abort_multipart(upload.key, upload.upload_id)
        dead = [info for info in objects if self._is_left(info.key, info.last_modified)]
        if dead:
            await store.delete_many({info.key: believed(info.etag, info.size) for info in dead})
        count = len(left) + len(dead)
        if count:
            log.warning("an earlier mount had left %d helper objects", count)
        return count

    async def _objects(self, store: Store) -> list[ObjectInfo]:
        """Return all that is below the staging prefix."""
        found: list[ObjectInfo] = []
        token: str | None = None
        while True:
            page = await store.list_page(self.area, token=token)
            self._require_ours("ListObjectsV2", (info.key for info in page.objects))
            found += page.objects
            token = page.next_token
            if token is None:
                return found

    def _require_ours(self, operation: str, keys: Iterable[str]) -> None:
        """Refuse a listing that ignores its prefix: else the whole bucket would be deleted.

        Raises UnexpectedAnswer.
        """
        for key in keys:
            if not key.startswith(self.area):
                message = f"it has {key!r}, which is not below {self.area!r}"
                raise UnexpectedAnswer(message, operation=operation, resource=self.area)

    def _is_left(self, key: str, since: float | None) -> bool:
        """Tell whether nobody can need `key` any more, which is there since then."""
        if key.startswith(self.run):
            return False
        if self.is_heir and key.startswith(self.mount):
            return True
        return bool(since) and self._wall() - (since or 0.0) > ABANDONED_SECONDS
