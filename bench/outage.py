# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The store is away while programs write: ``python -m bench.outage [--seconds 600]``.

ffmpeg writes HLS, a logger appends ten lines a second and opens its log for each, and rsync
copies a new tree every few seconds, into a mount with ``durability=spool``. The store is killed,
stays away for so long, and comes back. No program may see an error; afterwards everything must be
there, and at no moment may a playlist name a segment that is missing.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import imageio_ffmpeg

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, kontenumfs

BEFORE = AFTER = 15.0
"""Seconds for which the programs run with the store in its place."""
LINE_SECONDS = 0.1
TREE_SECONDS = 5.0
TREE_FILES = 50
PACKET = 188
"""Bytes of an MPEG transport stream's packet, each of which begins with 0x47 (ISO 13818-1)."""


@dataclass
class Told:
    """What the programs were told, and what the CDN's side has shown."""

    lines: list[bytes] = field(default_factory=list)
    trees: list[Path] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    longest: float = 0.0
    looks: int = 0
    holes: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    stored: threading.Event = field(default_factory=threading.Event)


def log_lines(path: Path, told: Told) -> None:
    """Append a line at a time, as ``echo >>`` does."""
    while not told.over.wait(LINE_SECONDS):
        line = b"line %06d\n" % len(told.lines)
        begin = time.monotonic()
        try:
            with open(path, "ab", buffering=0) as log:
                log.write(line)
            told.lines.append(line)
        except OSError as error:
            told.errors.append(f"logger: {error}")
        told.longest = max(told.longest, time.monotonic() - begin)


def copy_trees(source: Path, target: Path, told: Told) -> None:
    """Copy a new tree now and then."""
    while not told.over.wait(TREE_SECONDS):
        tree = source / f"{len(told.trees):04}"
        tree.mkdir()
        for number in range(TREE_FILES):
            (tree / f"f{number}").write_bytes(os.urandom(5000))
        command = ["rsync", "-a", str(tree), str(target)]
        done = subprocess.run(command, capture_output=True, text=True)
        told.trees.append(tree)
        if done.returncode:
            told.errors.append(f"rsync: {done.stderr}")


def encode(directory: Path, log: Path) -> "subprocess.Popen[bytes]":
    """Write a live stream: segments of two seconds, of which the playlist names six."""
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-nostdin",
        "-loglevel",
        "error",
        "-re",
        "-f",
        "lavfi",
    ]
    command += ["-i", "testsrc=size=160x120:rate=10", "-g", "20", "-f", "hls", "-hls_time", "2"]
    command += ["-hls_list_size", "6", "-hls_flags", "delete_segments", str(directory / "a.m3u8")]
    return subprocess.Popen(command, stderr=open(log, "wb"))


def segments_of(playlist: bytes) -> list[str]:
    """The segments that a playlist names."""
    return [line for line in playlist.decode().splitlines() if line and not line.startswith("#")]


def watch(emulator: Emulator, told: Told) -> None:
    """Look at the playlist as a player does, as long as the CDN's side answers."""
    while not told.stored.wait(0.2):
        try:
            named = segments_of(emulator.fetch("live/a.m3u8"))
            missing = [name for name in named if not emulator.exists(f"live/{name}")]
            # It may have gone since the playlist was read: then the playlist is another one by now.
            if missing and set(missing) & set(segments_of(emulator.fetch("live/a.m3u8"))):
                told.holes.append(f"{missing} of {named}")
            told.looks += 1
        except (urllib.error.URLError, OSError):
            continue  # it is away


def until_stored(mounted: MountedBucket) -> float:
    """Wait until the spool is empty; returns the seconds it took."""
    begin = time.monotonic()
    while kontenumfs("spool", "list", mounted.path).stdout.strip():
        time.sleep(0.5)
    return time.monotonic() - begin


def verify(emulator: Emulator, told: Told) -> list[str]:
    """Compare what is stored with what was acknowledged; returns what is wrong."""
    wrong = [f"hole: {hole}" for hole in told.holes]
    if emulator.fetch("log") != b"".join(told.lines):
        wrong.append("the log is not what was acknowledged")
    for tree in told.trees:
        for file in tree.iterdir():
            key = f"site/{tree.name}/{file.name}"
            if not emulator.exists(key) or emulator.fetch(key) != file.read_bytes():
                wrong.append(key)
    for name in segments_of(emulator.fetch("live/a.m3u8")):
        if not is_transport_stream(emulator.fetch(f"live/{name}")):
            wrong.append(f"live/{name} is no transport stream")
    return wrong


def is_transport_stream(segment: bytes) -> bool:
    """Whether a segment consists of packets, to its end."""
    return bool(segment) and not len(segment) % PACKET and set(segment[::PACKET]) == {0x47}


def run(seconds: float, scratch: Path, say: Callable[[str], None]) -> list[str]:
    """One campaign; returns what is wrong."""
    with ExitStack() as stack:
        emulator = Emulator(scratch / "emulator")
        stack.callback(emulator.stop)
        (scratch / "spool").mkdir()
        options = ("durability=spool", f"spool_dir={scratch / 'spool'}", "log_level=warning")
        mounted = MountedBucket(scratch / "host", emulator, *options)
        mounted.expected = "."
        stack.callback(mounted.close)
        for name in ("live", "site"):
            (mounted.path / name).mkdir()
        told = Told()
        (scratch / "trees").mkdir()
        work = [
            threading.Thread(target=log_lines, args=(mounted.path / "log", told)),
            threading.Thread(
                target=copy_trees, args=(scratch / "trees", mounted.path / "site", told)
            ),
            threading.Thread(target=watch, args=(emulator, told)),
        ]
        for task in work:
            task.start()
        encoder = encode(mounted.path / "live", scratch / "ffmpeg.log")
        time.sleep(BEFORE)
        emulator.kill()
        say(f"the store is away for {seconds:g} s")
        time.sleep(seconds)
        emulator.start()
        say("the store is back")
        time.sleep(AFTER)
        encoder.terminate()
        encoder.wait()
        told.over.set()
        for task in work[:2]:
            task.join()
        drained = until_stored(mounted)
        told.stored.set()
        work[2].join()
        told.errors += (scratch / "ffmpeg.log").read_text().splitlines()
        wrong = [*(f"error: {error}" for error in told.errors), *verify(emulator, told)]
        files = len(told.trees) * TREE_FILES
        say(f"{len(told.lines)} lines, {files} files; longest append {told.longest:.2f} s")
        say(f"all stored {drained:.1f} s after the last write; {told.looks} looks at the playlist")
        say(f"{len(wrong)} wrong")
        return wrong


def main() -> None:
    """Run it, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="how long the store is away")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="outage-") as scratch:
        wrong = run(chosen.seconds, Path(scratch), lambda text: print(text, flush=True))
    for text in wrong[:20]:
        print(" ", text)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
