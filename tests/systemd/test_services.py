# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""kontenumfs@NAME and kontenumfs-sandbox@NAME through a long life under a real systemd."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness.emulator import SECRET, Emulator
from tests.harness.machine import Machine
from tests.systemd.conftest import LATE, TEMPLATES, NamedMount, NamedMountFactory

EXPOSURE = {"kontenumfs": 4.0, "kontenumfs-sandbox": 1.5}
"""What `systemd-analyze security` may find at most."""


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_units_are_clean_and_closed(machine: Machine, template: str) -> None:
    """systemd has nothing to say of them, and little to gain from breaking into them."""
    unit = f"{template}@x.service"
    verified = machine.run("systemd-analyze", "verify", unit)
    assert verified.stdout + verified.stderr == ""
    words = machine.sh(
        f"systemd-analyze security --no-pager {unit} | grep 'exposure level'"
    ).split()
    exposure = float(words[words.index(f"{unit}:") + 1])
    assert 0 < exposure <= EXPOSURE[template]


def test_the_mount_answers_when_start_returns(named: NamedMount) -> None:
    """For root and for others; the command line finds the daemon."""
    named.start()
    named.sh("echo content > file")
    assert named.fetch("file") == b"content\n"
    assert named.sh("setpriv --reuid=65534 --regid=65534 --clear-groups ls") == "file"
    assert '"open_files": 0' in named.sh("kontenumfs status --json .")
    assert str(named.path) in named.sh("kontenumfs status")
    assert named.sh("stat -c %u:%g .") == "0:0"
    options = named.sh("findmnt -n -o OPTIONS .")
    assert "nosuid,nodev" in options


def test_status_says_how_it_goes(named: NamedMount, emulator: Emulator) -> None:
    """Bucket, place, pending bytes, and the last error."""
    named.configure("[publish]\nappend_interval = '1h'\n")
    named.start()
    assert f"bucket/{named.name} at {named.path}: mounted" in named.show("StatusText")
    with ThreadPoolExecutor() as threads:
        writing = threads.submit(named.write_late, open_for=2)
        named.await_status("7 bytes pending in 1 open files")
        writing.result()
    named.sh(f"mv {LATE} file")
    named.await_status("0 bytes pending in 0 open files")
    emulator.fault(op="PutObject", count=None, status=403, code="AccessDenied")
    named.sh("! cp /etc/hostname file")
    named.await_status("last error at 20")
    assert "AccessDenied" in named.show("StatusText")
    assert named.show("ActiveState") == "active"


def test_the_journal_has_priorities(named: NamedMount, emulator: Emulator) -> None:
    """What is usual is info, what went wrong is a warning, what is lost is an error."""
    named.start()
    emulator.fault(op="PutObject", count=None, status=403, code="AccessDenied")
    named.sh("! cp /etc/hostname file")
    named.write_late()
    named.stop()
    assert f"mounted bucket/{named.name} at" in named.journal("-p", "info..info")
    assert "AccessDenied" in named.journal("-p", "warning..warning")
    errors = named.journal("-p", "err..err")
    assert f"not stored: {named.name}/{LATE}" in errors
    assert "kontenumfs: 1 files could not be stored" in errors
    assert "<" not in errors.replace("<!", "")


def test_what_cannot_be_stored_fails_the_service(named: NamedMount, emulator: Emulator) -> None:
    """Within the deadline, although the store would be tried for ever."""
    named.configure("deadline = '2s'\n")
    named.start()
    named.write_late()
    emulator.fault(op="PutObject", count=None, status=503, code="SlowDown")
    named.stop()
    assert named.show("Result") == "exit-code"
    assert named.show("ExecMainStatus") == "1"
    assert LATE in named.journal("-p", "err..err")


def test_reload_reads_rules_anew(named: NamedMount, emulator: Emulator) -> None:
    """`systemctl reload` keeps the daemon, and new files are published by the new rules."""
    named.start()
    before = named.show("MainPID")
    named.configure("[[headers]]\nmatch = '*'\nCache-Control = 'max-age=7'\n")
    named.machine.run("systemctl", "reload", named.unit)
    named.machine.until(f"journalctl -b -u {named.unit} -o cat | grep 'were read anew'")
    assert named.show("ActiveState") == "active"
    named.sh("echo content > file")
    assert emulator.head(f"{named.name}/file")["cache-control"] == "max-age=7"
    assert named.show("MainPID") == before


def test_a_bad_file_is_no_end_at_reload(named: NamedMount) -> None:
    """The old settings stay, and the status says so."""
    named.start()
    named.configure("[cash]\n")
    named.machine.run("systemctl", "reload", named.unit)
    named.await_status("not reloaded")
    named.sh("echo content > file")
    assert named.fetch("file") == b"content\n"


def test_a_hung_daemon_is_restarted(named: NamedMount) -> None:
    """The watchdog hears nothing of it any more."""
    named.drop_in("WatchdogSec=2\nRestartSec=0")
    named.start()
    named.machine.run("sleep", "3")
    assert named.show("NRestarts") == "0"
    named.machine.sh(f"kill -STOP {named.show('MainPID')}")
    named.await_restart()
    assert "Watchdog timeout" in named.journal()
    assert "Fatal Python error: Aborted" in named.journal()  # and where it hung
    assert named.machine.layers(named.path) == 1
    named.sh("echo content > file")
    assert named.fetch("file") == b"content\n"


def test_a_killed_daemon_is_restarted(named: NamedMount) -> None:
    """What was closed before is there, the mount is one mount, and works."""
    named.drop_in("RestartSec=0")
    named.start()
    named.sh("echo before > before")
    named.machine.sh(f"kill -KILL {named.show('MainPID')}")
    named.await_restart()
    assert named.machine.layers(named.path) == 1
    named.sh("echo after > after")
    assert (named.fetch("before"), named.fetch("after")) == (b"before\n", b"after\n")


def test_a_killed_daemon_offers_nobody_the_bare_directory(named: NamedMount) -> None:
    """S11.4: Where it is not restarted, its mount stays, dead, for the next start."""
    named.drop_in("Restart=no")
    named.start()
    named.machine.sh(f"kill -KILL {named.show('MainPID')}")
    named.machine.until(f"[ $(systemctl show -p ActiveState --value {named.unit}) = failed ]")
    told = named.machine.sh(f"echo x > {named.path}/x || true; ls {named.path} 2>&1 || true")
    assert "not connected" in told
    named.machine.run("systemctl", "start", named.unit)
    assert named.machine.layers(named.path) == 1
    named.sh("echo after > after")
    assert named.fetch("after") == b"after\n"
    named.machine.run("systemctl", "stop", named.unit)
    assert named.machine.layers(named.path) == 0
    assert named.machine.sh(f"ls -A {named.path}") == ""


def test_stop_under_load_loses_nothing(named: NamedMount) -> None:
    """Every file whose close has succeeded is whole."""
    named.start()
    script = """
        cd {path}
        for writer in 1 2 3 4; do
            ( for i in $(seq 1000); do
                  yes $writer.$i | head -c 200000 > f$writer.$i && echo $writer.$i || break
              done >> /root/{name}.$writer ) 2>/dev/null &
        done
        wait
    """
    with named.machine.start(script.format(path=named.path, name=named.name)) as writers:
        named.machine.until(f"[ $(cat /root/{named.name}.* | wc -l) -gt 40 ]")
        named.stop()
        writers.wait()
    assert named.show("Result") == "success"
    closed = named.machine.sh(f"cat /root/{named.name}.*").split()
    assert len(closed) > 40
    for name in closed:
        line = f"{name}\n".encode()
        assert named.fetch(f"f{name}") == (line * (200_000 // len(line) + 1))[:200_000]


def test_the_time_to_stop_is_extended(named: NamedMount, emulator: Emulator) -> None:
    """As long as data is being stored, systemd waits, whatever TimeoutStopSec= says."""
    named.drop_in("TimeoutStopSec=1")
    named.start()
    named.write_late()
    emulator.fault(op="PutObject", delay=3.0)
    named.stop()
    assert named.show("Result") == "success"
    assert named.fetch(LATE) == b"content"


def test_stop_after_unmount_waits_too(named: NamedMount, emulator: Emulator) -> None:
    """SIGTERM finds the daemon already storing what is left, and does not end it."""
    named.start()
    named.write_late()
    emulator.fault(op="PutObject", delay=2.0)
    named.machine.run("umount", named.path)
    named.stop()
    assert named.show("Result") == "success"
    assert named.fetch(LATE) == b"content"


def test_an_unmounted_service_ends(named: NamedMount) -> None:
    """An operator's umount(8) is no failure, and is not undone."""
    named.start()
    named.machine.run("umount", named.path)
    named.machine.until(f"[ $(systemctl show -p ActiveState --value {named.unit}) = inactive ]")
    assert named.show("Result") == "success"
    assert named.show("NRestarts") == "0"


def test_keys_by_systemd(named: NamedMount) -> None:
    """LoadCredential= brings them from wherever they are, and only to the service."""
    machine = named.machine
    machine.run("mv", f"/etc/kontenumfs/{named.name}.keys", "/root/elsewhere")
    named.drop_in("LoadCredential=kontenum:/root/elsewhere")
    named.start()
    named.sh("echo content > file")
    assert named.fetch("file") == b"content\n"
    environment = machine.sh(f"tr '\\0' '\\n' < /proc/{named.show('MainPID')}/environ")
    assert "CREDENTIALS_DIRECTORY=" in environment
    assert SECRET not in environment


def test_no_keys_at_all(service: NamedMountFactory) -> None:
    """One line says so, and it is not tried again."""
    for template in TEMPLATES:
        named = service(template, keys=False)
        named.machine.run("systemctl", "start", named.unit, check=False)
        assert "no key pair" in named.journal("-p", "err..err")
        assert named.show("ActiveState") == "failed"
        assert named.show("ExecMainStatus") == "5"


def test_a_store_that_is_away_is_tried_again(named: NamedMount, emulator: Emulator) -> None:
    """At boot the network may be late: the service comes up when the store does."""
    emulator.fault(op="*", count=None, status=403, code="AccessDenied")
    named.machine.run("systemctl", "start", named.unit, check=False)
    assert named.show("ActiveState") == "activating"
    emulator.clear_faults()
    named.machine.until(f"systemctl is-active {named.unit}")
    assert "these keys may not use this bucket" in named.journal("-p", "err..err")
