# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``rclone serve s3``: a server that nobody here wrote, and its own record of what it was asked."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.emulator import ACCESS, BUCKET, SECRET
from tests.harness.mounts import wait_until
from tests.interop.clients import PROGRAMS

GET, HEAD, LIST = "GET OBJECT", "HEAD OBJECT", "LIST BUCKET"
"""How its log calls the requests."""


class RcloneServer:
    """A running server, and its objects, which are files below a directory.

    Args:
        root: the directory of its one bucket.
        log: what it prints.
    """

    def __init__(self, s3_url: str, root: Path, log: Path) -> None:
        self.s3_url = s3_url
        self.root = root
        self._log = log
        self._mark = 0

    def fetch(self, key: str) -> bytes:
        """An object's bytes."""
        return (self.root / key).read_bytes()

    def exists(self, key: str) -> bool:
        """Whether there is an object."""
        return (self.root / key).exists()

    def mark(self) -> None:
        """Count requests from here on."""
        self._mark = len(self._log.read_text())

    def counts(self) -> Counter[str]:
        """The requests on buckets and objects since the mark, which it logs before it answers."""
        said = self._log.read_text()[self._mark :]
        return Counter(re.findall(r": serve s3: ([A-Z]{3,} [A-Z]{3,})\b", said))


@contextmanager
def running_rclone(directory: Path) -> Iterator[RcloneServer]:
    """A server for the block; afterwards no request may have been a GetObject."""
    root, log = directory / "served" / BUCKET, directory / "rclone.log"
    root.mkdir(parents=True)
    command = [str(PROGRAMS / "rclone"), "--config", "/dev/null", "-vv", "serve", "s3"]
    command += ["--addr", "127.0.0.1:0", "--auth-key", f"{ACCESS},{SECRET}", str(root.parent)]
    with (
        open(log, "wb") as errors,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors) as process,
    ):
        try:
            wait_until(lambda: process.poll() is not None or "http://" in log.read_text())
            found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
            assert found, log.read_text()
            server = RcloneServer(found.group(), root, log)
            yield server
        finally:
            process.terminate()
    assert f"serve s3: {GET}" not in log.read_text()
