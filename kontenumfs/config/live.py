# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The settings and the keys of a mount that runs, which can be read anew."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from kontenumfs.config.credentials import find_keys
from kontenumfs.config.options import OPTIONS
from kontenumfs.config.outside import Outside
from kontenumfs.config.rules import Rules
from kontenumfs.config.settings import Settings
from kontenumfs.protocol.errors import ConfigurationError
from kontenumfs.store.auth import Clock
from kontenumfs.store.keys import Found, KeyRing

log = logging.getLogger(__name__)

WRONG_CLOCK_SECONDS = 60.0


class LiveSettings:
    """Settings and keys, read when this is made and whenever `reload` is called.

    Args:
        read: reads options, environment and file; raises ConfigurationError.
        environment: where keys may be.
        outside: refuses paths that lead into the mount; None where nothing is mounted.

    Raises ConfigurationError.
    """

    def __init__(
        self,
        read: Callable[[], Settings],
        environment: Mapping[str, str],
        outside: Outside | None = None,
    ) -> None:
        self._read = read
        self._environment = environment
        self._outside = outside
        self.settings = read()
        self.keys = KeyRing.of(self._find_keys, may_look=self._is_outside)
        self.clock = Clock()
        """This machine's clock, as the store's answers show it."""

    @property
    def rules(self) -> Rules:
        """Return the rules by file name, as last read."""
        return self.settings.rules

    def _find_keys(self) -> Found:
        # Keys that stand in the file itself are as new as it is.
        inline = self.settings.values["secret_key"].value is not None
        settings = self._read_again() if inline else self.settings
        if self._outside is not None:
            self._outside.check(settings)  # links may have changed since it was read
        return find_keys(settings, self._environment)

    def _read_again(self) -> Settings:
        if self._outside is None:
            return self._read()
        # The daemon would wait for itself, were one of its files in its mount.
        self._outside.check_file(self.settings)
        settings = self._read()
        self._outside.check(settings)
        return settings

    def _is_outside(self, path: Path) -> bool:
        return self._outside is None or self._outside.has(path)

    def reload(self) -> str:
        """Read the configuration and the keys again; what cannot be used stays as it was.

        Returns one line for the log or systemd's status, which was logged already. Raises nothing.
        """
        before = self.settings
        try:
            self.settings = self._read_again()
            self.keys.reload()
        except ConfigurationError as error:
            self.settings = before
            log.error("not reloaded, the old settings stay: %s", error)
            return f"not reloaded: {error}"
        logging.getLogger().setLevel(self.settings.options.log_level.upper())
        late = sorted(
            name
            for name, setting in self.settings.values.items()
            if setting.value != before.values[name].value and not OPTIONS[name].reload
        )
        said = "settings and keys were read anew"
        if late:
            said += f"; these count from the next start on: {', '.join(late)}"
        log.info("%s", said)
        return said

    def report_clock(self) -> None:
        """Warn of a clock that is wrong, though the store may not refuse it yet."""
        skew = self.clock.measured
        if skew is not None and abs(skew.total_seconds()) > WRONG_CLOCK_SECONDS:
            log.warning("this machine's clock is wrong: the store's differs by %s", skew)
