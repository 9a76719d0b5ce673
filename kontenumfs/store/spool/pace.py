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


class Linger:
    """A wait for more of the same: until none has come for a moment, and no longer than that.

    Args:
        longest: seconds from the first on.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._since: float | None = None
        self._last = 0.0

    @property
    def is_on(self) -> bool:
        """Whether anything has come since it was over."""
        return self._since is not None

    def came(self, now: float) -> None:
        """Note one more."""
        self._last = now
        if self._since is None:
            self._since = now

    def over(self) -> None:
        """Begin anew with the next one."""
        self._since = None

    def is_quiet(self, now: float) -> bool:
        """Whether none has come for a moment."""
        return self._last + LINGER <= now

    def left(self, now: float) -> float:
        """Seconds that are left; 0 where nothing waits, or has waited long enough."""
        if self._since is None:
            return 0.0
        return max(0.0, min(self._last + LINGER, self._since + self._longest) - now)


class Pace:
    """Knows a burst when it comes in."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=BURST)
        self._burst = Linger(LONGEST_LINGER)

    def came(self, now: float, *, is_directory: bool = False) -> None:
        """Note that a request was queued; a new directory is taken for the herald of a burst."""
        self._times.append(now)
        is_burst = len(self._times) == BURST and now - self._times[0] <= BURST_SECONDS
        if is_burst or is_directory or self._burst.is_on:
            self._burst.came(now)

    def holds(self, now: float) -> float:
        """Seconds for which nothing more is sent; 0 where there is no burst, or it is old."""
        if self._burst.is_quiet(now):
            self._burst.over()
        return self._burst.left(now)
