# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs demo``: the main job on this machine, with an emulator in the place of Kontenum."""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kontenumfs.admin.mounts import detach, is_mountpoint
from kontenumfs.cli import arguments as given
from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit

BUCKET = "demo"
ENVIRONMENT = {"KONTENUM_ACCESS_KEY": "DEMO", "KONTENUM_SECRET_KEY": "demo-secret"}
MOST_FILES = 300


def main(argv: Sequence[str]) -> int:
    """Start an emulator, mount it, write, append, list, and fetch everything back."""
    source = Path(parser().parse_args(argv).source)
    if not source.is_dir():
        raise UserError(f"{source}: no such directory: name one with files to copy")
    with tempfile.TemporaryDirectory(prefix="kontenumfs-demo-") as directory:
        return Demo(Path(directory), source).run()


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``kontenumfs demo``."""
    made = given.parser(
        "demo", "Mount an emulator of Kontenum, write real files, and fetch them back."
    )
    made.add_argument("source", nargs="?", default="/usr/share/doc", help="files to copy in")
    return made


class Demo:
    """One run; everything is in `directory` and gone afterwards."""

    def __init__(self, directory: Path, source: Path) -> None:
        self._directory = directory
        self._source = source
        self._mountpoint = directory / "mnt"
        self._mountpoint.mkdir()
        self._log = directory / "access.log"
        self._cdn = ""

    def run(self) -> int:
        """Show it all; returns 0 when every byte came back as it went in."""
        emulator = subprocess.Popen(
            [
                *(sys.executable, "-m", "kontenumfs", "emulator", f"--bucket={BUCKET}"),
                *("--listen=127.0.0.1:0", "--cdn-listen=127.0.0.1:0"),
                *("--access-key=DEMO", "--secret-key=demo-secret"),
                *(f"--data={self._directory / 'data'}", f"--access-log={self._log}"),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert emulator.stdout is not None
            sides = dict(re.findall(r"(\w+)=(\S+)", emulator.stdout.readline()))
            self._cdn = sides["cdn"]
            print(f"a Kontenum of our own: {sides['s3']}, its CDN side: {self._cdn}")
            return self._mounted(sides["s3"])
        finally:
            if is_mountpoint(self._mountpoint):
                detach(self._mountpoint)
            emulator.terminate()
            emulator.wait()

    def _mounted(self, endpoint: str) -> int:
        self._tool("mount", "-o", f"endpoint={endpoint}", BUCKET, str(self._mountpoint))
        self._shell("cp -r, a tree of real files", f"cp -rL {self._some_files()} tree")
        rsync = f"rsync -a {self._directory}/files/ synced/"
        self._shell("rsync -a", rsync)
        self._shell("rsync -a again: nothing to send", rsync)
        self._shell("a log, appended to", "for i in 1 2 3 4 5; do echo line $i >> app.log; done")
        self._shell("64 MiB in one write", "head -c 64M /dev/urandom | tee ../random > big.bin")
        self._shell("ls -l", "ls -l")
        self._shell("reading is refused", "cat app.log || true")
        wrong = self._compare()
        self._tool("unmount", str(self._mountpoint))
        print("unmounted; the daemon has ended and everything is stored")
        return Exit.FAILED if wrong else Exit.OK

    def _some_files(self) -> Path:
        target = self._directory / "files"
        files = [path for path in sorted(self._source.rglob("*")) if path.is_file()]
        for path in files[:MOST_FILES]:
            copy = target / path.relative_to(self._source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
        return target

    def _shell(self, title: str, script: str) -> None:
        print(f"\n== {title}\n$ {script.replace(str(self._directory), '')}", flush=True)
        before = len(self._requests())
        subprocess.run(["bash", "-c", script], cwd=self._mountpoint, check=True)
        told = Counter(request["op"] for request in self._requests()[before:])
        sent = sum(request["request_bytes"] for request in self._requests()[before:])
        requests = ", ".join(f"{count} {name}" for name, count in told.items()) or "none"
        print(f"   requests: {requests}; {sent:,} bytes sent")

    def _requests(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def _compare(self) -> int:
        """Fetch every object through the CDN side; returns how many differ."""
        print("\n== everything back through the CDN side")
        expected = {"big.bin": self._directory / "random"}
        for path in (self._directory / "files").rglob("*"):
            if path.is_file():
                name = path.relative_to(self._directory / "files")
                expected |= {f"tree/{name}": path, f"synced/{name}": path}
        wrong = [key for key, path in expected.items() if self._fetch(key) != path.read_bytes()]
        for key in wrong:
            print(f"   differs: {key}")
        print(f"   {len(expected) - len(wrong)} of {len(expected)} objects are identical")
        print("   app.log: " + self._fetch("app.log").decode().replace("\n", " | "))
        return len(wrong)

    def _fetch(self, key: str) -> bytes:
        url = f"{self._cdn}/{BUCKET}/{urllib.parse.quote(key)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return bytes(answer.read())

    def _tool(self, *words: str) -> None:
        print(f"$ kontenumfs {' '.join(words)}")
        command = [sys.executable, "-m", "kontenumfs", *words]
        subprocess.run(command, env=os.environ | ENVIRONMENT, check=True)
