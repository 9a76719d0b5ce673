# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""mount(8), fstab, .mount and .automount units: they all come to mount.kontenumfs."""

from collections.abc import Iterator

import pytest

from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator
from tests.harness.machine import PROJECT, Machine

WHERE = "/srv/origin"
UNIT = "srv-origin.mount"


class Place:
    """/srv/origin, and the settings and keys that examples have in /etc/kontenumfs/origin.*."""

    def __init__(self, machine: Machine, emulator: Emulator) -> None:
        self.machine = machine
        self._emulator = emulator
        machine.run("mkdir", "-p", WHERE)
        machine.write("/etc/kontenumfs/origin.toml", f"[store]\nendpoint = '{emulator.s3_url}'\n")
        machine.write("/etc/kontenumfs/origin.keys", f"{ACCESS}:{SECRET}\n", 0o600)

    def mount(self, *words: str, check: bool = True) -> str:
        """Run mount(8); returns its exit code and what it says."""
        options = ("-o", "config=/etc/kontenumfs/origin.toml")
        done = self.machine.run("mount", *options, *words, check=check)
        return f"{done.returncode} {done.stderr}"

    def daemon(self) -> str:
        """The process id of the daemon of /srv/origin."""
        return self.machine.sh("cat /run/kontenumfs/*.lock")

    def write(self) -> None:
        """Write a file, and see it on the CDN side."""
        self.machine.sh(f"echo content > {WHERE}/file")
        assert self._emulator.fetch("place/file") == b"content\n"

    def example(self, name: str, **changes: str) -> None:
        """Install one of the examples, with this bucket and some changes."""
        text = (PROJECT / "systemd" / "examples" / name).read_text()
        for old, new in {"my-bucket": f"{BUCKET}/place", **changes}.items():
            assert old in text or old == "my-bucket"
            text = text.replace(old, new)
        self.machine.write(f"/etc/systemd/system/{name}", text)
        self.machine.run("systemctl", "daemon-reload")


@pytest.fixture
def place(machine: Machine, emulator: Emulator) -> Iterator[Place]:
    """A place that is empty again afterwards."""
    yield Place(machine, emulator)
    machine.sh(
        "systemctl stop srv-origin.automount srv-origin.mount 2>/dev/null; : > /etc/fstab;"
        f"umount -q {WHERE}; rm -f /etc/systemd/system/srv-origin.*; systemctl daemon-reload",
        check=False,
    )
    machine.until("! pgrep -f '[m]ount.kontenumfs'")
    assert machine.layers(WHERE) == 0


@pytest.mark.parametrize("kind", ["kontenumfs", "fuse.kontenumfs"])
def test_mount(place: Place, kind: str) -> None:
    """It returns when the mount answers, with the options of mount(8) understood."""
    words = "rw,allow_other,nosuid,nodev,noatime,_netdev,nofail,x-systemd.automount,x-foo=bar"
    place.mount("-t", kind, "-o", words, f"{BUCKET}/place", WHERE)
    place.write()
    options = place.machine.sh(f"findmnt -n -o FSTYPE,SOURCE,OPTIONS {WHERE}")
    assert options.startswith(f"fuse.kontenumfs {BUCKET}/place rw,nosuid,nodev")
    assert "allow_other" in options


def test_read_only(place: Place) -> None:
    """mount -r."""
    place.mount("-r", "-t", "kontenumfs", f"{BUCKET}/place", WHERE)
    assert " ro," in place.machine.sh(f"findmnt -n -o OPTIONS {WHERE}").join("  ")


def test_refusals(place: Place) -> None:
    """32 and one line; nothing is mounted, and a mount that is there stays one."""
    unknown = place.mount("-t", "kontenumfs", "-o", "foo", f"{BUCKET}/place", WHERE, check=False)
    assert unknown.startswith("32 mount.kontenumfs: unknown mount option 'foo'")
    missing = place.mount("-t", "kontenumfs", "no-such-bucket", WHERE, check=False)
    assert missing.startswith("32 mount.kontenumfs: no-such-bucket at ")
    assert place.machine.layers(WHERE) == 0
    place.mount("-t", "kontenumfs", f"{BUCKET}/place", WHERE)
    again = place.machine.run("mount", "-o", "remount,ro", WHERE, check=False)
    assert again.returncode == 32
    assert "cannot be remounted" in again.stderr
    assert place.machine.layers(WHERE) == 1


def test_mount_unit(place: Place) -> None:
    """The example: without PATH and HOME, logging to the unit's journal."""
    place.example(UNIT)
    verified = place.machine.run("systemd-analyze", "verify", UNIT)
    assert verified.stdout + verified.stderr == ""
    place.machine.run("systemctl", "start", UNIT)
    place.write()
    environment = place.machine.sh(f"tr '\\0' ' ' < /proc/{place.daemon()}/environ")
    assert "PATH=" not in environment
    assert "HOME=" not in environment
    place.machine.until(f"journalctl -b -u {UNIT} -p info..info | grep 'mounted {BUCKET}/place'")
    place.machine.run("systemctl", "stop", UNIT)
    assert place.machine.layers(WHERE) == 0


def test_a_mount_unit_that_fails_says_why(place: Place) -> None:
    """In its journal, as an error."""
    place.example(UNIT, **{"allow_other": "credentials_file=/nowhere"})
    started = place.machine.run("systemctl", "start", UNIT, check=False)
    assert started.returncode == 1
    assert "/nowhere: No such file" in place.machine.journal(UNIT, "-p", "err..err")
    assert "status=32" in place.machine.journal(UNIT)
    place.machine.run("systemctl", "reset-failed", UNIT)


def test_automount(place: Place) -> None:
    """Mounted when somebody looks, again after a while of rest, and without a standstill."""
    place.example(UNIT)
    place.example("srv-origin.automount", **{"10min": "1s"})
    place.machine.run("systemctl", "start", "srv-origin.automount")
    assert place.machine.show(UNIT, "ActiveState") == "inactive"
    place.write()
    assert place.machine.show(UNIT, "ActiveState") == "active"
    place.machine.until(f"! systemctl is-active {UNIT}")
    place.write()


def test_a_dead_daemon_of_a_mount_unit(place: Place) -> None:
    """A restart of the unit clears it up."""
    place.example(UNIT)
    place.machine.run("systemctl", "start", UNIT)
    place.machine.sh(f"kill -KILL {place.daemon()}")
    place.machine.until(f"stat {WHERE} 2>&1 | grep 'not connected'")
    place.machine.run("systemctl", "restart", UNIT)
    place.write()
    assert place.machine.layers(WHERE) == 1


def test_fstab(place: Place) -> None:
    """The lines of the example, at boot's doing and by hand."""
    text = (PROJECT / "systemd" / "examples" / "fstab").read_text().replace("my-bucket", BUCKET)
    place.machine.write("/etc/fstab", text.replace(f"{BUCKET} ", f"{BUCKET}/place "))
    place.machine.run("mkdir", "-p", "/srv/vod", "/srv/spare")
    place.machine.run("systemctl", "daemon-reload")
    place.machine.sh("systemctl start srv-origin.mount srv-vod.automount")
    try:
        place.write()
        place.machine.sh("echo content > /srv/vod/file; mount /srv/spare; mount -a")
        layers = [place.machine.layers(path) for path in (WHERE, "/srv/vod", "/srv/spare")]
        assert layers == [1, 2, 1]  # the automount's own below /srv/vod
        after = place.machine.show("srv-origin.mount", "After")
        assert "network-online.target" in after
    finally:
        place.machine.sh("systemctl stop srv-vod.automount srv-vod.mount; umount /srv/spare")
