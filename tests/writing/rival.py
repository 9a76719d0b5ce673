# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Another client of the bucket, that acts right before a request of ours takes effect."""

from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase

from kontenumfs.store.api import Attributes
from tests.doubles.fake import FakeStore

Act = Callable[[], Awaitable[object]]


class Rival(FakeStore):
    """A store in memory with somebody else in it."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._acts: list[tuple[str, str, Act]] = []

    def before(self, operation: str, key: str, act: Act) -> None:
        """Have `act` take place once, right before `operation` of a key like `key`."""
        self._acts.append((operation, key, act))

    @property
    def has_acted(self) -> bool:
        """Whether all of it took place."""
        return not self._acts

    def appends(self, key: str, line: bytes) -> Act:
        """Add a line to an object."""
        return lambda: FakeStore.append(self, key, [line])

    def puts(self, key: str, data: bytes, **metadata: str) -> Act:
        """Create or replace an object."""
        return lambda: FakeStore.put(self, key, [data], Attributes(metadata=metadata))

    async def _enter(self, operation: str, key: str, sent: int = 0) -> None:
        await super()._enter(operation, key, sent)
        for entry in self._acts:
            if entry[0] == operation and fnmatchcase(key, entry[1]):
                self._acts.remove(entry)
                await entry[2]()
                return
