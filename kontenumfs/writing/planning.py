# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Plans for files: what the store must be able to do for them, and where they are made."""

import logging
from functools import partial

import trio

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import WriterConflict
from kontenumfs.store.proof import JOINING, UNPROVEN, Ask, Capabilities
from kontenumfs.writing.extents import Range, RemoteObject, Rope
from kontenumfs.writing.plan import compile_rope
from kontenumfs.writing.segments import head
from kontenumfs.writing.steps import Bytes, Plan

log = logging.getLogger(__name__)

MANY_EXTENTS = 500
"""A longer rope is planned in a worker thread: twenty thousand scattered writes take seconds."""

Versions = dict[RemoteObject, tuple[int, str]]
"""Size and ETag of objects."""


def versions_of(rope: Rope, key: str = "") -> Versions:
    """Return the objects that have bytes of a rope, as they are now.

    Raises WriterConflict where `key`, the file's, is given and one of them is lost.
    """
    if rope.literal == rope.size:
        return {}
    found = {extent.source for extent in rope if isinstance(extent, Range)}
    for source in found:
        if key and source.lost:
            raise WriterConflict(f"{key!r} has bytes of {source.key!r}, changed meanwhile")
    return {source: (source.size, source.etag) for source in found}


async def plan_publication(
    rope: Rope,
    target: RemoteObject,
    current: RemoteObject | None,
    ask: Ask,
    limits: Limits,
    *,
    appended: bool,
    exclusive: bool,
) -> Plan:
    """Return the plan that makes `target` of a file's rope; see compile_rope.

    Plans again where one of the rope's sources has grown here meanwhile.
    """
    if rope.literal == rope.size:  # nothing that the store has, and no hole
        return compile_rope(rope, target, current, UNPROVEN, limits, appended=appended)
    capabilities = await _needed(rope, current, ask, limits, exclusive=exclusive)
    while True:
        sources = versions_of(rope)
        plan = await planned(
            rope, target, current, capabilities, limits, appended=appended, exclusive=exclusive
        )
        if not sources or sources == versions_of(rope):
            log.debug("plan key=%r bytes=%d: %s", target.key, target.size, plan)
            return plan


async def _needed(
    rope: Rope, current: RemoteObject | None, ask: Ask, limits: Limits, *, exclusive: bool
) -> Capabilities:
    """Return what the store is proven to do; not asked where a plain put or copy is enough."""
    match head(rope):
        case [] | [Bytes()]:
            return UNPROVEN
        case [Range() as kept] if current is None and kept.whole and not exclusive:
            if kept.length <= limits.max_copy:
                return UNPROVEN
        case [Range() as kept, Bytes()] if kept.whole and kept.source is current:
            known = await ask("append")
            if known.append:
                return known
    return await ask("append", *JOINING)


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
    """Compile a rope, which nobody changes meanwhile; a long one beside the event loop."""
    is_long = len(rope) > MANY_EXTENTS
    compiled = partial(
        compile_rope,
        rope.snapshot() if is_long else rope,
        target,
        current,
        capabilities,
        limits,
        appended=appended,
        exclusive=exclusive,
    )
    return await trio.to_thread.run_sync(compiled) if is_long else compiled()
