# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The key pairs that settings lead to."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from kontenumfs.config.key_files import Configured, find_pairs
from kontenumfs.config.settings import Settings
from kontenumfs.protocol.errors import ConfigurationError
from kontenumfs.protocol.exits import Exit
from kontenumfs.protocol.signing import KeyPair
from kontenumfs.store.keys import Found


def find_keys(settings: Settings, environment: Mapping[str, str]) -> Found:
    """Find one or two key pairs; raises ConfigurationError, which never shows a secret."""
    named = settings.values["credentials_file"]
    explicit = named.value if named.layer in ("option", "environment") else None
    return find_pairs(explicit, environment, _configured(settings, explicit is not None))


def _configured(settings: Settings, overruled: bool) -> Configured:
    if settings.file is None or overruled:
        return Configured()
    pairs = [
        pair
        for suffix in ("", "_2")
        if (pair := _pair(settings, f"access_key{suffix}", f"secret_key{suffix}"))
    ]
    named = settings.values["credentials_file"].value
    path = settings.file.path
    if pairs:
        if named is not None:
            raise ConfigurationError(
                f"{settings.values['credentials_file'].origin}: there are keys in this file too: "
                "leave one of them out",
                Exit.CREDENTIALS,
            )
        _require_private(path)
        return Configured(pairs=pairs, origin=path)
    if named is not None:
        return Configured(Path(named), origin=path)
    beside = path.with_suffix(".keys")
    return Configured(beside if beside.exists() else None, origin=path)


def _pair(settings: Settings, access: str, secret: str) -> KeyPair | None:
    given = settings.values[access], settings.values[secret]
    if all(half.value is None for half in given):
        return None
    if any(half.value is None for half in given):
        there, missing = (access, secret) if given[0].value is not None else (secret, access)
        raise ConfigurationError(
            f"{settings.values[there].origin}: {there} is given and {missing} is missing",
            Exit.CREDENTIALS,
        )
    return KeyPair(given[0].value, given[1].value)


def _require_private(path: Path) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}", Exit.CREDENTIALS) from None
    if status.st_uid not in (0, os.geteuid()):
        raise ConfigurationError(
            f"{path}: has a secret key, and belongs to user {status.st_uid}: chown it",
            Exit.CREDENTIALS,
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise ConfigurationError(
            f"{path}: has a secret key, and others can read it (mode {mode:04o}): chmod 600 {path}",
            Exit.CREDENTIALS,
        )
