# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""When to begin to send: while requests pour in, they are acknowledged first.

Sending takes the time of those who wait, and what waits for a moment is often not sent at all, for
something newer replaces it.
"""

from collections import deque

BURST = 8
BURST_SECONDS = 0.5
"""So many requests within so short a time are a burst: `rsync` or `cp -r`, but no live segment."""
LINGER = 0.2
"""Seconds after the last request of a burst, or the last deletion, in which one may join it."""
LONGEST_LINGER = 1.0
"""Seconds after which it is sent though it goes on."""


class Pace:
    """Knows a burst when it comes in."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=BURST)
        self._since: float | None = None
        """When the burst was known for one."""

    def came(self, now: float, *, is_directory: bool = False) -> None:
        """Note that a request was queued; a new directory is taken for the herald of a burst."""
        self._times.append(now)
        is_burst = len(self._times) == BURST and now - self._times[0] <= BURST_SECONDS
        if (is_burst or is_directory) and self._since is None:
            self._since = now

    def holds(self, now: float) -> float:
        """Seconds for which nothing more is sent; 0 where there is no burst, or it is old."""
        if self._since is None:
            return 0.0
        quiet = self._times[-1] + LINGER
        if quiet <= now:
            self._since = None
            return 0.0
        return max(0.0, min(quiet, self._since + LONGEST_LINGER) - now)
