# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Key pairs: which of two is in use, and reading them anew."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kontenumfs.protocol.errors import ConfigurationError
from kontenumfs.protocol.exits import Exit
from kontenumfs.protocol.signing import KeyPair

log = logging.getLogger(__name__)


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


class KeyRing:
    """One or two key pairs, of which one is in use.

    Kontenum allows two active pairs an account, so that one can be rotated while the other works.

    Args:
        source: where `reload` reads the pairs anew.
        origin: where the pairs are from, for people.
        may_look: whether a file may be looked at: one in our own mount would never answer.
    """

    def __init__(
        self,
        pairs: Sequence[KeyPair],
        source: Callable[[], Found] | None = None,
        origin: str = "",
        may_look: Callable[[Path], bool] = lambda _: True,
    ) -> None:
        self._may_look = may_look
        self._pairs = _one_or_two(pairs, origin)
        self._as_read = list(self._pairs)
        self._source = source
        self.origin = origin
        """Where the pairs are from, for people."""
        self._files: tuple[Path, ...] = ()
        self._stamp: object = None

    @classmethod
    def of(
        cls, source: Callable[[], Found], *, may_look: Callable[[Path], bool] = lambda _: True
    ) -> "KeyRing":
        """A ring that `source` fills; raises ConfigurationError."""
        found = source()
        made = cls(found.pairs, source, found.origin, may_look)
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
        return tuple(_stamp(file) if self._may_look(file) else "" for file in self._files)


def _stamp(file: Path) -> object:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


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
