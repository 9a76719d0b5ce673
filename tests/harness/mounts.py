# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Real mounts, made and ended by the command line as users do it."""

import ctypes
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from kontenumfs.admin.mounts import detach, is_mountpoint
from tests.harness.emulator import ACCESS, BUCKET, SECRET
from tests.harness.processes import comm, peak_memory, running, words

PROMPTLY = 180.0
"""Seconds after which a command counts as hung."""


def run(
    *command: str | Path, check: bool = True, **options: object
) -> subprocess.CompletedProcess[str]:
    """Run a program with its output captured; a hung one fails the test."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=PROMPTLY,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    if check:
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done  # type: ignore[no-any-return]


def shell(script: str, cwd: Path, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a bash script in `cwd`."""
    return run("bash", "-c", script, check=check, cwd=cwd)


def kontenumfs(
    *words: str | Path, check: bool = True, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "KONTENUM_"))
    }
    env |= environment or {}
    return run(sys.executable, "-m", "kontenumfs", *words, check=check, env=env)


class Server(Protocol):
    """A store that can be mounted, and a way to see bytes that no mount shows."""

    s3_url: str

    def fetch(self, key: str) -> bytes:
        """An object's bytes."""

    def exists(self, key: str) -> bool:
        """Whether there is an object."""

    def mark(self) -> None:
        """Count requests from here on."""


class MountedBucket:
    """One mount.

    Args:
        directory: mountpoint, credentials and log are made in it.
        prefix: of the keys, without a slash at its end.
    """

    def __init__(self, directory: Path, server: Server, *options: str, prefix: str = "") -> None:
        self._server = server
        self._prefix = f"{prefix}/" if prefix else ""
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "mnt"
        self.path.mkdir(exist_ok=True)
        self.log = directory / "mount.log"
        self.expected = r"$^"
        """A pattern of the error lines that the test provokes in the daemon's log."""
        self.credentials = directory / "credentials"
        self.credentials.write_text(f"{ACCESS}:{SECRET}\n")
        self.credentials.chmod(0o600)
        self.words = [
            "-o",
            ",".join(
                (
                    f"endpoint={server.s3_url}",
                    f"credentials_file={self.credentials}",
                    f"log_file={self.log}",
                    "log_level=debug",
                    f"cache_dir={directory / 'cache'}",
                    *options,
                )
            ),
            f"{BUCKET}/{prefix}".rstrip("/"),
            str(self.path),
        ]
        self.mount()

    def mount(self) -> None:
        """Mount (again)."""
        kontenumfs("mount", *self.words)
        assert is_mountpoint(self.path, "fuse.kontenumfs")

    def unmount(self) -> None:
        """Unmount, and wait until the daemon has ended."""
        kontenumfs("unmount", self.path)
        assert not is_mountpoint(self.path)

    def key(self, name: str) -> str:
        """The key of a file name."""
        return self._prefix + name

    def fetch(self, name: str) -> bytes:
        """A file's bytes through the CDN side."""
        return self._server.fetch(self.key(name))

    def exists(self, name: str) -> bool:
        """Whether the CDN side has a file."""
        return self._server.exists(self.key(name))

    def daemon(self) -> int:
        """The daemon's process id."""
        for pid in running():
            said = words(pid)
            if os.fspath(self.path) in said and "mount" in said:
                return pid
        raise AssertionError(f"no daemon serves {self.path}")

    def kill(self) -> None:
        """End the daemon as a power cut would."""
        pid = self.daemon()
        os.kill(pid, signal.SIGKILL)
        await_end(pid)

    def terminate(self) -> None:
        """Ask the daemon to end, as systemd does, and wait until it has."""
        pid = self.daemon()
        os.kill(pid, signal.SIGTERM)
        await_end(pid)

    def peak_memory(self) -> int:
        """Bytes that the daemon had in memory at most."""
        return peak_memory(self.daemon())

    def close(self) -> None:
        """End the mount however it is, and fail where the daemon logged an unexpected error."""
        if is_mountpoint(self.path):
            try:
                self.unmount()
            except BaseException:
                detach(self.path)
                raise
        if self.log.exists():
            said = self.log.read_text()
            assert "Traceback" not in said, said[-4000:]
            errors = [line for line in said.splitlines() if re.search(" (ERROR|CRITICAL) ", line)]
            unexpected = [line for line in errors if not re.search(self.expected, line)]
            assert not unexpected, unexpected


class MountFactory:
    """Makes mounts of one test: ``mount("ttl=1", prefix="some/prefix")``.

    Args:
        directory: the mounts' mountpoints, logs and credentials are made in it.
        name: the prefix of the test's own, unless it wants another.
    """

    def __init__(self, server: Server, directory: Path, name: str) -> None:
        self._server = server
        self._directory = directory
        self.prefix = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-")
        self._made: list[MountedBucket] = []

    def __call__(
        self, *options: str, prefix: str | None = None, server: Server | None = None
    ) -> MountedBucket:
        """Mount, and count requests from then on."""
        server = server or self._server
        directory = self._directory / f"mount{len(self._made)}"
        prefix = self.prefix if prefix is None else prefix
        made = MountedBucket(directory, server, *options, prefix=prefix)
        self._made.append(made)
        server.mark()
        return made

    def close(self) -> None:
        """End all of them; the first failure is reported when all are gone."""
        with ExitStack() as stack:
            for made in self._made:
                stack.callback(made.close)


@contextmanager
def called(name: str) -> Iterator[None]:
    """In the block, this program's comm is `name`, as /proc and the mount see it (prctl(2))."""
    libc, pr_set_name = ctypes.CDLL(None), 15
    before = comm(threading.get_native_id())
    libc.prctl(pr_set_name, name.encode())
    try:
        yield
    finally:
        libc.prctl(pr_set_name, before.encode())


def await_end(pid: int) -> None:
    """Return when a process has ended."""
    handle = os.pidfd_open(pid)
    try:
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        assert waiting.poll(PROMPTLY * 1000), f"process {pid} does not end"
    finally:
        os.close(handle)


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when `condition` holds; a test fails that waits too long."""
    until = time.monotonic() + PROMPTLY
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.005)
