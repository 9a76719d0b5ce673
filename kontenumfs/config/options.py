# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The options: one table that parsing, defaults, --help and the manual come from."""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from kontenumfs.config.values import (
    address,
    endpoint,
    number,
    octal,
    one_of,
    plainly,
    seconds,
    size,
    text,
    token,
)
from kontenumfs.protocol.errors import ConfigurationError

DEFAULT_ENDPOINT = "https://s3.kontenum.com"
PREFIX = "KONTENUM_"
"""How the names of environment variables begin; the option's name follows, in capitals."""
IGNORED = frozenset(
    [
        "rw",
        "dev",
        "suid",
        "exec",
        "noexec",
        "atime",
        "noatime",
        "diratime",
        "nodiratime",
        "relatime",
        "norelatime",
        "strictatime",
        "async",
        "sync",
        "dirsync",
        "lazytime",
        "nolazytime",
        "silent",
        "loud",
        "user",
        "nouser",
        "users",
        "owner",
        "group",
        "auto",
        "noauto",
        "defaults",
        "_netdev",
        "nofail",
    ]
)
"""What mount(8) and fstab pass along and no file system acts upon here."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Args:
        parse: text to value; None for a switch, which is on when it is named.
        default: the value when it is not given.
        unit: what the value counts, for --help.
        help: what it does, in one line.
        section: the table of the configuration file that it stands in; "" for none.
        file_only: why it is no mount option, or "" for one that is.
    """

    parse: Callable[[str], Any] | None
    default: Any
    unit: str
    help: str
    section: str
    file_only: str = ""


ARGUMENT = "it is an argument of the command line: kontenumfs mount BUCKET[/PREFIX] MOUNTPOINT"
SEEN = "all users would see it in the list of processes: use credentials_file="

OPTIONS: dict[str, Option] = {
    "bucket": Option(text, None, "name", "what is mounted", "mount", ARGUMENT),
    "prefix": Option(text, None, "path", "only the keys below it", "mount", ARGUMENT),
    "mountpoint": Option(text, None, "path", "where it is mounted", "mount", ARGUMENT),
    "endpoint": Option(endpoint, DEFAULT_ENDPOINT, "URL", "where the store is", "store"),
    "region": Option(token, "us-east-1", "name", "region that requests are signed for", "store"),
    "addressing": Option(
        one_of("path", "virtual"), "path", "path|virtual", "bucket in path or host", "store"
    ),
    "signature": Option(
        one_of("v4", "v2", "plain"), "v4", "v4|v2|plain", "how requests are signed", "store"
    ),
    "ca_file": Option(text, None, "path", "certificates to trust instead of the system's", "store"),
    "deadline": Option(
        seconds, 60.0, "seconds", "longest wait of one operation without progress", "store"
    ),
    "connections": Option(
        number, 16, "count", "connections to the store at most, stalled ones aside", "store"
    ),
    "credentials_file": Option(
        text, None, "path", "key pairs, ACCESS:SECRET a line, mode 0600", "credentials"
    ),
    "access_key": Option(text, None, "key", "access key of the first pair", "credentials", SEEN),
    "secret_key": Option(
        text, None, "key", "its secret key; the file needs mode 0600", "credentials", SEEN
    ),
    "access_key_2": Option(text, None, "key", "access key of the second pair", "credentials", SEEN),
    "secret_key_2": Option(text, None, "key", "its secret key", "credentials", SEEN),
    "ttl": Option(seconds, 60.0, "seconds", "how long names and attributes are believed", "cache"),
    "attributes": Option(
        one_of("full", "list"),
        "full",
        "full|list",
        "stat by HEAD, or by what listings tell alone",
        "cache",
    ),
    "cache_entries": Option(
        number, 1_000_000, "count", "names in memory; about 400 bytes each", "cache"
    ),
    "cache_dir": Option(text, None, "path|none", "where attributes are kept over mounts", "cache"),
    "memory": Option(size, 64 << 20, "bytes", "unsent bytes in memory, over all files", "cache"),
    "metadata_delay": Option(
        seconds, 1.0, "seconds", "how long a changed mode or time may wait", "cache"
    ),
    "chunk_size": Option(size, 8 << 20, "bytes", "what is sent at once; from 5M", "publish"),
    "publish": Option(
        one_of("auto", "live", "atomic"),
        "auto",
        "auto|live|atomic",
        "what the CDN sees of a file",
        "publish",
    ),
    "append_interval": Option(
        seconds, 1.0, "seconds", "when a slow writer's bytes are appended", "publish"
    ),
    "temporary": Option(
        text, None, "glob:glob", "names that wait for a rename, beside rsync's", "publish"
    ),
    "config": Option(text, None, "path", "the configuration file: kontenumfs.toml(5)", ""),
    "symlinks": Option(
        one_of("deny", "metadata"), "deny", "deny|metadata", "symbolic links", "mount"
    ),
    "uid": Option(number, None, "id", "owner of what has none (default: who mounts)", "mount"),
    "gid": Option(number, None, "id", "group of what has none (default: who mounts)", "mount"),
    "umask": Option(octal, 0o022, "octal", "bits cleared of file_mode and dir_mode", "mount"),
    "file_mode": Option(
        octal, 0o666, "octal", "mode of files that have none, before umask", "mount"
    ),
    "dir_mode": Option(
        octal, 0o777, "octal", "mode of directories that have none, before umask", "mount"
    ),
    "capacity": Option(size, 1 << 50, "bytes", "size of the file system that df shows", "mount"),
    "ro": Option(None, False, "", "refuse every change", "mount"),
    "allow_other": Option(None, False, "", "let other users in", "mount"),
    "nonempty": Option(None, False, "", "mount over a directory that has entries", "mount"),
    "deny_open": Option(None, False, "", "refuse open for reading, not only read", "mount"),
    "nosuid": Option(None, False, "", "ignore set-user-id bits", "mount"),
    "nodev": Option(None, False, "", "ignore device files", "mount"),
    "log_file": Option(text, None, "path", "where the daemon logs (default: syslog)", "log"),
    "log_level": Option(
        one_of("debug", "info", "warning", "error"), "info", "level", "how much is logged", "log"
    ),
    "metrics": Option(
        address, None, "HOST:PORT|unix:PATH", "where Prometheus scrapes (default: nowhere)", "log"
    ),
}
SECTIONS = tuple(dict.fromkeys(option.section for option in OPTIONS.values() if option.section))
"""The tables of the configuration file, in the order of its manual."""


@dataclass(frozen=True, slots=True)
class MountOptions:
    """The effective options of a mount; the table OPTIONS says what each one is."""

    endpoint: str
    region: str
    addressing: Literal["path", "virtual"]
    signature: Literal["v4", "v2", "plain"]
    credentials_file: str | None
    ca_file: str | None
    deadline: float
    connections: int
    ttl: float
    attributes: Literal["full", "list"]
    cache_entries: int
    cache_dir: str | None
    chunk_size: int
    memory: int
    publish: Literal["auto", "live", "atomic"]
    append_interval: float
    temporary: str | None
    config: str | None
    symlinks: Literal["deny", "metadata"]
    metadata_delay: float
    uid: int
    gid: int
    umask: int
    file_mode: int
    dir_mode: int
    capacity: int
    ro: bool
    allow_other: bool
    nonempty: bool
    deny_open: bool
    nosuid: bool
    nodev: bool
    log_file: str | None
    log_level: str
    metrics: str | None


def parse_words(given: Iterable[str]) -> dict[str, Any]:
    """Read ``-o`` arguments, each a comma-separated list; raises ConfigurationError.

    The last of two counts. What mount(8) passes to every file system is left out.
    """
    values: dict[str, Any] = {}
    for word in ",".join(given).split(","):
        if word and word not in IGNORED and not word.startswith(("x-", "comment=")):
            name, value = _parse_word(word)
            values[name] = value
    return values


def _parse_word(word: str) -> tuple[str, Any]:
    name, equals, given = word.partition("=")
    option = OPTIONS.get(name)
    if option is None:
        raise ConfigurationError(
            f"unknown mount option {name!r}; "
            + nearest(name, mount_options(), "see kontenumfs mount --help")
        )
    if option.file_only:
        raise ConfigurationError(f"{name} is no mount option: {option.file_only}")
    if option.parse is None:
        if equals and given not in ("true", "false"):
            raise ConfigurationError(
                f"mount option {name!r} is a switch: {name}, or {name}=false against the file"
            )
        return name, given != "false"
    if not given:
        raise ConfigurationError(
            f"mount option {name!r} needs a value: {name}={option.unit.upper()}"
        )
    try:
        return name, option.parse(given)
    except ValueError as error:
        raise ConfigurationError(f"mount option {name}: {given!r} {error}") from None


def nearest(name: str, names: Iterable[str], otherwise: str) -> str:
    """The hint for a name that is not known."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise


def mount_options() -> dict[str, Option]:
    """The options that -o takes."""
    return {name: option for name, option in OPTIONS.items() if not option.file_only}


def options_help() -> str:
    """Every mount option with its unit and default, for --help."""
    lines = []
    for name, option in mount_options().items():
        word = name if option.parse is None else f"{name}={option.unit}"
        default = "" if option.default in (None, False) else f" (default {default_of(name)})"
        lines.append(f"  {word:<32} {option.help}{default}")
    return "\n".join(lines)


def default_of(name: str) -> str:
    """An option's default as one would write it."""
    return plainly(OPTIONS[name].parse, OPTIONS[name].default)
