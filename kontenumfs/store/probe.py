# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What a store can do beyond S3, shown on a scratch key instead of believed.

A server that does not know a subresource takes the request for a plain PutObject: an append
would replace the object by its tail, and answer 200 (measured on four of five servers).
"""

import logging
import secrets
from dataclasses import dataclass
from enum import Enum

import trio

from kontenumfs.protocol.errors import (
    Conflict,
    InvalidRequest,
    KontenumError,
    NotImplementedByStore,
    PreconditionFailed,
    SignatureDoesNotMatch,
)
from kontenumfs.protocol.names import RESERVED
from kontenumfs.store.api import Attributes, Store
from kontenumfs.store.beliefs import believed

log = logging.getLogger(__name__)

STAGING_PREFIX = f"{RESERVED}/"
"""Below the mount's prefix: scratch objects of our own."""
CLEAN_UP_SECONDS = 5.0
"""A mount that is told to stop still deletes its scratch key, if that is quick."""
UNABLE = (InvalidRequest, NotImplementedByStore, Conflict, SignatureDoesNotMatch)
"""How servers say that they lack it; radosgw leaves ``append`` out of SigV2's signature."""


class Proof(Enum):
    """What is known of a capability."""

    PROVEN = "proven"
    DISPROVEN = "disproven"
    OPEN = "open"

    def __bool__(self) -> bool:
        return self is Proof.PROVEN


def _proof(shown: bool) -> Proof:
    return Proof.PROVEN if shown else Proof.DISPROVEN


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What was shown.

    Args:
        append: ``PUT ?append`` adds to an object.
        compose: ``PUT ?compose`` joins objects.
        conditional_append: an append with a false If-Match is refused.
    """

    append: Proof = Proof.OPEN
    compose: Proof = Proof.OPEN
    append_match: Proof = Proof.OPEN
    put_absent: Proof = Proof.OPEN
    digest: Proof = Proof.OPEN


UNPROVEN = Capabilities()


async def probe(store: Store, prefix: str) -> Capabilities:
    """Try append and compose on a scratch key below `prefix`, and delete it again.

    Raises what the store fails with where that says nothing about the capability.
    """
    key = f"{prefix}{STAGING_PREFIX}probe-{secrets.token_hex(8)}"
    first = await store.put(key, [b"12"], Attributes())
    try:
        append = await _appends(store, key)
        compose = await _composes(store, key)
        conditional = append and await _honours_if_match(store, key, first.etag)
    finally:
        await _clean_up(store, key)
    c = _proof(conditional)
    return Capabilities(_proof(append), _proof(compose), c, c, c)


async def _clean_up(store: Store, key: str) -> None:
    """Keys that may write and not delete are of use; only the scratch key stays then."""
    with trio.move_on_after(CLEAN_UP_SECONDS, shield=True) as scope:
        try:
            await store.delete(key)
        except KontenumError as error:
            log.warning("scratch object left behind: key=%r (%s)", key, error)
    if scope.cancelled_caught:
        log.warning("scratch object left behind: key=%r (no answer in time)", key)


async def _appends(store: Store, key: str) -> bool:
    try:
        await store.append(key, [b"345"])
    except UNABLE:
        return False
    return (await store.head(key)).size == 5


async def _composes(store: Store, key: str) -> bool:
    before = (await store.head(key)).size
    try:
        await store.compose(key, [key, key], Attributes())
    except UNABLE:
        return False
    return (await store.head(key)).size == 2 * before


async def _honours_if_match(store: Store, key: str, stale: str) -> bool:
    try:
        await store.append(key, [b"6"], expected=believed(stale, 2))
    except PreconditionFailed:
        # A server that refuses every If-Match is of no use either.
        true = (await store.head(key)).etag
        try:
            await store.append(key, [b"7"], expected=believed(true, 0))
        except (PreconditionFailed, *UNABLE):
            return False
        return True
    except UNABLE:
        return False
    return False
