# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Objects that other hosts append to as well."""

import trio
from cachetools import LRUCache

REMEMBERED = 1024
"""Objects of which that is remembered."""
BELIEVED_SECONDS = 60.0
"""How long it is believed after a race was lost."""


class Contention:
    """Remembers where other hosts were seen appending lately."""

    def __init__(self) -> None:
        self._seen: LRUCache[str, float] = LRUCache(REMEMBERED)

    def is_known(self, key: str) -> bool:
        """Tell whether another host was seen appending to `key` lately."""
        seen = self._seen.get(key)
        return seen is not None and trio.current_time() - seen < BELIEVED_SECONDS

    def note(self, key: str) -> None:
        """Remember that another host appends to `key` too."""
        self._seen[key] = trio.current_time()
