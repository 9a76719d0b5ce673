# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The files that outlive a mount: remembered attributes, the journal, and its identity."""

import hashlib
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from kontenumfs.admin.safe_files import SafeDirectory

log = logging.getLogger(__name__)


def cache_file(
    option: str | None, endpoint: str, bucket: str, environment: Mapping[str, str]
) -> Path | None:
    """Return the path for one bucket, or None where nothing is to be kept.

    Args:
        option: cache_dir as given: a directory, ``none``, or None for the usual place: what
            systemd's CacheDirectory= says, /var/cache for root, else XDG's cache directory.
    """
    directory = _usual_directory(environment) if option is None else Path(option)
    if option == "none" or directory is None:
        return None
    digest = hashlib.sha256(f"{endpoint}/{bucket}".encode()).hexdigest()[:12]
    return directory / f"{bucket}-{digest}.sqlite"


def safe(cache: Path | None) -> Path | None:
    """Return `cache` where no other user decides what is there; else None, and log why."""
    if cache is None:
        return None
    try:
        with SafeDirectory(cache.parent, create=True) as directory:
            for name in (cache.name, f"{cache.name}-wal", f"{cache.name}-shm"):
                with suppress(FileNotFoundError):
                    os.close(directory.open_file(name, os.O_RDONLY))
    except OSError as error:
        where = error.filename or cache
        log.warning("nothing is remembered over mounts: %s: %s", where, error.strerror)
        return None
    return cache


def journal_file(cache: Path | None, mount: str) -> Path | None:
    """Return the path of one mount's journal, beside its bucket's file, or None.

    Args:
        mount: its name among those of the bucket, on this host.
    """
    return None if cache is None else cache.with_suffix(f".{mount}.journal")


def identity_file(cache: Path | None, mount: str) -> Path | None:
    """Return the path of the file that tells one mount's daemons from everybody else's."""
    return None if cache is None else cache.with_suffix(f".{mount}.identity")


def _usual_directory(environment: Mapping[str, str]) -> Path | None:
    if given := environment.get("CACHE_DIRECTORY"):
        return Path(given.split(":")[0])
    if os.geteuid() == 0:
        return Path("/var/cache/kontenumfs")
    if given := environment.get("XDG_CACHE_HOME"):
        return Path(given) / "kontenumfs"
    home = environment.get("HOME")
    return Path(home) / ".cache" / "kontenumfs" if home else None
