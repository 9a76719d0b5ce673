# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Key pairs: where they come from, and which of two is in use."""

import logging
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from kontenumfs.protocol.errors import ConfigurationError
from kontenumfs.protocol.signing import KeyPair

log = logging.getLogger(__name__)

CREDENTIALS_EXIT = 5
"""The exit code for keys that are missing or must not be used."""


class KeyRing:
    """One or two key pairs, of which one is in use.

    Kontenum allows two active pairs an account, so that one can be rotated while the other works.
    """

    def __init__(self, pairs: Sequence[KeyPair]) -> None:
        if not 1 <= len(pairs) <= 2:
            raise ConfigurationError(
                f"{len(pairs)} key pairs were given; an account has one or two", CREDENTIALS_EXIT
            )
        self._pairs = list(pairs)

    @property
    def current(self) -> KeyPair:
        """The pair in use."""
        return self._pairs[0]

    def fall_over(self, refused: KeyPair) -> KeyPair | None:
        """The pair to try now that `refused` was; None when there is no other."""
        if self.current is not refused:
            return self.current
        if len(self._pairs) == 1:
            return None
        self._pairs.reverse()
        log.warning(
            "access key %s was refused; going on with %s",
            refused.access_key,
            self.current.access_key,
        )
        return self.current


def load_keys(credentials_file: str | None, environment: Mapping[str, str]) -> KeyRing:
    """Find the key pairs: the file that was named, the environment, systemd's credentials.

    Raises ConfigurationError, which names what is missing and never a key.
    """
    if credentials_file is not None:
        return KeyRing(read_credentials(Path(credentials_file)))
    for access, secret in (
        ("KONTENUM_ACCESS_KEY", "KONTENUM_SECRET_KEY"),
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ):
        if environment.get(access) or environment.get(secret):
            return KeyRing(_from_environment(environment, access, secret))
    directory = environment.get("CREDENTIALS_DIRECTORY")
    if directory and (file := Path(directory) / "kontenum").exists():
        return KeyRing(read_credentials(file, private=False))
    raise ConfigurationError(
        "no key pair: put ACCESS:SECRET into a file (chmod 600) and name it with "
        "-o credentials_file=, or set KONTENUM_ACCESS_KEY and KONTENUM_SECRET_KEY",
        CREDENTIALS_EXIT,
    )


def _from_environment(environment: Mapping[str, str], access: str, secret: str) -> list[KeyPair]:
    pairs = []
    for suffix in ("", "_2"):
        key, value = environment.get(access + suffix), environment.get(secret + suffix)
        if key and value:
            pairs.append(KeyPair(key, value))
        elif key or value:
            missing = secret if key else access
            raise ConfigurationError(f"{missing}{suffix} is not set", CREDENTIALS_EXIT)
    return pairs


def read_credentials(file: Path, *, private: bool = True) -> list[KeyPair]:
    """Read ``ACCESS:SECRET`` lines; blank lines and lines from ``#`` on are passed over.

    Args:
        private: refuse a file that group or others can read.

    Raises ConfigurationError.
    """
    try:
        with open(file, encoding="utf-8") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            if private and mode & 0o077:
                raise ConfigurationError(
                    f"{file}: others can read it (mode {mode:04o}): chmod 600 {file}",
                    CREDENTIALS_EXIT,
                )
            lines = opened.read().splitlines()
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}", CREDENTIALS_EXIT) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file}: is not a text file", CREDENTIALS_EXIT) from None
    pairs = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            access, colon, secret = text.partition(":")
            if not (access and colon and secret):
                raise ConfigurationError(
                    f"{file}, line {number}: must be ACCESS:SECRET", CREDENTIALS_EXIT
                )
            pairs.append(KeyPair(access, secret))
    if not pairs:
        raise ConfigurationError(f"{file}: has no ACCESS:SECRET line", CREDENTIALS_EXIT)
    return pairs
