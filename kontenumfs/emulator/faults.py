# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Faults on demand, for tests: which request fails, how, and before or after it took effect."""

from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

RESETS = ("", "before", "after", "answer-truncated")


@dataclass(slots=True)
class Fault:
    """One fault.

    Args:
        op: a glob of S3 operations.
        key: a glob of keys.
        count: how many requests it still hits; None for all.
        every: hit only each p-th request that fits.
        status: answer with this status and `code`, without doing anything.
        delay: seconds to wait before the request is looked at.
        delay_body: seconds to wait in the middle of the answer's body.
        reset: drop the connection ``before`` or ``after`` the effect took place, or in the
            middle of the answer (``answer-truncated``).
        etag: answer with this ETag instead of the true one.
        headers: more headers of the answer, such as Retry-After.
        seen: how many requests have fitted.
    """

    op: str = "*"
    key: str = "*"
    count: int | None = 1
    every: int = 1
    status: int = 0
    code: str = "InternalError"
    delay: float = 0.0
    delay_body: float = 0.0
    reset: str = ""
    etag: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    seen: int = 0

    def __post_init__(self) -> None:
        if self.reset not in RESETS:
            raise ValueError(f"reset is one of {RESETS}")
        if self.every < 1:
            raise ValueError("every is 1 or more")
        if self.status and not 300 <= self.status <= 599:
            raise ValueError("status is that of an error")

    def hits(self, op: str, key: str) -> bool:
        """Whether this request fails; counts it."""
        if not fnmatchcase(op, self.op) or not fnmatchcase(key, self.key) or self.count == 0:
            return False
        self.seen += 1
        if self.seen % self.every:
            return False
        if self.count is not None:
            self.count -= 1
        return True


class Faults:
    """The faults that are set."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, description: dict[str, Any]) -> None:
        """Set one; raises TypeError or ValueError for what is not a fault."""
        if "every" in description:
            description = {"count": None, **description}
        self._faults.append(Fault(**description))

    def clear(self) -> None:
        """Forget them all."""
        self._faults.clear()

    def shown(self) -> list[dict[str, Any]]:
        """All of them, with what they have seen."""
        return [asdict(fault) for fault in self._faults]

    def match(self, op: str, key: str) -> Fault | None:
        """The first fault that hits this request."""
        return next((fault for fault in self._faults if fault.hits(op, key)), None)
