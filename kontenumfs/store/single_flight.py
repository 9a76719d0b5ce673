# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One question, one answer: what many want at the same time is asked for once."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import trio

from kontenumfs.protocol.errors import DeadlineExceeded, KontenumError
from kontenumfs.store.operation import waited
from kontenumfs.store.retry import REPEATABLE, Repeat

OUT_OF_TIME: tuple[type[KontenumError], ...] = (DeadlineExceeded, *REPEATABLE[Repeat.ALWAYS])
"""What is repeated as long as the asker's time lasts: another may have more of it."""
AS_LONG = 0.9
"""The part of the asker's waiting from which on somebody else has waited as long."""

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Questions that are under way, each with all who wait for its answer."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, _Question[T]] = {}

    async def run(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what `ask` returns, or what somebody's does who is asking the same already.

        An error is an answer too, and nobody who has waited as long asks anew because of it. Who
        came late, though, has time left when that of the asker is over: within an operation
        (store.operation) he asks again for those who came with him. Each waits in his own task,
        so that his own deadline or cancellation ends his waiting alone; where it is the asker who
        is cancelled, one of those who wait asks in his place.

        Args:
            key: what is asked. Nobody who asks it may wait for the same key meanwhile.
        """
        while (before := self._under_way.get(key)) is not None:
            await before.ended.wait()
            if before.answer is not None:
                return before.answer[0]
            if before.error is not None and not before.ended_early(waited()):
                raise _another(before.error)
        question = self._under_way[key] = _Question[T]()
        try:
            answer = await ask()
            question.answer = (answer,)
            return answer
        except Exception as error:
            question.error, question.waited = error, waited()
            raise
        finally:
            del self._under_way[key]
            question.ended.set()


class _Question(Generic[T]):
    """One that is under way; it may end without an answer, when the asker is cancelled."""

    __slots__ = ("answer", "ended", "error", "waited")

    def __init__(self) -> None:
        self.ended = trio.Event()
        self.answer: tuple[T] | None = None
        self.error: Exception | None = None
        self.waited: float | None = None
        """Seconds that the asker's operation had waited when it failed."""

    def ended_early(self, seconds: float | None) -> bool:
        """Whether the asker's time was over, and not that of one who has waited for `seconds`."""
        if seconds is None or self.waited is None or not isinstance(self.error, OUT_OF_TIME):
            return False
        return seconds < self.waited * AS_LONG


def _another(error: Exception) -> Exception:
    """The same error for another task: a traceback and notes belong to one who raises it."""
    kind = type(error)
    try:
        same = kind(*error.args)
    except Exception:  # it is made in another way: what it says is set below
        same = kind.__new__(kind, *error.args)
    same.args = error.args
    for name, value in vars(error).items():
        setattr(same, name, list(value) if name == "__notes__" else value)
    same.__cause__ = error.__cause__
    return same
