# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Who is told of each request to the store."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

RESENT: ContextVar[int] = ContextVar("RESENT", default=0)
"""How often the request that is made here was made before, by who decides on its repetition."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request and its answer.

    Args:
        operation: the S3 name.
        key: what it was about.
        number: 1 for the first attempt, more for its repetitions.
        status: of the answer; 0 where there was none.
        seconds: from the request to the whole answer.
        sent: bytes of the request's body.
        received: bytes of the answer's body.
        request_id: as the store named it; empty where it did not.
    """

    operation: str
    key: str
    number: int
    status: int
    seconds: float
    sent: int
    received: int
    request_id: str


class Observer(Protocol):
    """Is told of each attempt when it has ended; must be quick, and must not raise."""

    def attempted(self, attempt: Attempt) -> None:
        """An attempt has ended, well or not."""


class NoObserver:
    """Nobody is told."""

    def attempted(self, attempt: Attempt) -> None:
        """See Observer."""
