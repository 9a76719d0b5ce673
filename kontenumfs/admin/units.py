# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The systemd units and the mount helpers: where they come from, and putting them in place."""

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kontenumfs.protocol.errors import UserError

WRITTEN = "/opt/kontenumfs/bin/kontenumfs"
"""The command as our units have it; the one of this installation takes its place."""
MARK = "The kontenumfs authors"
"""A file without it is somebody else's, and stays as it is."""
UNITS = {
    "kontenumfs@.service": "usr/local/lib/systemd/system/kontenumfs@.service",
    "kontenumfs-sandbox@.service": "usr/local/lib/systemd/system/kontenumfs-sandbox@.service",
    "kontenumfs.tmpfiles": "usr/local/lib/tmpfiles.d/kontenumfs.conf",
    "updatedb.conf": "usr/local/lib/systemd/system/plocate-updatedb.service.d/kontenumfs.conf",
}
"""Below systemd/ -> below the root. What an administrator writes in /etc comes before these."""
HELPERS = ("mount.kontenumfs", "mount.fuse.kontenumfs")
HIDDEN = ("/home", "/root", "/run/user")
"""The directories that ProtectHome= takes away from the sandboxed service."""
COMMAND = "usr/local/bin/kontenumfs"
"""The link to the command, so that it is on everybody's PATH."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The files and links below `root`, to be put there and taken away again.

    Args:
        root: of the system, / unless an image is being made.
        program: the kontenumfs command; mount.kontenumfs is beside it.
        source: the directory of our units.
    """

    root: Path
    program: Path
    source: Path

    @classmethod
    def of(cls, root: Path) -> "Installation":
        """Make the one of the running kontenumfs; raises UserError where it was not installed."""
        return cls(root, _program(), _source())

    def install(self) -> Iterator[Path]:
        """Put everything in place; yields what was written. Raises UserError."""
        program = str(self.program).replace("%", "%%")
        if not program.isprintable() or set(program) & set(" \t\"'\\$"):
            raise UserError(f"{program}: no unit can have such a path: install it elsewhere")
        try:
            for name, path in UNITS.items():
                text = (self.source / name).read_text()
                yield self._write(self.root / path, text.replace(WRITTEN, program))
            for link, target in self._links().items():
                yield self._link(link, target)
        except OSError as error:
            raise UserError(f"{error.filename}: {error.strerror}: run it as root") from None

    @property
    def warning(self) -> str:
        """Return a warning of what will not work; empty where everything will."""
        real = self.program.resolve()
        if not any(real.is_relative_to(place) for place in HIDDEN):
            return ""
        return (
            f"kontenumfs-sandbox@ cannot see {real}, which is below {', '.join(HIDDEN)}: "
            "install kontenumfs elsewhere, such as /opt/kontenumfs, to use it"
        )

    def uninstall(self) -> Iterator[Path]:
        """Take away what `install` put there and nobody replaced; yields it. Raises UserError."""
        try:
            for relative in UNITS.values():
                path = self.root / relative
                if path.is_file() and MARK in path.read_text(errors="replace"):
                    path.unlink()
                    if path.parent.suffix == ".d" and not any(path.parent.iterdir()):
                        path.parent.rmdir()
                    yield path
            for path in self._links():
                if path.is_symlink() and _is_ours(path):
                    path.unlink()
                    yield path
        except OSError as error:
            raise UserError(f"{error.filename}: {error.strerror}: run it as root") from None

    def _links(self) -> dict[Path, Path]:
        helper = self.program.with_name(HELPERS[0])
        # mount(8) looks into /sbin, which most systems have as a link to /usr/sbin.
        sbin = self.root / ("sbin" if (self.root / "sbin").exists() else "usr/sbin")
        links = {sbin / name: helper for name in HELPERS}
        if self.program != self.root / COMMAND:
            links[self.root / COMMAND] = self.program
        return links

    def _write(self, path: Path, text: str) -> Path:
        if path.exists() and MARK not in path.read_text(errors="replace"):
            raise UserError(f"{path}: is not ours: move it away first")
        _make_directory(path.parent)
        path.write_text(text)
        path.chmod(0o644)
        return path

    def _link(self, path: Path, target: Path) -> Path:
        if path.is_symlink() and _is_ours(path):
            path.unlink()
        if os.path.lexists(path):
            raise UserError(f"{path}: is not ours: move it away first")
        _make_directory(path.parent)
        path.symlink_to(target)
        return path


def _make_directory(path: Path) -> None:
    """Make the missing directories down to `path`, for all to enter, whatever the umask is."""
    missing = [at for at in (path, *path.parents) if not at.exists()]
    for at in reversed(missing):
        at.mkdir()
        at.chmod(0o755)


def _is_ours(link: Path) -> bool:
    """Tell whether a link goes to a kontenumfs command, or to one that is gone."""
    target = link.parent / os.readlink(link)
    if target.name not in (HELPERS[0], os.path.basename(COMMAND)):
        return False
    try:
        return b"kontenumfs.cli" in target.read_bytes()  # pip's script imports it
    except FileNotFoundError:
        return True


def _program() -> Path:
    """Find the kontenumfs command of this installation; raises UserError."""
    beside = Path(sys.executable).with_name("kontenumfs")
    found = beside if beside.exists() else Path(shutil.which("kontenumfs") or "")
    if not found.is_file() or not found.with_name(HELPERS[0]).exists():
        raise UserError("kontenumfs is not installed: python3 -m pip install . does it")
    return found.absolute()


def _source() -> Path:
    """Find our units: installed with the package, or in the source tree that it runs from."""
    name = "systemd/kontenumfs@.service"
    try:
        files = importlib.metadata.files("kontenumfs") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    installed = [Path(str(file.locate())).resolve() for file in files if str(file).endswith(name)]
    for unit in (*installed, Path(__file__).parents[2] / name):
        if unit.is_file():
            return unit.parent
    raise UserError("the systemd units are missing: install kontenumfs anew")
