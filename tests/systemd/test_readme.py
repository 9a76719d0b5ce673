# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The README's section on systemd, each command as it is written."""

import re

from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator
from tests.harness.machine import PROJECT, Machine

UNIT = "kontenumfs@origin.service"


def section() -> str:
    """The text between two titles."""
    readme = (PROJECT / "README.md").read_text()
    return readme.partition("## Run it under systemd\n")[2].partition("\n## ")[0]


def test_the_commands_of_the_readme(machine: Machine, emulator: Emulator) -> None:
    """A service by name, from its start to its end; then the line for fstab."""
    *commands, fstab = re.findall(r"^    (.+?)(?:\s+#.*)?$", section(), re.MULTILINE)
    assert len(commands) == 6
    machine.run("mkdir", "-p", "/srv/origin")
    machine.write(
        "/etc/kontenumfs/origin.toml",
        f"[mount]\nbucket = '{BUCKET}'\nmountpoint = '/srv/origin'\nallow_other = true\n"
        f"[store]\nendpoint = '{emulator.s3_url}'\n",
    )
    machine.write("/etc/kontenumfs/origin.keys", f"{ACCESS}:{SECRET}\n", 0o600)
    machine.run("kontenumfs", "mount", "--name", "origin")
    for number, command in enumerate(commands):
        machine.sh(command)
        if command.startswith("systemctl enable"):
            machine.sh(f"echo {number} > /srv/origin/readme")
            assert emulator.fetch("readme") == f"{number}\n".encode()
    machine.run("systemctl", "disable", "--quiet", UNIT)
    machine.write("/etc/fstab", fstab.replace("my-bucket", BUCKET) + "\n")
    machine.run("mount", "/srv/origin")
    machine.sh("echo fstab > /srv/origin/readme; umount /srv/origin; : > /etc/fstab")
    assert emulator.fetch("readme") == b"fstab\n"
    machine.until("! pgrep -f '[m]ount.kontenumfs'")
