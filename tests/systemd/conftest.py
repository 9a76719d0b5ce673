# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One machine with a real systemd for all of these tests, and mounts by name in it."""

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator
from tests.harness.leaks import LASTING
from tests.harness.machine import Machine

HERE = Path(__file__).parent
LATE = ".late.ABCDEF"
"""A name as rsync makes it: held back until its rename, so pending for a while after close."""
TEMPLATES = ("kontenumfs", "kontenumfs-sandbox")
_numbers = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker runs all of these, for there is one machine (pytest-xdist groups after this)."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.xdist_group("systemd"))


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which kontenumfs is installed, its units and helpers too."""
    if os.geteuid() != 0 or shutil.which("systemd-nspawn") is None:
        if os.environ.get("CI"):
            pytest.fail("systemd is tested as root, with systemd-nspawn: see .ci/setup")
        pytest.skip("needs root and systemd-nspawn: apt-get install systemd-container")
    made = Machine(tmp_path_factory.mktemp("machine"))
    LASTING.add(made.pid)
    try:
        made.run("/opt/kontenumfs/bin/kontenumfs", "install-units")
        yield made
    finally:
        made.close()


class NamedMount:
    """What /etc/kontenumfs/NAME.toml says, and the service that mounts it.

    Args:
        more: lines of the file.
        keys: whether there is a file of keys beside it.
    """

    def __init__(
        self,
        machine: Machine,
        emulator: Emulator,
        template: str,
        *,
        more: str = "",
        keys: bool = True,
    ) -> None:
        self._emulator = emulator
        self.machine = machine
        self.name = f"m{next(_numbers)}"
        self.path = f"/srv/{self.name}"
        self.unit = f"{template}@{self.name}.service"
        self.settings = f"/etc/kontenumfs/{self.name}.toml"
        self.configure(more)
        if keys:
            machine.write(self.settings.replace(".toml", ".keys"), f"{ACCESS}:{SECRET}\n", 0o600)
        machine.run("mkdir", self.path)

    def configure(self, more: str) -> None:
        """Write the file of settings."""
        mount = f"bucket = '{BUCKET}'\nprefix = '{self.name}'\nmountpoint = '{self.path}'\n"
        store = f"endpoint = '{self._emulator.s3_url}'\n"
        text = f"[mount]\n{mount}allow_other = true\n[store]\n{store}{more}"
        self.machine.write(self.settings, text)

    def drop_in(self, service: str) -> None:
        """Change the service's own settings."""
        path = f"/etc/systemd/system/{self.unit}.d/test.conf"
        self.machine.write(path, f"[Service]\n{service}\n")
        self.machine.run("systemctl", "daemon-reload")

    def start(self) -> None:
        """Start the service."""
        self.machine.run("systemctl", "start", self.unit)

    def stop(self) -> None:
        """Stop it, however that ends."""
        self.machine.run("systemctl", "stop", self.unit, check=False)

    def sh(self, script: str, *, check: bool = True) -> str:
        """Run a script in the mount."""
        return self.machine.sh(f"cd {self.path} && {script}", check=check)

    def write_late(self, *, open_for: float = 0) -> None:
        """Make a file, as rsync does, that is closed (after some seconds) and not stored yet."""
        script = (
            "import os, time; open('/proc/self/comm', 'w').write('rsync'); "
            "f = os.open('{0}', os.O_CREAT | os.O_EXCL | os.O_WRONLY); "
            "os.write(f, b'content'); time.sleep({1})"
        )
        path = f"{self.path}/{LATE}"
        self.machine.run("/opt/kontenumfs/bin/python", "-c", script.format(path, open_for))

    def fetch(self, name: str) -> bytes:
        """A file's bytes through the CDN side."""
        return self._emulator.fetch(f"{self.name}/{name}")

    def exists(self, name: str) -> bool:
        """Whether the CDN side has a file."""
        return self._emulator.exists(f"{self.name}/{name}")

    def show(self, name: str) -> str:
        """A property of the service."""
        return self.machine.show(self.unit, name)

    def await_restart(self) -> None:
        """Return when systemd has restarted the service once and it is ready."""
        self.machine.until(
            f"[ $(systemctl show -p NRestarts --value {self.unit}) = 1 ] && "
            f"systemctl is-active {self.unit}"
        )

    def await_status(self, words: str) -> None:
        """Return when the status text has `words`."""
        self.machine.until(f"systemctl show -p StatusText {self.unit} | grep -F '{words}'")

    def journal(self, *options: str) -> str:
        """What the service has logged."""
        return self.machine.journal(self.unit, *options)

    def close(self) -> None:
        """End it, and fail where a daemon has logged a fault of ours."""
        self.stop()
        said = self.journal()
        self.machine.sh(f"systemctl reset-failed {self.unit} 2>/dev/null || true")
        assert "Traceback" not in said, said
        assert self.machine.layers(self.path) == 0


class NamedMountFactory:
    """Makes services of one test."""

    def __init__(self, machine: Machine, emulator: Emulator) -> None:
        self._machine = machine
        self._emulator = emulator
        self._made: list[NamedMount] = []

    def __call__(self, template: str, *, more: str = "", keys: bool = True) -> NamedMount:
        """One that is not started."""
        made = NamedMount(self._machine, self._emulator, template, more=more, keys=keys)
        self._made.append(made)
        return made

    def close(self) -> None:
        """End all of them."""
        for made in self._made:
            made.close()


@pytest.fixture
def service(machine: Machine, emulator: Emulator) -> Iterator[NamedMountFactory]:
    """Make services: ``service("kontenumfs")``; all of them end with the test."""
    factory = NamedMountFactory(machine, emulator)
    yield factory
    emulator.clear_faults()
    factory.close()


@pytest.fixture(params=TEMPLATES)
def named(request: pytest.FixtureRequest, service: NamedMountFactory) -> NamedMount:
    """One of each template, not started."""
    return service(request.param)
