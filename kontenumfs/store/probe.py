# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What a store can do beyond S3, shown on scratch keys instead of believed.

A server that does not know a subresource takes the request for a plain PutObject: an append
would replace the object by its tail, and answer 200 (measured on four of five servers). A
condition that a server passes over replaces what it should have protected.

An item is PROVEN by what was seen once, and DISPROVEN by what was seen twice, for any single
answer may be a gateway's. What was not decided within the time is OPEN.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable, Collection

import trio

from kontenumfs.protocol.errors import KontenumError
from kontenumfs.store.api import Store
from kontenumfs.store.operation import cleaning_up
from kontenumfs.store.proof import ITEMS, UNPROVEN, Capabilities, Item, Proof, Verb
from kontenumfs.store.scratch import Findings, Scratch
from kontenumfs.store.trials import TRIALS

log = logging.getLogger(__name__)

CLEAN_UP_SECONDS = 6.0
"""A mount that is told to stop still deletes its scratch keys, if that is quick."""
PROBE_SECONDS = 15.0
TRIES = 4
"""How often a question is put while its answers decide nothing."""
PAUSE = 0.1
"""Seconds between two tries; it doubles."""
CLEAN_UP_SHARE = 0.4
REQUEST_SHARE = 0.25
"""Of the probe's time, for one request: one that hangs is given up, and put again."""


async def probe(
    store: Store,
    area: str,
    *,
    known: Capabilities = UNPROVEN,
    wanted: Collection[Item] = ITEMS,
    seconds: float = PROBE_SECONDS,
    heard: Callable[[], None] = lambda: None,
) -> Capabilities:
    """Ask for what of `wanted` is open on scratch keys that begin with `area`, and delete them.

    Whatever else shows on the way is believed, too.

    Never raises because of the store, and ends within `seconds`. Calls `heard` where the store
    has answered anything at all.
    """
    cleaning = min(CLEAN_UP_SECONDS, seconds * CLEAN_UP_SHARE)
    base = f"{area}probe-{secrets.token_hex(8)}-"
    findings = _Findings(known)
    scratches: list[Scratch] = []

    async def decide(trial: Callable[[Scratch], Awaitable[Findings]], *items: Item) -> None:
        pause = PAUSE
        for number in range(TRIES):
            letter = f"{base}{trial.__name__}-{number}-"
            scratches.append(Scratch(store, letter, seconds * REQUEST_SHARE))
            findings.add(await trial(scratches[-1]))
            if not any(findings.proof(item) is Proof.OPEN for item in items):
                return
            await trio.sleep(pause)
            pause *= 2

    try:
        with trio.move_on_after(max(0.0, seconds - cleaning)):
            async with trio.open_nursery() as nursery:
                for items, trial in TRIALS:
                    if asked := known.open([item for item in items if item in wanted]):
                        nursery.start_soon(decide, trial, *asked)
    finally:
        if any(scratch.was_heard for scratch in scratches):
            heard()
        await _clean_up(store, base, scratches, cleaning)
    return findings.capabilities()


class _Findings:
    """What was decided, and what was seen once against an item."""

    def __init__(self, known: Capabilities) -> None:
        self._doubted: set[Item] = set()
        self._decided: dict[Item, Proof] = {item: known.proof(item) for item in ITEMS}

    def proof(self, item: Item) -> Proof:
        """What is known of an item."""
        return self._decided.get(item, Proof.OPEN)

    def add(self, found: Findings) -> None:
        """Believe a proof at once, and its contrary when it comes again."""
        for item, proof in found.items():
            if self.proof(item) is not Proof.OPEN:
                continue
            if proof is Proof.PROVEN or (proof is Proof.DISPROVEN and item in self._doubted):
                self._decided[item] = proof
            elif proof is Proof.DISPROVEN:
                self._doubted.add(item)

    def capabilities(self) -> Capabilities:
        """All of it."""
        return Capabilities(
            self.proof("append"),
            self.proof("compose"),
            self.proof("part_copy"),
            self.proof("digest"),
            {verb: self.proof(verb) for verb in Verb},
        )


async def _clean_up(store: Store, base: str, scratches: list[Scratch], seconds: float) -> None:
    """Keys that may write and not delete are of use; only the scratch keys stay then."""
    uploads = {upload for scratch in scratches for upload in scratch.uploads}
    keys = {key for scratch in scratches for key in scratch.keys}

    async def abort(key: str, upload: str) -> None:
        try:
            await store.abort_multipart(key, upload)
        except KontenumError as error:
            log.warning("scratch upload left behind: key=%r (%s)", key, error)

    async def delete(key: str) -> None:
        try:
            await store.delete(key)
        except KontenumError as error:
            log.warning("scratch object left behind: key=%r (%s)", key, error)

    with cleaning_up(seconds) as scope:
        try:
            if any(scratch.has_lost_uploads for scratch in scratches):
                left = await store.list_uploads(base)
                uploads |= {(up.key, up.upload_id) for up in left if up.key.startswith(base)}
            async with trio.open_nursery() as nursery:
                for key, upload in uploads:
                    nursery.start_soon(abort, key, upload)
                for key in keys:
                    nursery.start_soon(delete, key)
        except KontenumError as error:
            log.warning("scratch objects left behind: prefix=%r (%s)", base, error)
    if scope.cancelled_caught:
        log.warning("scratch objects left behind: prefix=%r (no answer in time)", base)
