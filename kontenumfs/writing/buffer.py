# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The end of a file that the store has not taken yet."""

COALESCE = 64 * 1024
"""Writes below this many bytes are joined, so that a million short lines stay cheap."""


class Buffer:
    """Bytes of one file from offset `start` to its end, in the pieces they arrived in.

    Sequential writes are O(1) and copy nothing; a write in the middle joins the pieces.
    """

    def __init__(self, start: int = 0) -> None:
        self.start = start
        self.length = 0
        self._pieces: list[bytes | bytearray | memoryview] = []

    @property
    def end(self) -> int:
        """The file offset behind the last byte."""
        return self.start + self.length

    def write(self, offset: int, data: bytes) -> None:
        """Put `data` at file offset `offset`, which lies from `start` to `end`."""
        if not self.start <= offset <= self.end:
            raise ValueError(f"offset {offset} is outside {self.start}..{self.end}")
        if offset < self.end:
            whole = self._joined()
            at = offset - self.start
            whole[at : at + len(data)] = data
            self.length = len(whole)
            return
        last = self._pieces[-1] if self._pieces else None
        if len(data) < COALESCE and isinstance(last, bytearray) and len(last) < COALESCE:
            last += data
        else:
            self._pieces.append(bytearray(data) if len(data) < COALESCE else data)
        self.length += len(data)

    def truncate(self, end: int) -> None:
        """Drop what lies behind file offset `end`."""
        if end < self.end:
            whole = self._joined()
            del whole[max(0, end - self.start) :]
            self.length = len(whole)

    def copy(self, offset: int) -> bytes:
        """The bytes from file offset `offset` on, safe from later writes."""
        return bytes(memoryview(self._joined())[max(0, offset - self.start) :])

    def take(self) -> list[bytes | bytearray | memoryview]:
        """Hand all bytes over; the buffer is empty then and starts at its old end."""
        pieces, self._pieces = self._pieces, []
        self.start, self.length = self.end, 0
        return pieces

    def _joined(self) -> bytearray:
        if len(self._pieces) == 1 and isinstance(self._pieces[0], bytearray):
            return self._pieces[0]
        whole = bytearray().join(self._pieces)
        self._pieces = [whole]
        return whole
