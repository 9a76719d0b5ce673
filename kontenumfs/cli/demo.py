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
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kontenumfs.admin.mounts import detach, is_mountpoint
from kontenumfs.cli import arguments as given
from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit

BUCKET = "demo"
ENVIRONMENT = {"KONTENUM_ACCESS_KEY": "DEMO", "KONTENUM_SECRET_KEY": "demo-secret"}
MOST_FILES = 300
ROUND_TRIP = 0.02
"""Seconds that each request takes longer, where a store far away is shown."""


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
        self._cdn = self._control = ""

    def run(self) -> int:
        """Show it all; returns 0 when every byte came back as it went in."""
        emulator = subprocess.Popen(
            [
                *(sys.executable, "-m", "kontenumfs", "emulator", f"--bucket={BUCKET}"),
                *("--listen=127.0.0.1:0", "--cdn-listen=127.0.0.1:0"),
                "--control-listen=127.0.0.1:0",
                *("--access-key=DEMO", "--secret-key=demo-secret"),
                *(f"--data={self._directory / 'data'}", f"--access-log={self._log}"),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert emulator.stdout is not None
            sides = dict(re.findall(r"(\w+)=(\S+)", emulator.stdout.readline()))
            self._cdn, self._control = sides["cdn"], sides["control"]
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
        wrong = self._compare({"tree": "files", "synced": "files"})
        print("   app.log: " + self._fetch("app.log").decode().replace("\n", " | "))
        self._fault(delay=ROUND_TRIP)
        far = f"each request takes {ROUND_TRIP * 1000:.0f} ms longer"
        self._shell(f"the same tree, and {far}", "cp -r ../files far")
        self._tool("unmount", str(self._mountpoint))
        print("unmounted; the daemon has ended and everything is stored")
        wrong += self._spooled(endpoint, far)
        return Exit.FAILED if wrong else Exit.OK

    def _spooled(self, endpoint: str, far: str) -> int:
        """Show the same with a spool, and an outage; returns how many objects differ."""
        spool = self._directory / "spool"
        spool.mkdir()
        options = f"endpoint={endpoint},durability=spool,spool_dir={spool}"
        print("\n== close() at disk speed: a spool on the local disk")
        self._tool("mount", "-o", options, BUCKET, str(self._mountpoint))
        self._shell(f"the same tree, and {far}: sent in the background", "cp -r ../files spooled")
        self._shell("fsync means the store all the same", "sync spooled spooled/*")
        self._fault(reset="before")
        self._shell(
            "the store is away, and nobody notices", "cp -r ../files outage; ls outage | wc -l"
        )
        self._tool("status", str(self._mountpoint))
        self._ask_control("DELETE", None)
        print("\n== the store is back")
        self._tool("unmount", str(self._mountpoint))
        return self._compare({"far": "files", "spooled": "files", "outage": "files"})

    def _fault(self, **fault: object) -> None:
        """Have the emulator do something to every request from now on."""
        self._ask_control("DELETE", None)
        self._ask_control("POST", {"op": "*", "count": None, **fault})

    def _ask_control(self, method: str, body: object) -> None:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._control}/faults", data=data, method=method)
        urllib.request.urlopen(request, timeout=60).close()

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
        before, began = len(self._requests()), time.monotonic()
        subprocess.run(["bash", "-c", script], cwd=self._mountpoint, check=True)
        seconds = time.monotonic() - began
        told = Counter(request["op"] for request in self._requests()[before:])
        sent = sum(request["request_bytes"] for request in self._requests()[before:])
        requests = ", ".join(f"{count} {name}" for name, count in told.items()) or "none"
        print(f"   {seconds:.2f} s; requests: {requests}; {sent:,} bytes sent")

    def _requests(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def _compare(self, trees: Mapping[str, str]) -> int:
        """Fetch every object through the CDN side; returns how many differ.

        Args:
            trees: of each tree in the bucket: the local directory that it was copied from.
        """
        print("\n== everything back through the CDN side")
        expected = {"big.bin": self._directory / "random"}
        for tree, directory in trees.items():
            source = self._directory / directory
            files = [path for path in source.rglob("*") if path.is_file()]
            expected |= {f"{tree}/{path.relative_to(source)}": path for path in files}
        wrong = [key for key, path in expected.items() if self._fetch(key) != path.read_bytes()]
        for key in wrong:
            print(f"   differs: {key}")
        print(f"   {len(expected) - len(wrong)} of {len(expected)} objects are identical")
        return len(wrong)

    def _fetch(self, key: str) -> bytes:
        url = f"{self._cdn}/{BUCKET}/{urllib.parse.quote(key)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return bytes(answer.read())

    def _tool(self, *words: str) -> None:
        print(f"$ kontenumfs {' '.join(words)}")
        command = [sys.executable, "-m", "kontenumfs", *words]
        subprocess.run(command, env=os.environ | ENVIRONMENT, check=True)
