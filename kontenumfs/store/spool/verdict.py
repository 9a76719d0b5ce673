# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What an error of the store means for what was acknowledged: wait, or have a person decide."""

from enum import Enum

from kontenumfs.protocol.errors import (
    AccessDenied,
    Conflict,
    InvalidAccessKeyId,
    KontenumError,
    NotImplementedByStore,
    PreconditionFailed,
    RequestTimeTooSkewed,
    ServerError,
    SignatureDoesNotMatch,
    StoreError,
    Throttled,
    TransportError,
    UnexpectedAnswer,
)

PASSING = (TransportError, ServerError, Throttled, UnexpectedAnswer, Conflict)
"""What is over some time: an outage, a gateway's page, a key that is busy."""
KEYS = (InvalidAccessKeyId, SignatureDoesNotMatch, RequestTimeTooSkewed)
"""Everything would be refused so: keys that are being changed, a clock that is wrong."""


class Verdict(Enum):
    """What is to be done with a request."""

    AGAIN = "again"
    """It may have reached the store, or will later: look, and send it again."""
    PARK = "park"
    """The store will not take it: nobody but a person can help."""


UNSHOWN_TIMES = 12
"""How often a request is sent that the store is said not to know: it may not have been shown yet,
for it was away when it was asked."""


def judge(error: KontenumError, attempt: int) -> Verdict:
    """What is to be done after an error, when a request was sent so often before."""
    if isinstance(error, NotImplementedByStore) and attempt < UNSHOWN_TIMES:
        return Verdict.AGAIN
    return Verdict.AGAIN if isinstance(error, PASSING + KEYS) else Verdict.PARK


def reason(error: KontenumError) -> str:
    """Why something is parked, in a line."""
    if isinstance(error, PreconditionFailed):
        return f"conflict: another writer has changed it: {error}"
    if isinstance(error, AccessDenied):
        return f"refused: {error}"
    return f"{'refused' if isinstance(error, StoreError) else 'failed'}: {error}"
