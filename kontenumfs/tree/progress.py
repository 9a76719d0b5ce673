# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The progress of a listing: a store that answers in circles is not asked for ever."""

from kontenumfs.protocol.errors import UnexpectedAnswer
from kontenumfs.store.api import ListPage

IDLE_PAGES = 16
"""Pages in a row that name nothing new: some stores send a few, while they look on."""
HIDDEN_PAGES = 1000
"""Pages in a row of which nothing can be shown, as names cannot be files."""


class Progress:
    """The progress of one listing.

    Args:
        prefix: is listed; for the error.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._tokens: set[int] = set()
        self._furthest = ""
        self._idle = 0
        self._hidden = 0
        self.lost = ""
        """Why no end will come, once that is known."""

    def check(self) -> None:
        """Raise UnexpectedAnswer where it is known that no end will come."""
        if self.lost:
            raise UnexpectedAnswer(self.lost, operation="ListObjectsV2", resource=self._prefix)

    def made(self, page: ListPage, *, unseen: bool, shown: bool) -> None:
        """Count a page that was taken; raise UnexpectedAnswer where the next lead nowhere.

        Args:
            unseen: it named something that this listing had not named before, as far as is known.
            shown: something of it is an entry of the directory.
        """
        furthest = max([info.key for info in page.objects] + list(page.prefixes), default="")
        is_new = unseen or furthest > self._furthest
        self._furthest = max(furthest, self._furthest)
        self._idle = 0 if is_new else self._idle + 1
        self._hidden = 0 if shown else self._hidden + 1
        if page.next_token is None:
            return
        token = hash(page.next_token)
        if token in self._tokens:
            self.lost = "the listing leads back to where it was"
        elif self._idle >= IDLE_PAGES or self._hidden >= HIDDEN_PAGES:
            self.lost = "the listing goes on and names nothing new"
        self._tokens.add(token)
        self.check()
