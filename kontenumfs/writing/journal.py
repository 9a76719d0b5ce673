# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What is under way, in a file: a daemon that was killed has its successor tell how it ended."""

import json
import logging
import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kontenumfs.protocol.errors import KontenumError, NotFound
from kontenumfs.store.api import Body, Store

log = logging.getLogger(__name__)

LONGEST = 1 << 20
"""Bytes after which the file is written anew, with what is still under way."""

LONGEST_READ = 16 * LONGEST
"""Bytes that are read of what the last daemon left: it never writes so many."""

ABANDONED_SECONDS = 24 * 3600
"""After that, nobody works on an upload any more."""

Opener = Callable[[Path, int], int]
"""``opener(path, flags)`` returns the descriptor of a private file; raises OSError."""

Entry = dict[str, Any]
_COMMON: dict[str, type] = {"begin": int, "time": int, "key": str}
_FIELDS: dict[str, dict[str, type]] = {
    "append": {"offset": int, "length": int, "crc32": str, "shared": bool},
    "upload": {"upload_id": str},
}

LARGEST = 1 << 53
"""Nothing that we count is larger."""
LONGEST_TEXT = 16384
"""Bytes of a key or an upload's id."""
_LIMITS = {"time": 253_402_300_800}
"""The year 10000, which no calendar of ours has."""


class Journal:
    """Appends and multipart uploads of one mount that have begun and not ended.

    Lines are in the kernel's hands before the request leaves, so they outlive the process, but not
    a power cut. A mount works without: where the file cannot be written, that is logged once.

    Args:
        path: the file, which no other mount uses; None to keep none.
        opener: opens it, where no other user can lead us astray.
    """

    def __init__(self, path: Path | None = None, opener: Opener = os.open) -> None:
        self._path = path
        self._opener = opener
        self._descriptor = -1
        self._length = 0
        self._open: dict[int, Entry] = {}
        self._left: dict[int, Entry] = {}
        self._last = 0
        self.repeated = 0
        """Appends that were sent again, for the bytes had not arrived."""
        self.resolved = 0
        """Appends whose answer was lost, and whose bytes had arrived."""

    def open(self) -> None:
        """Take over what the last daemon left, and write from now on."""
        if self._path is None:
            return
        try:
            with (
                suppress(FileNotFoundError),
                open(self._opener(self._path, os.O_RDONLY), "rb") as file,
            ):
                self._read(file.read(LONGEST_READ))
            self._left = dict(self._open)
            self._write_anew(self._path)
        except OSError as error:
            self._give_up(error)

    def _read(self, content: bytes) -> None:
        for line in content.splitlines():
            try:
                entry = json.loads(line)
                if "end" in entry:
                    self._open.pop(entry["end"], None)
                elif _is_complete(entry):
                    self._open[entry["begin"]] = entry
                    self._last = max(self._last, entry["begin"])
            except (ValueError, TypeError, KeyError, RecursionError):
                continue  # the line that was being written when the process died, or a foreign one

    def _write_anew(self, path: Path) -> None:
        fresh = path.with_name(path.name + ".new")
        self.close()
        self._descriptor = self._opener(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._length = 0
        for entry in self._open.values():
            self._append_line(entry)
        os.replace(fresh, path)

    def _append_line(self, entry: Entry) -> None:
        line = json.dumps(entry).encode() + b"\n"
        os.write(self._descriptor, line)
        self._length += len(line)

    def _write(self, entry: Entry) -> None:
        if self._descriptor < 0 or self._path is None:
            return
        try:
            self._append_line(entry)
            if self._length > LONGEST:
                self._write_anew(self._path)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        log.warning("no journal of what is under way: %s: %s", self._path, error.strerror)
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _begin(self, entry: Entry) -> int:
        self._last += 1
        self._open[self._last] = entry = {"begin": self._last, "time": int(time.time()), **entry}
        self._write(entry)
        return self._last

    def _end(self, number: int) -> None:
        if self._open.pop(number, None) is not None:
            self._write({"end": number})

    @contextmanager
    def appending(self, key: str, offset: int, body: Body, *, shared: bool) -> Iterator[None]:
        """Note `body` as under way at `offset` for the block, which ends well or tells its writer.

        Args:
            shared: whether others may append too, and the offset says little.
        """
        if self._descriptor < 0:
            yield
            return
        length = crc = 0
        for piece in body:
            length += len(piece)
            crc = zlib.crc32(piece, crc)
        entry = {"verb": "append", "key": key, "offset": offset, "length": length}
        number = self._begin({**entry, "crc32": f"{crc:08x}", "shared": shared})
        try:
            yield
        except KontenumError:
            self._end(number)
            raise
        self._end(number)  # a task that was cancelled has not told anybody

    def answer_lost(self, *, stored: bool) -> None:
        """Count an append of which the object's length has told whether it took place."""
        if stored:
            self.resolved += 1
        else:
            self.repeated += 1

    def upload_begins(self, key: str, upload_id: str) -> int:
        """Note a multipart upload; returns what `upload_ended` is to be told."""
        return self._begin({"verb": "upload", "key": key, "upload_id": upload_id})

    def upload_ended(self, number: int) -> None:
        """Note that it was completed or aborted."""
        self._end(number)

    async def settle(self, store: Store, *, ours: bool = True) -> None:
        """Tell how what the last daemon left has ended, and abort its uploads.

        What cannot be asked now stays for the next start. Raises nothing but cancellation.

        Args:
            ours: whether that daemon has surely ended. Else the file may be the copy of one that
                is in use elsewhere, and young uploads stay.
        """
        for number, entry in self._left.items():
            is_upload = entry["verb"] == "upload"
            if is_upload and not ours and time.time() - entry["time"] < ABANDONED_SECONDS:
                continue
            try:
                if is_upload:
                    await _abort(store, entry)
                else:
                    await _tell(store, entry)
            except KontenumError as error:
                log.warning("left for the next start: %s key=%r (%s)", *_named(entry), error)
            else:
                self._end(number)


def _is_complete(entry: Entry) -> bool:
    """Tell whether all is there, as we write it; raises what a foreign line may raise."""
    wanted = _COMMON | _FIELDS[entry["verb"]]
    return all(
        type(entry[name]) is kind and _is_sound(name, entry[name]) for name, kind in wanted.items()
    )


def _is_sound(name: str, value: Any) -> bool:
    if isinstance(value, str):
        # Lone surrogates cannot be asked for; UnicodeEncodeError is a ValueError.
        return 0 < len(value.encode()) <= LONGEST_TEXT
    return isinstance(value, bool) or 0 <= value < _LIMITS.get(name, LARGEST)


def _named(entry: Entry) -> tuple[str, str]:
    return entry["verb"], entry["key"]


async def _abort(store: Store, entry: Entry) -> None:
    with suppress(NotFound):
        await store.abort_multipart(entry["key"], entry["upload_id"])
        log.warning("an upload of the last daemon was aborted: key=%r", entry["key"])


async def _tell(store: Store, entry: Entry) -> None:
    try:
        size = (await store.head(entry["key"])).size
    except NotFound:
        size = -1
    offset, length = entry["offset"], entry["length"]
    if size < 0:
        outcome = "the object is gone"
    elif size == offset:
        outcome = "it was not stored"
    elif size == offset + length:
        outcome = "it was stored"
    elif size > offset + length:
        outcome = f"the object has {size} bytes: compare that range's CRC32"
    else:
        outcome = f"the object has {size} bytes: someone else changed it"
    if entry["shared"] and size > offset:
        outcome = f"others append too, and the object has {size} bytes: look for it by its CRC32"
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["time"]))
    log.warning(
        "the last daemon ended during an append: key=%r offset=%d bytes=%d crc32=%s at %s: %s",
        entry["key"],
        offset,
        length,
        entry["crc32"],
        when,
        outcome,
    )
