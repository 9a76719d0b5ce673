# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Key pairs: where they come from, and which of two is in use."""

import logging
import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kontenumfs.protocol.errors import ConfigurationError
from kontenumfs.protocol.exits import Exit
from kontenumfs.protocol.signing import KeyPair

log = logging.getLogger(__name__)

SYSTEMD = "systemd's credentials"
ABSENT = "#absent"
"""What our units have systemd put there where there is no file of keys (SetCredential=)."""
_NAMED = re.compile(
    r"(?:aws_)?(?P<name>access|secret)(?:_access)?_key(?:_id)?\s*=\s*[\"']?(?P<value>[^\"']+)[\"']?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Found:
    """Key pairs, and where they were.

    Args:
        pairs: one or two.
        origin: a file, an environment variable, or "systemd's credentials".
        files: what to watch: when one of them changes, the pairs may have.
    """

    pairs: Sequence[KeyPair]
    origin: str = ""
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Configured:
    """What a configuration file says of keys.

    Args:
        credentials_file: named there, or the file that belongs to it by its name.
        pairs: written there.
        origin: the configuration file.
    """

    credentials_file: Path | None = None
    pairs: Sequence[KeyPair] = ()
    origin: Path | None = None


class KeyRing:
    """One or two key pairs, of which one is in use.

    Kontenum allows two active pairs an account, so that one can be rotated while the other works.

    Args:
        source: where `reload` reads the pairs anew.
        origin: where the pairs are from, for people.
    """

    def __init__(
        self,
        pairs: Sequence[KeyPair],
        source: Callable[[], Found] | None = None,
        origin: str = "",
    ) -> None:
        self._pairs = _one_or_two(pairs, origin)
        self._as_read = list(self._pairs)
        self._source = source
        self.origin = origin
        """Where the pairs are from, for people."""
        self._files: tuple[Path, ...] = ()
        self._stamp: object = None

    @classmethod
    def of(cls, source: Callable[[], Found]) -> "KeyRing":
        """A ring that `source` fills; raises ConfigurationError."""
        found = source()
        made = cls(found.pairs, source, found.origin)
        made._remember(found)
        return made

    @property
    def current(self) -> KeyPair:
        """The pair in use."""
        return self._pairs[0]

    @property
    def pairs(self) -> tuple[KeyPair, ...]:
        """All pairs, the one in use first."""
        return tuple(self._pairs)

    def other_than(self, refused: KeyPair) -> KeyPair | None:
        """The pair to try now that `refused` was; None when there is no other.

        Looks whether the files have changed first: a pair may be retired in the same minute in
        which its successor was written.
        """
        self.reload_if_changed()
        return next((pair for pair in self._pairs if pair != refused), None)

    def prefer(self, worked: KeyPair) -> None:
        """Use the pair that worked where the other was refused from now on."""
        if worked in self._pairs and worked != self.current:
            self._pairs.reverse()
            log.warning("the other access key was refused; going on with %s", worked.access_key)

    def reload(self) -> None:
        """Read the source again; raises ConfigurationError, and the old pairs stay then."""
        if self._source is not None:
            # The stamp before the content: what is written in between is read next time.
            self._stamp = self._stamp_now()
            found = self._source()
            # Where nothing is new, the pair that works stays in front.
            if list(found.pairs) != self._as_read:
                self._pairs = _one_or_two(found.pairs, found.origin)
                self._as_read = list(self._pairs)
                names = ", ".join(pair.access_key for pair in self._pairs)
                log.info("key pairs read anew from %s: %s", found.origin, names)
            self._remember(found)

    def reload_if_changed(self) -> None:
        """Read the source again where its files have changed; a failure is only logged."""
        if self._source is None or self._stamp_now() == self._stamp:
            return
        try:
            self.reload()
        except ConfigurationError as error:
            log.warning("key pairs were not read anew, the old ones stay: %s", error)

    def _remember(self, found: Found) -> None:
        self.origin = found.origin
        if found.files != self._files:
            self._files = found.files
            self._stamp = self._stamp_now()

    def _stamp_now(self) -> object:
        return tuple(_stamp(file) for file in self._files)


def _stamp(file: Path) -> object:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def load_keys(credentials_file: str | None, environment: Mapping[str, str]) -> KeyRing:
    """Find the key pairs: the file that was named, the environment, systemd's credentials.

    Raises ConfigurationError, which names what is missing and never a key.
    """
    return KeyRing.of(partial(find_pairs, credentials_file, environment))


def find_pairs(
    credentials_file: str | None,
    environment: Mapping[str, str],
    configured: Configured = Configured(),
) -> Found:
    """The pairs of the first source that has any.

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
    """What LoadCredential= has put; systemd keeps it to the service's user, whatever the modes."""
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


def _one_or_two(pairs: Sequence[KeyPair], origin: str) -> list[KeyPair]:
    where = f"{origin}: " if origin else ""
    if not 1 <= len(pairs) <= 2:
        raise ConfigurationError(
            f"{where}{len(pairs)} key pairs were given; an account has one or two",
            Exit.CREDENTIALS,
        )
    for number, pair in enumerate(pairs, 1):
        for name, key in (("access", pair.access_key), ("secret", pair.secret_key)):
            # Such a key fits no header, and HTTP libraries quote what does not fit.
            if not (key.isascii() and key.isprintable()):
                raise ConfigurationError(
                    f"{where}the {name} key of pair {number} has a character that no key has "
                    "(not printable ASCII): copy it anew",
                    Exit.CREDENTIALS,
                )
    return list(pairs)


def _value(environment: Mapping[str, str], name: str) -> str:
    """A variable without the white space that copying and env files leave around it."""
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
