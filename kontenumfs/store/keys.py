# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Key pairs: where they come from, and which of two is in use."""

import logging
import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from kontenumfs.protocol.errors import ConfigurationError
from kontenumfs.protocol.signing import KeyPair

log = logging.getLogger(__name__)

CREDENTIALS_EXIT = 5
"""The exit code for keys that are missing or must not be used."""
_NAMED = re.compile(
    r"(?:aws_)?(?P<name>access|secret)(?:_access)?_key(?:_id)?\s*=\s*[\"']?(?P<value>[^\"']+)[\"']?",
    re.IGNORECASE,
)


class KeyRing:
    """One or two key pairs, of which one is in use.

    Kontenum allows two active pairs an account, so that one can be rotated while the other works.

    Args:
        source: where `reload` reads the pairs anew.
    """

    def __init__(
        self, pairs: Sequence[KeyPair], source: Callable[[], Sequence[KeyPair]] | None = None
    ) -> None:
        self._pairs = _one_or_two(pairs)
        self._source = source

    @property
    def current(self) -> KeyPair:
        """The pair in use."""
        return self._pairs[0]

    def other_than(self, refused: KeyPair) -> KeyPair | None:
        """The pair to try now that `refused` was; None when there is no other."""
        return next((pair for pair in self._pairs if pair != refused), None)

    def prefer(self, worked: KeyPair) -> None:
        """Use the pair that worked where the other was refused from now on."""
        if worked in self._pairs and worked != self.current:
            self._pairs.reverse()
            log.warning("the other access key was refused; going on with %s", worked.access_key)

    def reload(self) -> None:
        """Read the source again; raises ConfigurationError, and the old pairs stay then."""
        if self._source is not None:
            self._pairs = _one_or_two(self._source())


def load_keys(credentials_file: str | None, environment: Mapping[str, str]) -> KeyRing:
    """Find the key pairs: the file that was named, the environment, systemd's credentials.

    Raises ConfigurationError, which names what is missing and never a key.
    """
    find = partial(find_pairs, credentials_file, environment)
    return KeyRing(find(), find)


def find_pairs(credentials_file: str | None, environment: Mapping[str, str]) -> list[KeyPair]:
    """The pairs of the first source that has any; see `load_keys`."""
    if credentials_file is not None:
        return read_credentials(Path(credentials_file))
    for access, secret in (
        ("KONTENUM_ACCESS_KEY", "KONTENUM_SECRET_KEY"),
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ):
        if environment.get(access) or environment.get(secret):
            return _from_environment(environment, access, secret)
    if directory := environment.get("CREDENTIALS_DIRECTORY"):
        file = Path(directory) / "kontenum"
        if file.exists():
            return read_credentials(file, private=False)
        halves = [Path(directory) / name for name in ("access_key", "secret_key")]
        if all(half.exists() for half in halves):
            # systemd keeps the directory to the service's user, whatever the files' modes.
            access, secret = (_read(half, private=False).strip() for half in halves)
            return [KeyPair(access, secret)]
    raise ConfigurationError(
        "no key pair: put ACCESS:SECRET into a file (chmod 600) and name it with "
        "-o credentials_file=, or set KONTENUM_ACCESS_KEY and KONTENUM_SECRET_KEY",
        CREDENTIALS_EXIT,
    )


def _one_or_two(pairs: Sequence[KeyPair]) -> list[KeyPair]:
    if not 1 <= len(pairs) <= 2:
        raise ConfigurationError(
            f"{len(pairs)} key pairs were given; an account has one or two", CREDENTIALS_EXIT
        )
    return list(pairs)


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
    """Read key pairs: ``ACCESS:SECRET`` lines, or ``access_key=`` and ``secret_key=`` lines.

    Blank lines, lines from ``#`` on and section titles are passed over.

    Args:
        private: refuse a file that group or others can read.

    Raises ConfigurationError, which names the line and never shows it.
    """
    pairs: list[KeyPair] = []
    access = ""
    for number, line in enumerate(_read(file, private=private).splitlines(), 1):
        text = line.strip()
        if not text or text.startswith(("#", ";", "[")):
            continue
        where = f"{file}, line {number}"
        named = _NAMED.fullmatch(text)
        if named is None:
            pairs.append(_pair_of(text, where))
        elif named["name"].lower() == "access":
            if access:
                raise ConfigurationError(
                    f"{where}: secret_key= is missing before", CREDENTIALS_EXIT
                )
            access = named["value"]
        elif not access:
            raise ConfigurationError(f"{where}: access_key= must come before", CREDENTIALS_EXIT)
        else:
            pairs.append(KeyPair(access, named["value"]))
            access = ""
    if access:
        raise ConfigurationError(f"{file}: secret_key= is missing", CREDENTIALS_EXIT)
    if not pairs:
        raise ConfigurationError(f"{file}: has no ACCESS:SECRET line", CREDENTIALS_EXIT)
    return pairs


def _pair_of(text: str, where: str) -> KeyPair:
    access, colon, secret = text.partition(":")
    if not (access and colon and secret):
        raise ConfigurationError(f"{where}: must be ACCESS:SECRET", CREDENTIALS_EXIT)
    return KeyPair(access, secret)


def _read(file: Path, *, private: bool) -> str:
    try:
        with open(file, encoding="utf-8") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            if private and mode & 0o077:
                raise ConfigurationError(
                    f"{file}: others can read it (mode {mode:04o}): chmod 600 {file}",
                    CREDENTIALS_EXIT,
                )
            return opened.read()
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}", CREDENTIALS_EXIT) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file}: is not a text file", CREDENTIALS_EXIT) from None
