# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Following the files of keys while the mount runs."""

import trio

from kontenumfs.store.keys import KeyRing

WATCH_SECONDS = 2.0
"""Between two looks at the files of keys: one stat(2) each. A refused key looks at once."""


async def watch_keys(keys: KeyRing) -> None:
    """Read the keys anew whenever their file changes, until cancelled."""
    while True:
        await trio.sleep(WATCH_SECONDS)
        keys.reload_if_changed()
