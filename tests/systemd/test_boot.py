# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A machine boots with mounts that services write into, and shuts down under load."""

from tests.harness.emulator import Emulator
from tests.systemd.conftest import TEMPLATES, NamedMount, NamedMountFactory

CONSUMER = """
[Unit]
Requires={units}
After={units}
RequiresMountsFor=/srv/fstab {paths}
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'for at in {paths} /srv/fstab; do date > $at/hello; done'
ExecStop=/bin/sh -c 'for at in {paths} /srv/fstab; do seq 100000 > $at/bye; done'
[Install]
WantedBy=multi-user.target
"""
SLOW_NETWORK = """
[Unit]
Before=network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sleep 1
[Install]
WantedBy=network-online.target
"""


def when(named: NamedMount, unit: str, event: str) -> int:
    """Microseconds since the boot."""
    return int(named.machine.show(unit, f"{event}TimestampMonotonic"))


def test_boot_and_shutdown(service: NamedMountFactory, emulator: Emulator) -> None:
    """After the network, before who writes; and stopped after who writes, with nothing lost."""
    mounts = [service(template) for template in TEMPLATES]
    machine = mounts[0].machine
    units, paths = " ".join(m.unit for m in mounts), " ".join(m.path for m in mounts)
    machine.write("/etc/systemd/system/slow-network.service", SLOW_NETWORK)
    consumer = CONSUMER.format(units=units, paths=paths)
    machine.write("/etc/systemd/system/consumer.service", consumer)
    machine.run("mkdir", "/srv/fstab")
    settings = f"config=/etc/kontenumfs/{mounts[0].name}.toml"
    machine.write(
        "/etc/fstab",
        f"bucket/fstab /srv/fstab kontenumfs _netdev,nofail,allow_other,{settings} 0 0\n",
    )
    machine.sh(f"systemctl enable --quiet slow-network consumer {units}")
    try:
        machine.reboot()
        machine.until("systemctl is-active consumer")
        online = when(mounts[0], "network-online.target", "ActiveEnter")
        begun = when(mounts[0], "consumer", "ExecMainStart")
        for named in mounts:
            assert online <= when(named, named.unit, "ExecMainStart")
            assert when(named, named.unit, "ActiveEnter") <= begun
            assert named.exists("hello")
        assert emulator.exists("fstab/hello")
        machine.run("systemctl", "disable", "--quiet", "consumer", "slow-network", *units.split())
        machine.write("/etc/fstab", "")
        machine.reboot()
    finally:
        machine.sh("rm -f /etc/systemd/system/consumer.service; : > /etc/fstab")
    whole = "".join(f"{number}\n" for number in range(1, 100_001)).encode()
    assert [named.fetch("bye") == whole for named in mounts] == [True, True]
    assert emulator.fetch("fstab/bye") == whole
    for named in mounts:
        before = machine.run("journalctl", "-b", "-1", "-u", named.unit, "-o", "cat").stdout
        assert "Deactivated successfully" in before
        assert "Failed" not in before
