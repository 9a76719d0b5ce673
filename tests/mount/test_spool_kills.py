# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A daemon that is killed again and again under a mixed load: nothing is lost, doubled or early.

`make spool-campaign` kills it many more times than a test does.
"""

import json
import os
import random
import re
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory, wait_until

KILLS = int(os.environ.get("KONTENUMFS_KILLS", "20"))
KEPT = 6
"""Segments that a playlist names."""


class Load:
    """One kind of program; what it was told is remembered, and what it was not told as well."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.rng = random.Random(seed)
        self.may_be: dict[str, set[bytes | None]] = {}
        """Of each name: what it may have; one thing, unless a call on it has failed."""
        self.lines: list[tuple[bytes, bool]] = []
        """The lines of the log, and whether each was acknowledged."""
        self.number = 0
        self.segments: list[str] = []
        """Those that were acknowledged, and that a playlist may name."""

    def _set(self, name: str, content: bytes | None, act: Callable[[], None]) -> None:
        before = self.may_be.get(name, {None})
        self.may_be[name] = before | {content}
        act()
        self.may_be[name] = {content}

    def _write(self, name: str, content: bytes) -> None:
        def act() -> None:
            (self.root / name).write_bytes(content)

        self._set(name, content, act)

    def _rename(self, name: str, new: str) -> None:
        (content,) = self.may_be[name]
        self.may_be[name] = self.may_be[name] | {None}
        self._set(new, content, lambda: os.rename(self.root / name, self.root / new))
        self.may_be[name] = {None}

    def _delete(self, name: str) -> None:
        self._set(name, None, (self.root / name).unlink)

    def copy(self) -> None:
        """Cp, mv and rm of small files."""
        name = f"tree/{self.rng.randrange(20)}"
        sure = len(self.may_be.get(name, {None})) == 1
        what = self.rng.choice(["write", "write", "rename", "delete"])
        if what == "write" or not sure or self.may_be.get(name, {None}) == {None}:
            self._write(name, self.rng.randbytes(self.rng.choice([3, 10_000, 100_000])))
        elif what == "rename":
            self._rename(name, f"tree/{self.rng.randrange(20, 30)}")
        else:
            self._delete(name)

    def append(self) -> None:
        """A logger that opens its file for each line."""
        line = b"%d\n" % len(self.lines)
        self.lines.append((line, False))
        with open(self.root / "log", "ab", buffering=0) as log:
            log.write(line)
        self.lines[-1] = (line, True)

    def publish(self) -> None:
        """HLS: a segment, the playlist that names it, and the end of the oldest segment."""
        self.number += 1
        self._write(f"hls/{self.number}.ts", self.rng.randbytes(20_000))
        self.segments.append(f"{self.number}.ts")
        self._write("hls/list.tmp", "\n".join(self.segments[-KEPT:]).encode())
        self._rename("hls/list.tmp", "hls/live.m3u8")
        while len(self.segments) > KEPT:
            self._delete(f"hls/{self.segments.pop(0)}")


@contextmanager
def running(*turns: Callable[[], None]) -> Iterator[None]:
    """Each takes turn after turn in a thread of its own, until the block ends or a call fails."""
    over = threading.Event()

    def run(turn: Callable[[], None]) -> None:
        while not over.is_set():
            try:
                turn()
            except OSError:
                return
            time.sleep(0.002)

    threads = [threading.Thread(target=run, args=(turn,)) for turn in turns]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


class Viewer:
    """Somebody at the CDN side, who follows the playlist."""

    def __init__(self, mounted: MountedBucket) -> None:
        self._mounted = mounted
        self.holes: list[str] = []
        self.seen = 0

    def _playlist(self) -> list[str]:
        try:
            return self._mounted.fetch("hls/live.m3u8").decode().split()
        except urllib.error.HTTPError as error:
            error.close()
            return []

    def look(self) -> None:
        """Fetch the playlist, and what it names; what it names no longer may be gone."""
        for name in self._playlist():
            self.seen += 1
            if not self._mounted.exists(f"hls/{name}") and name in self._playlist():
                self.holes.append(name)


def test_nothing_is_lost_doubled_or_early_though_the_daemon_is_killed(
    own_emulator: Emulator, mount: MountFactory, tmp_path: Path
) -> None:
    """S13.3, S13.4: all that was acknowledged is stored; no playlist names what is missing."""
    place = tmp_path / "spool"
    place.mkdir()
    mounted = mount("durability=spool", f"spool_dir={place}", server=own_emulator)
    mounted.expected = "."  # what a killed daemon has cut is told
    for name in ("tree", "hls"):
        (mounted.path / name).mkdir()
    own_emulator.fault(op="*", count=None, delay=0.01)
    files, logger, encoder = (Load(mounted.path, seed) for seed in range(3))
    viewer, rng = Viewer(mounted), random.Random(7)
    for _ in range(KILLS):
        with running(files.copy, logger.append, encoder.publish, viewer.look):
            time.sleep(rng.uniform(0.05, 0.6))
            mounted.kill()
        mounted.mount()
    own_emulator.clear_faults()
    with running(viewer.look):
        mounted.unmount()
    assert not viewer.holes
    assert viewer.seen
    stored = mounted.fetch("log")
    pattern = b"".join(line if told else b"(?:%s)?" % line for line, told in logger.lines)
    assert re.fullmatch(pattern, stored), stored[-500:]
    wrong = [
        name
        for name, contents in (files.may_be | encoder.may_be).items()
        if (mounted.fetch(name) if mounted.exists(name) else None) not in contents
    ]
    assert not wrong
    counts = {"lines": len(logger.lines), "segments": encoder.number, "seen": viewer.seen}
    print(json.dumps({"kills": KILLS, "files": len(files.may_be), **counts}))
    wait_until(lambda: not list(place.glob("*/segment-*")))
