# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The sources of key pairs: files, the environment, systemd's credentials."""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kontenumfs.protocol.errors import ConfigurationError
from kontenumfs.protocol.exits import Exit
from kontenumfs.protocol.signing import KeyPair
from kontenumfs.store.keys import Found

SYSTEMD = "systemd's credentials"
ABSENT = "#absent"
"""Our units have systemd put it there where there is no file of keys (SetCredential=)."""
_NAMED = re.compile(
    r"(?:aws_)?(?P<name>access|secret)(?:_access)?_key(?:_id)?\s*=\s*[\"']?(?P<value>[^\"']+)[\"']?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Configured:
    """The keys of a configuration file.

    Args:
        credentials_file: named there, or the file that belongs to it by its name.
        pairs: written there.
        origin: the configuration file.
    """

    credentials_file: Path | None = None
    pairs: Sequence[KeyPair] = ()
    origin: Path | None = None


def find_pairs(
    credentials_file: str | None,
    environment: Mapping[str, str],
    configured: Configured = Configured(),
) -> Found:
    """Find the pairs of the first source that has any.

    That is the file that was named (by an option or by the environment), KONTENUM_*, what the
    configuration file says, AWS_*, and last systemd's credentials, which are a copy of the time
    when the service was started.

    Raises ConfigurationError, which names what is missing and never a key.
    """
    if credentials_file is not None:
        return _in_file(Path(credentials_file))
    if found := _in_environment(environment, "KONTENUM_ACCESS_KEY", "KONTENUM_SECRET_KEY"):
        return found
    systemd = _in_systemd(environment)
    if configured.pairs:
        assert configured.origin is not None
        return Found(configured.pairs, str(configured.origin), (configured.origin,))
    if configured.credentials_file is not None:
        # A sandboxed service cannot read what root has; systemd has read it for it.
        if systemd is None or os.access(configured.credentials_file, os.R_OK):
            return _in_file(configured.credentials_file)
        return systemd
    found = _in_environment(environment, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") or systemd
    if found is None:
        raise ConfigurationError(
            "no key pair: put ACCESS:SECRET into a file (chmod 600) and name it with "
            "-o credentials_file=, or set KONTENUM_ACCESS_KEY and KONTENUM_SECRET_KEY",
            Exit.CREDENTIALS,
        )
    return found


def _in_file(file: Path) -> Found:
    return Found(read_credentials(file), str(file), (file,))


def _in_environment(environment: Mapping[str, str], access: str, secret: str) -> Found | None:
    if not (_value(environment, access) or _value(environment, secret)):
        return None
    return Found(_from_environment(environment, access, secret), access)


def _in_systemd(environment: Mapping[str, str]) -> Found | None:
    """Read what LoadCredential= has put; systemd keeps it to the service's user."""
    if not (directory := environment.get("CREDENTIALS_DIRECTORY")):
        return None
    file = Path(directory) / "kontenum"
    if file.exists() and _read(file, private=False).strip() != ABSENT:
        return Found(read_credentials(file, private=False), SYSTEMD, (file,))
    halves = tuple(Path(directory) / name for name in ("access_key", "secret_key"))
    if not all(half.exists() for half in halves):
        return None
    access, secret = (_read(half, private=False).strip() for half in halves)
    return Found([KeyPair(access, secret)], SYSTEMD, halves)


def _value(environment: Mapping[str, str], name: str) -> str:
    """Return a variable without the white space that copying and env files leave around it."""
    return environment.get(name, "").strip()


def _from_environment(environment: Mapping[str, str], access: str, secret: str) -> list[KeyPair]:
    pairs = []
    for suffix in ("", "_2"):
        key, value = _value(environment, access + suffix), _value(environment, secret + suffix)
        if key and value:
            pairs.append(KeyPair(key, value))
        elif key or value:
            missing = secret if key else access
            raise ConfigurationError(f"{missing}{suffix} is not set", Exit.CREDENTIALS)
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
                    f"{where}: secret_key= is missing before", Exit.CREDENTIALS
                )
            access = named["value"]
        elif not access:
            raise ConfigurationError(f"{where}: access_key= must come before", Exit.CREDENTIALS)
        else:
            pairs.append(KeyPair(access, named["value"]))
            access = ""
    if access:
        raise ConfigurationError(f"{file}: secret_key= is missing", Exit.CREDENTIALS)
    if not pairs:
        raise ConfigurationError(f"{file}: has no ACCESS:SECRET line", Exit.CREDENTIALS)
    return pairs


def _pair_of(text: str, where: str) -> KeyPair:
    access, colon, secret = text.partition(":")
    if not (access and colon and secret):
        raise ConfigurationError(f"{where}: must be ACCESS:SECRET", Exit.CREDENTIALS)
    return KeyPair(access, secret)


def _read(file: Path, *, private: bool) -> str:
    try:
        with open(file, encoding="utf-8") as opened:
            status = os.fstat(opened.fileno())
            mode = stat.S_IMODE(status.st_mode)
            if private and status.st_uid not in (0, os.geteuid()):
                raise ConfigurationError(
                    f"{file}: belongs to user {status.st_uid}, who may change it: chown it",
                    Exit.CREDENTIALS,
                )
            if private and mode & 0o077:
                raise ConfigurationError(
                    f"{file}: others can read it (mode {mode:04o}): chmod 600 {file}",
                    Exit.CREDENTIALS,
                )
            return opened.read()
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}", Exit.CREDENTIALS) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file}: is not a text file", Exit.CREDENTIALS) from None
