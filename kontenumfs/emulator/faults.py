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
        body: and with this body instead of an S3 error; bytes that are not UTF-8 are written as
            Python's surrogates. Without it a status below 300 has an empty one.
        after: do what was asked for first, whatever comes of it, and answer so then.
        delay: seconds to wait before the request is looked at.
        delay_body: seconds to wait in the middle of the answer's body.
        reset: drop the connection ``before`` or ``after`` the effect took place, or in the
            middle of the answer (``answer-truncated``).
        late: take the whole request, wait for `delay`, drop the connection, and let the request
            take effect so many seconds later, as one does that was held up on its way.
        etag: answer with this ETag instead of the true one.
        headers: more headers of the answer, such as Retry-After, or others than the usual ones,
            such as Date; None leaves one out.
        seen: how many requests have fitted.
        landed: the statuses of those that have taken effect late.
    """

    op: str = "*"
    key: str = "*"
    count: int | None = 1
    every: int = 1
    status: int = 0
    code: str = "InternalError"
    body: str | None = None
    after: bool = False
    delay: float = 0.0
    delay_body: float = 0.0
    reset: str = ""
    late: float = 0.0
    etag: str = ""
    headers: dict[str, str | None] = field(default_factory=dict)
    seen: int = 0
    landed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.reset not in RESETS:
            raise ValueError(f"reset is one of {RESETS}")
        if self.every < 1:
            raise ValueError("every is 1 or more")
        if self.status and not 200 <= self.status <= 599:
            raise ValueError("status is that of an answer")
        if not self.status and (self.after or self.body is not None):
            raise ValueError("body and after go with a status")
        for name, value in self.headers.items():
            f"{name}{value}".encode("latin-1")
        self.answer_body()

    def answer_body(self) -> bytes | None:
        """The bytes of the answer's body; None for that of an S3 error."""
        if self.body is not None:
            return self.body.encode(errors="surrogateescape")
        return b"" if self.status < 300 else None

    def set_headers(self, headers: dict[str, str]) -> None:
        """Make an answer's headers those that this fault asks for."""
        for name, value in self.headers.items():
            if value is None:
                headers.pop(name.lower(), None)
            else:
                headers[name.lower()] = value

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
