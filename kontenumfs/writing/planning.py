# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Plans for ropes of any length: those that take their time are made beside the event loop."""

from functools import partial

import trio

from kontenumfs.protocol.dialect import Limits
from kontenumfs.store.proof import Capabilities
from kontenumfs.writing.extents import RemoteObject, Rope
from kontenumfs.writing.plan import compile_rope
from kontenumfs.writing.steps import Plan

MANY_EXTENTS = 500
"""A longer rope is planned in a worker thread: twenty thousand scattered writes take seconds."""


async def planned(
    rope: Rope,
    target: RemoteObject,
    current: RemoteObject | None,
    capabilities: Capabilities,
    limits: Limits,
    *,
    appended: bool = False,
    exclusive: bool = False,
) -> Plan:
    """What compile_rope makes of a rope, which nobody changes meanwhile."""
    compiled = partial(
        compile_rope,
        rope.snapshot() if len(rope) > MANY_EXTENTS else rope,
        target,
        current,
        capabilities,
        limits,
        appended=appended,
        exclusive=exclusive,
    )
    if len(rope) <= MANY_EXTENTS:
        return compiled()
    return await trio.to_thread.run_sync(compiled)
