# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""How long one operation is tried, and how long between two attempts."""

import random
from collections.abc import Callable

import trio

from kontenumfs.protocol.errors import KontenumError

PATIENCE = 60.0
"""Seconds for which an operation is tried, unless the mount's deadline says otherwise."""
LONGEST_WAIT = 10.0
"""Seconds between two attempts at most."""
FIRST_WAIT = 0.05

Uniform = Callable[[float, float], float]
"""A random number between two others; injected by tests."""


async def wait_before(
    number: int,
    error: KontenumError,
    until: float,
    *,
    longest: float = LONGEST_WAIT,
    uniform: Uniform = random.uniform,
) -> None:
    """Let a server in trouble recover, or a rival be done, before attempt `number` + 1.

    Raises `error` when the wait would pass `until`, on trio's clock.
    """
    wait = uniform(0, min(longest, FIRST_WAIT * 2 ** min(number, 20)))
    if trio.current_time() + wait >= until:
        raise error
    await trio.sleep(wait)
