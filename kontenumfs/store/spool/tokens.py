# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Names that stand in for ETags which the store has not told yet.

A token goes on standing for its object when that is stored: who holds one need not be told. So
what the store says later of the same object is turned into the token again, and beliefs in a token
into beliefs in the ETag.
"""

import re
from collections import OrderedDict
from dataclasses import replace

from kontenumfs.store.api import ObjectInfo
from kontenumfs.store.beliefs import Belief, Version, plain_etag
from kontenumfs.store.spool.entries import After, Link

REMEMBERED = 65_536
"""Stored objects whose tokens are remembered. Who holds an older one is refused, as by a change."""


class Tokens:
    """The tokens of one spool.

    Args:
        spool: what tells this spool from others; eight hexadecimal digits.
        limit: tokens of stored objects that are remembered.
    """

    def __init__(self, spool: str, *, limit: int = REMEMBERED) -> None:
        self._prefix = f"spool-{spool}-"
        self._pattern = re.compile(re.escape(self._prefix) + r"([0-9]{1,18})")
        self._limit = limit
        self._etags: OrderedDict[int, tuple[str, str]] = OrderedDict()
        self._numbers: dict[tuple[str, str], int] = {}

    def of(self, number: int) -> str:
        """The token of what entry `number` makes."""
        return f"{self._prefix}{number}"

    def number(self, token: str) -> int | None:
        """The entry whose token this is; None for a store's ETag."""
        found = self._pattern.fullmatch(plain_etag(token))
        return int(found[1]) if found else None

    def stored(self, number: int, key: str, etag: str) -> None:
        """What entry `number` has made has this ETag in the store."""
        if not etag:
            return
        told = (key, plain_etag(etag))
        self._etags[number] = (key, etag)
        self._numbers[told] = number
        if len(self._etags) > self._limit:
            oldest, (its_key, its_etag) = self._etags.popitem(last=False)
            if self._numbers.get((its_key, plain_etag(its_etag))) == oldest:
                del self._numbers[its_key, plain_etag(its_etag)]

    def inward(self, belief: Belief) -> Link:
        """A belief of who may hold a token, as the store can be told it."""
        if not isinstance(belief, Version):
            return belief
        number = self.number(belief.etag)
        if number is None:
            return belief
        known = self._etags.get(number)
        return After(number) if known is None else Version(known[1], belief.size)

    def outward(self, info: ObjectInfo) -> ObjectInfo:
        """What the store says of an object, with the token that is held for it."""
        number = self._numbers.get((info.key, plain_etag(info.etag)))
        return info if number is None else replace(info, etag=self.of(number))
