# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A machine with a real systemd as process 1, in a container over this machine's own files."""

import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.harness.mounts import PROMPTLY, run, wait_until
from tests.harness.processes import children, comm, status

PROJECT = Path(__file__).parents[2]
BOOT = PROJECT / "tests" / "systemd" / "boot"
ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG=C.UTF-8",
    "LD_LIBRARY_PATH=/opt/python/lib",
    "SYSTEMD_PAGER=",
    "SYSTEMD_COLORS=0",
)


class Machine:
    """One that runs: kontenumfs is in /opt/kontenumfs, and the network is this machine's.

    Args:
        directory: where its files and its console's log are.
    """

    def __init__(self, directory: Path) -> None:
        self._console = directory / "console.log"
        state = directory / "machine"
        state.mkdir(parents=True)
        site = sysconfig.get_path("purelib")
        words = [str(BOOT), str(state), str(PROJECT), site, sys.base_prefix]
        with open(self._console, "wb") as console:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "--propagation=private", *words],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        self._leader = 0
        self._await_boot()

    @property
    def pid(self) -> int:
        """The process outside that is the machine."""
        return self._process.pid

    def _await_boot(self) -> None:
        try:
            wait_until(self._has_booted)
        except BaseException:
            self.console(print_it=True)
            self.close()
            raise

    def _has_booted(self) -> bool:
        assert self._process.poll() is None, "the machine did not boot"
        self._leader = self._find_leader()
        if not self._leader:
            return False
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded")

    def _find_leader(self) -> int:
        """The process outside that is the machine's process 1, or 0."""
        for nspawn in children(self._process.pid):
            for child in children(nspawn):
                # nspawn's helpers come and go.
                if status(child, "NSpid")[-1:] == ["1"] and comm(child) == "systemd":
                    return child
        return 0

    def run(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program in the machine, as root."""
        return run(*self.inside(), *words, check=check)

    def sh(self, script: str, *, check: bool = True) -> str:
        """Run a script in the machine; returns what it said on stdout."""
        return self.run("bash", "-c", script, check=check).stdout.strip()

    def inside(self) -> tuple[str, ...]:
        """What a command is run by that is to run in the machine."""
        spaces = ("-m", "-u", "-i", "-p", "-C", "-n", "-r", "-w")
        return ("nsenter", "-t", str(self._leader), *spaces, "--", "env", "-i", *ENVIRONMENT)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file in the machine."""
        script = 'mkdir -p "$(dirname "$0")"; printf %s "$1" > "$0"; chmod "$2" "$0"'
        self.run("bash", "-c", script, path, text, f"{mode:o}")

    def start(self, script: str) -> subprocess.Popen[bytes]:
        """Run a script in the machine beside the test."""
        return subprocess.Popen([*self.inside(), "bash", "-c", script])

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.sh(f"systemctl show -p {name} --value {unit}")

    def journal(self, unit: str, *options: str) -> str:
        """What a unit has logged since the boot."""
        return self.run("journalctl", "-b", "-u", unit, "-o", "cat", "--no-pager", *options).stdout

    def layers(self, path: str) -> int:
        """How many mounts are at `path`, one upon another."""
        table = self.sh("cat /proc/1/mountinfo").splitlines()
        return sum(line.split(" ")[4] == path for line in table)

    def until(self, condition: str) -> None:
        """Return when a script succeeds; a test fails that waits too long."""
        script = f"until {{ {condition}; }} >/dev/null 2>&1; do sleep 0.05; done"
        done = self.run("timeout", str(PROMPTLY / 2), "bash", "-c", script, check=False)
        assert done.returncode == 0, f"it did not happen: {condition}"

    def reboot(self) -> None:
        """Shut it down in good order and boot it again."""
        leader = self._leader
        self.run("systemctl", "reboot", check=False)
        wait_until(lambda: self._find_leader() not in (0, leader))
        self._await_boot()

    def console(self, *, print_it: bool = False) -> str:
        """What it has said on its console."""
        said = self._console.read_text(errors="replace")
        if print_it:
            print(said[-6000:])
        return said

    def close(self) -> None:
        """Shut it down, in good order where it can."""
        for nspawn in children(self._process.pid):
            os.kill(nspawn, signal.SIGTERM)
        try:
            self._process.wait(PROMPTLY)
        except subprocess.TimeoutExpired:
            for nspawn in children(self._process.pid):
                for leader in children(nspawn):
                    os.kill(leader, signal.SIGKILL)  # and with process 1 all of it
            self._process.wait(PROMPTLY)
            raise
