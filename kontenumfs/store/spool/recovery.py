# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the last daemon left in a spool, read from whatever state the disk is in.

What can be kept is kept. A tail that was cut by the end of the power was acknowledged to nobody
and goes; what is damaged before it is told, by where it is.
"""

import json
import os
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from kontenumfs.store.spool.disk import NO_LINKS
from kontenumfs.store.spool.entries import After, Entry, Piece, from_json
from kontenumfs.store.spool.frames import BODY, HEADER, RECORD, SEGMENT, Frame, Gap, scan

SEGMENT_NAME = re.compile(r"segment-([0-9]{1,18})")
BODY_NAME = re.compile(r"body-([0-9]{1,18})")
LONGEST_FILE = 1 << 62
DAMAGED = "its bytes in the spool are damaged"
ORPHANED = "what was acknowledged before it is lost"


@dataclass(slots=True)
class Recovered:
    """What was found.

    Args:
        entries: what is not stored, by number.
        next_number: the first that no entry has had.
        next_file: the first that no segment and no body has had.
        problems: what was damaged and what was cut, a line each.
        cut: numbers of entries that were not written whole.
    """

    entries: dict[int, Entry] = field(default_factory=dict)
    next_number: int = 1
    next_file: int = 1
    problems: list[str] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)


class _Recovery:
    def __init__(self, directory: Path, spool: str) -> None:
        self._directory = directory
        self._spool = spool
        self._bodies: dict[str, dict[int, int]] = {}
        """Of each segment: the length of each body that is whole, by its offset."""
        self._ended: set[int] = set()
        self._unsure: list[tuple[list[int], str]] = []
        """Records that were perhaps acknowledged to nobody, and that are not whole."""
        self.found = Recovered()

    def run(self) -> Recovered:
        names = os.listdir(self._directory)
        segments = sorted(int(m[1]) for name in names if (m := SEGMENT_NAME.fullmatch(name)))
        bodies = sorted(int(m[1]) for name in names if (m := BODY_NAME.fullmatch(name)))
        self.found.next_file = max([0, *segments, *bodies]) + 1
        scanned = [(number, self._scanned(number)) for number in segments]
        heads = [_head(frames) for _, frames in scanned]
        starts = list(accumulate("first" in head for head in heads))
        before = {head["before"][0]: head["before"][1] for head in heads if "before" in head}
        reached = [max(_horizon(frames), before.get(number, 0)) for number, frames in scanned]
        for at, (number, frames) in enumerate(scanned):
            # Whole, where a later one was on the disk: they get there one after another. Where that
            # is another daemon's, its start has judged this tail, and has written what came of it.
            later = [
                start for start, end in list(zip(starts, reached, strict=True))[at + 1 :] if end
            ]
            horizon = LONGEST_FILE if starts[at] in later else reached[at]
            self._read(f"segment-{number}", frames, horizon, is_judged=bool(later))
        for numbers, told in self._unsure:
            if not self._ended.issuperset(set(numbers) - self.found.entries.keys()):
                self.found.problems.append(f"{told} bytes were not written whole")
        self._judge()
        return self.found

    def _judge(self) -> None:
        """Park what is not whole, and what rests on something that is lost."""
        entries = self.found.entries
        for number in sorted(entries):
            entry = entries[number]
            if not self._is_whole(entry):
                self.found.problems.append(f"{entry.key!r}: {DAMAGED}")
                entry = entries[number] = replace(entry, parked=DAMAGED)
            links = (entry.expected, entry.source_expected)
            if any(isinstance(link, After) and link.number not in entries for link in links):
                entries[number] = replace(entry, parked=entry.parked or ORPHANED)
        self.found.entries = dict(sorted(entries.items()))
        # One that was only to be written anew is there as it was before.
        self.found.cut = [number for number in self.found.cut if number not in entries]

    def _scanned(self, number: int) -> list[Frame | Gap]:
        path = self._directory / f"segment-{number}"
        with open(os.open(path, os.O_RDONLY | NO_LINKS), "rb") as file:
            frames = list(scan(memoryview(file.read()), self._spool, number))
        return [_without_bytes(frame) for frame in frames]

    def _read(self, name: str, frames: list[Frame | Gap], horizon: int, *, is_judged: bool) -> None:
        whole = self._bodies[name] = {}
        for frame in frames:
            if isinstance(frame, Gap):
                what = "cut, for it was not written whole" if frame.offset >= horizon else "damaged"
                self.found.problems.append(
                    f"{name}: {frame.length} bytes at {frame.offset} are {what}"
                )
            elif frame.kind == BODY:
                whole[frame.offset + HEADER.size] = frame.length
            else:
                self._apply(name, frame, is_sure=is_judged or frame.offset < horizon)

    def _apply(self, name: str, frame: Frame, *, is_sure: bool) -> None:
        """Do what a record says; one that was perhaps acknowledged to nobody must be whole."""
        try:
            told = json.loads(bytes(frame.payload))
            if frame.kind == SEGMENT:
                self._next_after(int(told["next"]) - 1)
                return
            if frame.kind != RECORD:
                raise ValueError(f"a frame of kind {frame.kind!r}")
            added = [from_json(entry) for entry in told.get("add", ())]
            ended = [int(number) for number in told.get("end", ())]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            self.found.problems.append(f"{name}: the record at {frame.offset} is unknown: {error}")
            return
        for number in (*ended, *(entry.number for entry in added)):
            self._next_after(number)
        self._ended.update(ended)
        if not is_sure and not all(self._is_whole(entry) for entry in added):
            numbers = [entry.number for entry in added]
            self._unsure.append((numbers, f"{name}: the record at {frame.offset} is cut, for its"))
            self.found.cut += numbers
            return
        for number in ended:
            self.found.entries.pop(number, None)
        for entry in added:
            self.found.entries[entry.number] = entry

    def _next_after(self, number: int) -> None:
        self.found.next_number = max(self.found.next_number, number + 1)

    def _is_whole(self, entry: Entry) -> bool:
        return all(self._is_there(piece) for piece in entry.pieces)

    def _is_there(self, piece: Piece) -> bool:
        if (match := BODY_NAME.fullmatch(piece.file)) is None:
            return self._bodies.get(piece.file, {}).get(piece.offset) == piece.length
        try:
            status = os.lstat(self._directory / match[0])
        except OSError:
            return False
        return status.st_size >= piece.offset + piece.length


def _horizon(frames: Iterable[Frame | Gap]) -> int:
    return max((frame.flushed for frame in frames if isinstance(frame, Frame)), default=0)


def _head(frames: Sequence[Frame | Gap]) -> dict[str, Any]:
    """What a segment says of itself, as far as it can be read.

    ``first``: it is the first one of a daemon, so the one before may end anywhere. ``before``: the
    number of the one before, and up to where that was on the disk.
    """
    if not frames or not isinstance(frames[0], Frame) or frames[0].kind != SEGMENT:
        return {}
    try:
        told = json.loads(bytes(frames[0].payload))
        if "before" in told:
            number, flushed = told["before"]
            told["before"] = int(number), int(flushed)
        return dict(told)
    except (ValueError, TypeError, RecursionError):
        return {}


def _without_bytes(frame: Frame | Gap) -> Frame | Gap:
    """What is kept of a frame: of a body that it is there."""
    if isinstance(frame, Gap):
        return frame
    return replace(frame, payload=b"" if frame.kind == BODY else bytes(frame.payload))


def recover(directory: Path, spool: str) -> Recovered:
    """Read all segments; raises OSError where they cannot be read."""
    return _Recovery(directory, spool).run()


def read_piece(directory: Path, piece: Piece) -> bytes:
    """The bytes of a piece; raises OSError or, where they are damaged, ValueError."""
    descriptor = os.open(directory / piece.file, os.O_RDONLY | NO_LINKS)
    try:
        out = bytearray(piece.length)
        view, done = memoryview(out), 0
        while done < piece.length:
            count = os.preadv(descriptor, [view[done:]], piece.offset + done)
            if not count:
                break
            done += count
    finally:
        os.close(descriptor)
    if done < piece.length or zlib.crc32(out) != piece.crc32:
        raise ValueError(f"{piece.file}: {piece.length} bytes at {piece.offset} are damaged")
    return bytes(out)
