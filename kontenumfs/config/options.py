# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The options: one row each.

To add an option, add a row to MountOptions and use ``options.NAME`` where it counts. Everything
else is derived from the row: ``-o``, fstab, KONTENUM_NAME, the configuration file, what a reload
changes, ``kontenumfs config``, ``--help``, completion, and (by ``make docs``) the manual pages and
docs/configuration.md.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from kontenumfs.config.values import (
    ADDRESS,
    DURATION,
    ENDPOINT,
    MODE,
    PATH,
    PATH_OR_NONE,
    SIZE,
    SWITCH,
    TOKEN,
    Kind,
    member_of,
    number,
    one_of,
    text,
)
from kontenumfs.protocol.dialect import MIN_PART
from kontenumfs.store.spool.order import PUBLISH_LAST
from kontenumfs.writing.policy import Durability, Publish

ARGUMENT = "it is an argument of the command line: kontenumfs mount BUCKET[/PREFIX] MOUNTPOINT"
SEEN = "all users would see it in the list of processes: use credentials_file="


@dataclass(frozen=True, slots=True)
class Option:
    """The row of one option.

    Args:
        kind: how its value is read, written and checked by itself.
        default: the value where nothing says one; None where there is none.
        section: the table of the configuration file that it stands in; empty for none.
        text: what it does, in one line.
        reload: a reload changes it in a running mount; else it counts from the next start on.
        by_file: a rule of [[files]] may set it for some of the files.
        secret: its value is never shown.
        kernel: it is a switch of FUSE, which gets it by this name.
        file_only: why it is no mount option; empty for one that is.
        check: what is wrong with it in these options; empty where nothing is.
        found: finds the default in the environment.
        name: the field's.
    """

    kind: Kind[Any]
    default: Any
    section: str
    text: str
    reload: bool = False
    by_file: bool = False
    secret: bool = False
    kernel: bool = False
    file_only: str = ""
    check: "Callable[[MountOptions], str] | None" = None
    found: Callable[[Mapping[str, str]], Any] | None = None
    name: str = ""

    @property
    def variable(self) -> str:
        """Return the name of its environment variable."""
        return f"KONTENUM_{self.name.upper()}"

    @property
    def word(self) -> str:
        """Return it as ``-o`` takes it, such as ``ttl=seconds`` or ``ro``."""
        return self.name if self.kind.is_switch else f"{self.name}={self.kind.unit}"

    @property
    def shown_default(self) -> str:
        """Return the default as one would write it; empty where there is none."""
        return "" if self.default is None else self.kind.show(self.default)

    def default_in(self, environment: Mapping[str, str]) -> Any:
        """Return the value where neither option, variable nor file says one."""
        return self.default if self.found is None else self.found(environment)


def option(kind: Kind[Any], default: Any, section: str, text: str, **more: Any) -> Any:
    """Make the field of an option; the arguments are those of Option."""
    row = Option(kind, default, section, text, **more)
    return field(repr=not row.secret, metadata={"row": row})


def _is_root_elsewhere(environment: Mapping[str, str]) -> bool:
    """Tell whether systemd hands the mount over: root makes those, whoever the daemon is."""
    return "LISTEN_FDS" in environment


def _own_user(environment: Mapping[str, str]) -> int:
    return 0 if _is_root_elsewhere(environment) else os.getuid()


def _own_group(environment: Mapping[str, str]) -> int:
    return 0 if _is_root_elsewhere(environment) else os.getgid()


def _chunk_is_a_part(options: "MountOptions") -> str:
    return "S3 takes no part below 5M" if options.chunk_size < MIN_PART else ""


def _memory_holds_chunks(options: "MountOptions") -> str:
    small = options.memory < 2 * options.chunk_size
    return "must hold two chunks (see chunk_size)" if small else ""


def _secret_stays_private(options: "MountOptions") -> str:
    scheme, _, host = options.endpoint.partition("://")
    local = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
    is_open = scheme == "http" and local not in ("127.0.0.1", "localhost", "[::1]")
    if options.signature != "plain" or not is_open:
        return ""
    return "plain sends the secret key itself: use an https endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class MountOptions:
    """The effective options of a mount, and the table of them all: a field is a row."""

    bucket: str | None = option(text("name"), None, "mount", "what is mounted", file_only=ARGUMENT)
    prefix: str | None = option(
        text("path", may_be_empty=True),
        None,
        "mount",
        "only the keys below it",
        file_only=ARGUMENT,
    )
    mountpoint: str | None = option(
        text("path"), None, "mount", "where it is mounted", file_only=ARGUMENT
    )
    endpoint: str = option(ENDPOINT, "https://s3.kontenum.com", "store", "where the store is")
    region: str = option(TOKEN, "us-east-1", "store", "region that requests are signed for")
    addressing: Literal["path", "virtual"] = option(
        one_of("path", "virtual"), "path", "store", "bucket in path or host"
    )
    signature: Literal["v4", "v2", "plain"] = option(
        one_of("v4", "v2", "plain"),
        "v4",
        "store",
        "how requests are signed",
        check=_secret_stays_private,
    )
    ca_file: str | None = option(
        PATH, None, "store", "certificates to trust instead of the system's"
    )
    deadline: float = option(
        DURATION,
        60.0,
        "store",
        "longest wait of one operation without progress",
        check=lambda options: "" if options.deadline else "must be longer than 0 seconds",
    )
    connections: int = option(
        number("count"),
        16,
        "store",
        "connections to the store at most, stalled ones aside",
        check=lambda options: "" if options.connections else "at least 1 is needed",
    )
    credentials_file: str | None = option(
        PATH, None, "credentials", "key pairs, ACCESS:SECRET a line, mode 0600", reload=True
    )
    access_key: str | None = option(
        text("key"),
        None,
        "credentials",
        "access key of the first pair",
        reload=True,
        file_only=SEEN,
    )
    secret_key: str | None = option(
        text("key"),
        None,
        "credentials",
        "its secret key; the file needs mode 0600",
        reload=True,
        secret=True,
        file_only=SEEN,
    )
    access_key_2: str | None = option(
        text("key"),
        None,
        "credentials",
        "access key of the second pair",
        reload=True,
        file_only=SEEN,
    )
    secret_key_2: str | None = option(
        text("key"),
        None,
        "credentials",
        "its secret key",
        reload=True,
        secret=True,
        file_only=SEEN,
    )
    ttl: float = option(DURATION, 60.0, "cache", "how long names and attributes are believed")
    attributes: Literal["full", "list"] = option(
        one_of("full", "list"), "full", "cache", "stat by HEAD, or by what listings tell alone"
    )
    cache_entries: int = option(
        number("count"), 1_000_000, "cache", "names in memory; about 400 bytes each"
    )
    cache_dir: str | None = option(
        PATH_OR_NONE, None, "cache", "where attributes are kept over mounts"
    )
    memory: int = option(
        SIZE,
        64 << 20,
        "cache",
        "unsent bytes in memory, over all files",
        check=_memory_holds_chunks,
    )
    metadata_delay: float = option(
        DURATION, 1.0, "cache", "how long a changed mode or time may wait"
    )
    chunk_size: int = option(
        SIZE, 8 << 20, "publish", "what is sent at once; from 5M", check=_chunk_is_a_part
    )
    publish: Publish = option(
        member_of(Publish),
        Publish.AUTO,
        "publish",
        "what the CDN sees of a file",
        reload=True,
        by_file=True,
    )
    append_interval: float = option(
        DURATION,
        1.0,
        "publish",
        "when a slow writer's bytes are appended",
        reload=True,
        by_file=True,
    )
    temporary: str | None = option(
        text("glob:glob", separator=":"),
        None,
        "publish",
        "names that wait for a rename, beside rsync's",
        reload=True,
    )
    durability: Durability = option(
        member_of(Durability),
        Durability.STORE,
        "spool",
        "where bytes are safe when close returns",
        by_file=True,
    )
    fsync: Durability = option(
        member_of(Durability),
        Durability.STORE,
        "spool",
        "where they are safe when fsync returns",
        reload=True,
        by_file=True,
    )
    spool_dir: str | None = option(
        PATH,
        None,
        "spool",
        "where spools are (default: /var/lib/kontenumfs/spool)",
    )
    spool_size: int | None = option(
        SIZE,
        None,
        "spool",
        "bytes that may wait there (default: a tenth of its file system, at most 10G)",
        check=lambda options: "must be more than 0 bytes" if options.spool_size == 0 else "",
    )
    publish_last: str = option(
        text("glob:glob", separator=":"),
        ":".join(PUBLISH_LAST),
        "spool",
        "names that point to others: stored after all that was written before",
    )
    config: str | None = option(PATH, None, "", "the configuration file: kontenumfs.toml(5)")
    symlinks: Literal["deny", "metadata"] = option(
        one_of("deny", "metadata"), "deny", "mount", "symbolic links"
    )
    uid: int = option(
        number("id"),
        None,
        "mount",
        "owner of what has none (default: who mounts)",
        found=_own_user,
    )
    gid: int = option(
        number("id"),
        None,
        "mount",
        "group of what has none (default: who mounts)",
        found=_own_group,
    )
    umask: int = option(MODE, 0o022, "mount", "bits cleared of file_mode and dir_mode")
    file_mode: int = option(MODE, 0o666, "mount", "mode of files that have none, before umask")
    dir_mode: int = option(MODE, 0o777, "mount", "mode of directories that have none, before umask")
    capacity: int = option(SIZE, 1 << 50, "mount", "size of the file system that df shows")
    ro: bool = option(SWITCH, False, "mount", "refuse every change", kernel=True)
    allow_other: bool = option(SWITCH, False, "mount", "let other users in", kernel=True)
    nonempty: bool = option(SWITCH, False, "mount", "mount over a directory that has entries")
    deny_open: bool = option(SWITCH, False, "mount", "refuse open for reading, not only read")
    nosuid: bool = option(SWITCH, False, "mount", "ignore set-user-id bits", kernel=True)
    nodev: bool = option(SWITCH, False, "mount", "ignore device files", kernel=True)
    log_file: str | None = option(PATH, None, "log", "where the daemon logs (default: syslog)")
    log_level: str = option(
        one_of("debug", "info", "warning", "error", unit="level"),
        "info",
        "log",
        "how much is logged",
        reload=True,
    )
    metrics: str | None = option(
        ADDRESS, None, "log", "where Prometheus scrapes (default: nowhere)"
    )


OPTIONS: Mapping[str, Option] = {
    row.name: replace(row.metadata["row"], name=row.name) for row in fields(MountOptions)
}
"""The rows by name, in the order of the manual."""
SECTIONS = tuple(dict.fromkeys(row.section for row in OPTIONS.values() if row.section))
"""The tables of the configuration file, in the order of its manual."""


def mount_options() -> dict[str, Option]:
    """Return the options that ``-o`` takes."""
    return {name: row for name, row in OPTIONS.items() if not row.file_only}


def options_of(section: str) -> dict[str, Option]:
    """Return the options that stand in a table of the configuration file."""
    return {name: row for name, row in OPTIONS.items() if row.section == section}


def options_by_file() -> dict[str, Option]:
    """Return the options that a rule of [[files]] may set."""
    return {name: row for name, row in OPTIONS.items() if row.by_file}
