# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Real mounts, made and ended by the command line as users do it."""

import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from kontenumfs.daemon.kernel import detach, is_mountpoint
from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator

PROMPTLY = 60.0
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


class MountedBucket:
    """One mount.

    Args:
        directory: mountpoint, credentials and log are made in it.
        endpoint: where the store is.
    """

    def __init__(self, directory: Path, endpoint: str, *options: str, source: str = BUCKET) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "mnt"
        self.path.mkdir(exist_ok=True)
        self.log = directory / "mount.log"
        self.expected = r"$^"
        """A pattern of the error lines that the test provokes in the daemon's log."""
        self.credentials = directory / "credentials"
        self.credentials.write_text(f"{ACCESS}:{SECRET}\n")
        self.credentials.chmod(0o600)
        self._words = [
            "-o",
            ",".join(
                (
                    f"endpoint={endpoint}",
                    f"credentials_file={self.credentials}",
                    f"log_file={self.log}",
                    "log_level=debug",
                    *options,
                )
            ),
            source,
            str(self.path),
        ]
        self.mount()

    def mount(self) -> None:
        """Mount (again)."""
        kontenumfs("mount", *self._words)
        assert is_mountpoint(self.path, "fuse.kontenumfs")

    def unmount(self) -> None:
        """Unmount, and wait until the daemon has ended."""
        kontenumfs("unmount", self.path)
        assert not is_mountpoint(self.path)

    def daemon(self) -> int:
        """The daemon's process id."""
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                try:
                    words = (process / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if os.fsencode(self.path) in words and b"mount" in words:
                    return int(process.name)
        raise AssertionError(f"no daemon serves {self.path}")

    def kill(self) -> None:
        """End the daemon as a power cut would."""
        os.kill(self.daemon(), signal.SIGKILL)

    def peak_memory(self) -> int:
        """Bytes that the daemon had in memory at most."""
        status = Path(f"/proc/{self.daemon()}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

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

    def __init__(self, emulator: Emulator, directory: Path, name: str) -> None:
        self._emulator = emulator
        self._directory = directory
        self.prefix = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-")
        self._made: list[MountedBucket] = []

    def __call__(
        self, *options: str, prefix: str | None = None, emulator: Emulator | None = None
    ) -> MountedBucket:
        """Mount, and count requests from then on."""
        emulator = emulator or self._emulator
        directory = self._directory / f"mount{len(self._made)}"
        prefix = self.prefix if prefix is None else prefix
        source = f"{BUCKET}/{prefix}" if prefix else BUCKET
        made = MountedBucket(directory, emulator.s3_url, *options, source=source)
        self._made.append(made)
        emulator.mark()
        return made

    def close(self) -> None:
        """End all of them; the first failure is reported when all are gone."""
        with ExitStack() as stack:
            for made in self._made:
                stack.callback(made.close)
