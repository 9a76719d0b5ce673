# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""An emulator process, its access log and its CDN side."""

import json
import re
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from tests.harness.processes import peak_memory

ACCESS, SECRET = "AKTEST", "sEcReT/+test"
BUCKET = "bucket"


class Emulator:
    """A running emulator.

    Args:
        directory: data and log are kept here.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._options = options
        self._log = directory / "access.log"
        self._errors = directory / "emulator.err"
        self._mark = 0
        self._ports: dict[str, str] = {}
        self.start()

    def start(self) -> None:
        """Start it, on its old ports when it ran before."""
        listen = [
            f"--{name}={self._ports.get(name, '127.0.0.1:0')}"
            for name in ("listen", "cdn-listen", "control-listen")
        ]
        keys = [f"--access-key={ACCESS}", f"--secret-key={SECRET}"]
        command = [sys.executable, "-m", "kontenumfs.emulator", *listen, *keys]
        command += [f"--data={self.directory / 'data'}", f"--bucket={BUCKET}"]
        command += [f"--access-log={self._log}", *self._options]
        with open(self._errors, "ab") as errors:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        assert self._process.stdout is not None
        ready = self._process.stdout.readline().decode()
        if not ready.startswith("kontenumfs emulator ready"):
            self._end()
            raise AssertionError(f"the emulator does not start: {self._errors.read_text()}")
        sides = dict(re.findall(r"(\w+)=(\S+)", ready))
        self.s3_url, self.cdn_url, self.control_url = sides["s3"], sides["cdn"], sides["control"]
        for name, side in (("listen", "s3"), ("cdn-listen", "cdn"), ("control-listen", "control")):
            self._ports[name] = sides[side].split("://")[1]

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._end()

    def stop(self) -> None:
        """End it in good order."""
        self._process.terminate()
        self._end()

    def fill(self, keys: Iterable[str], *, size: int = 0) -> None:
        """Give the bucket objects without bytes, by the hundred thousand: straight to its file."""
        etag, now = "d41d8cd98f00b204e9800998ecf8427e", time.time() - 60
        rows = ((BUCKET, key.encode(), 0, size, etag, now, "{}", 0) for key in keys)
        with (
            closing(sqlite3.connect(self.directory / "data" / "meta.sqlite")) as database,
            database,
        ):
            database.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def check_log(self) -> None:
        """Fail where the emulator reported an error of its own since the last check."""
        said = self._errors.read_text()
        self._errors.write_text("")
        assert not re.search("Traceback|ERROR|CRITICAL|Error:", said), said

    def check_no_reads(self) -> None:
        """Fail where a mount has ever sent a GetObject."""
        reads = [
            request
            for request in self.all_requests()
            if request["op"] == "GetObject" and request["user_agent"].startswith("kontenumfs")
        ]
        assert not reads, f"a mount sent GetObject: {reads}"

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def peak_memory(self) -> int:
        """Bytes that the emulator had in memory at most."""
        return peak_memory(self.pid)

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def _end(self) -> None:
        self._process.wait(timeout=20)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def mark(self) -> None:
        """Count requests from here on."""
        self._settle()
        self._mark = self._log.stat().st_size if self._log.exists() else 0

    def all_requests(self) -> list[dict[str, Any]]:
        """Every request since the emulator was made."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def _settle(self) -> None:
        """The log has every request whose answer was heard: one more round through the loop."""
        if self.is_running:
            self._control("GET", "/faults", None)

    def requests(self) -> list[dict[str, Any]]:
        """Every request since the mark."""
        self._settle()
        with open(self._log, "rb") as log:
            log.seek(self._mark)
            return [json.loads(line) for line in log.read().splitlines()]

    def counts(self) -> Counter[str]:
        """How often each operation came since the mark."""
        return Counter(request["op"] for request in self.requests())

    def sent(self, key: str | None = None) -> int:
        """Bytes of request bodies since the mark, of all keys or of one."""
        return sum(
            request["request_bytes"]
            for request in self.requests()
            if key is None or request["key"] == key
        )

    def fetch(self, key: str) -> bytes:
        """An object's bytes through the CDN side."""
        return self.fetch_with_headers(key)[0]

    def fetch_with_headers(self, key: str) -> tuple[bytes, dict[str, str]]:
        """An object's bytes and headers through the CDN side."""
        url = f"{self.cdn_url}/{BUCKET}/{urllib.parse.quote(key)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return answer.read(), headers

    def head(self, key: str) -> dict[str, str]:
        """An object's headers through the CDN side, names in lower case."""
        url = f"{self.cdn_url}/{BUCKET}/{urllib.parse.quote(key)}"
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return {name.lower(): value for name, value in answer.headers.items()}

    def exists(self, key: str) -> bool:
        """Whether the CDN side has an object."""
        try:
            self.fetch(key)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 404:
                raise
            return False
        return True

    def fault(self, **description: Any) -> None:
        """Set a fault: `kontenumfs.emulator.faults.Fault` says what its fields are."""
        self._control("POST", "/faults", description)

    def clear_faults(self) -> None:
        """Forget all faults."""
        self._control("DELETE", "/faults", None)

    def faults(self) -> list[dict[str, Any]]:
        """All faults, with what they have seen."""
        shown: list[dict[str, Any]] = self._control("GET", "/faults", None)
        return shown

    def activate(self, *keys: str) -> None:
        """Accept only these access keys."""
        self._control("POST", "/keys", {"active": keys})

    def _control(self, method: str, path: str, body: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.control_url + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")


@contextmanager
def running_emulator(directory: Path, *options: str) -> Iterator[Emulator]:
    """An emulator for the block; afterwards no request may have been a GetObject."""
    emulator = Emulator(directory, *options)
    try:
        yield emulator
        emulator.check_log()
        emulator.check_no_reads()
    finally:
        if emulator.is_running:
            emulator.stop()


class EmulatorPool:
    """Emulators with more options, started when a test asks for them, and kept for the next one.

    Args:
        directory: where each has a directory of its own.
        started: is told the process of each.
    """

    def __init__(self, directory: Path, started: Callable[[int], None]) -> None:
        self._directory = directory
        self._started = started
        self._running: dict[frozenset[str], Emulator] = {}
        self._stack = ExitStack()

    def get(self, *options: str) -> Emulator:
        """The emulator with these options, with requests counted from here on."""
        wanted = frozenset(options)
        if wanted not in self._running:
            directory = self._directory / str(len(self._running))
            made = self._stack.enter_context(running_emulator(directory, *options))
            self._started(made.pid)
            self._running[wanted] = made
        found = self._running[wanted]
        found.mark()
        return found

    def close(self) -> None:
        """Stop them all; each proves that no mount has read."""
        self._stack.close()
