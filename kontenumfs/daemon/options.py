# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The mount options: one table that parsing, defaults and --help come from."""

import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from kontenumfs.protocol.dialect import MIN_PART
from kontenumfs.protocol.errors import ConfigurationError

DEFAULT_ENDPOINT = "https://s3.kontenum.com"
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
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


def size(text: str) -> int:
    """Bytes, with K, M, G, T (1,024 each)."""
    match = re.fullmatch(r"(\d+)([KMGTP]?)i?B?", text, re.IGNORECASE)
    if match is None:
        raise ValueError("is not a size such as 8M")
    return int(match[1]) * UNITS[match[2].upper()]


def seconds(text: str) -> float:
    """Seconds, with s, m or h."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if match is None:
        raise ValueError("is not a duration such as 60 or 5m")
    return float(match[1]) * {None: 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600}[match[2]]


def octal(text: str) -> int:
    """Permission bits, in octal."""
    if not re.fullmatch(r"0?[0-7]{1,4}", text):
        raise ValueError("is not an octal mode such as 0644")
    return int(text, 8)


def number(text: str) -> int:
    """A number that is not negative."""
    if not re.fullmatch(r"\d{1,10}", text):
        raise ValueError("is not a number")
    return int(text)


def one_of(*choices: str) -> Callable[[str], str]:
    """One of these words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"is none of {', '.join(choices)}")
        return text

    return parse


def endpoint(text: str) -> str:
    """An http or https address without a path."""
    if not re.fullmatch(r"https?://[^/?#@\s]+/?", text):
        raise ValueError("is not an address such as https://s3.kontenum.com")
    return text.rstrip("/")


@dataclass(frozen=True, slots=True)
class Option:
    """One mount option.

    Args:
        parse: text to value; None for a flag, which is on when it is named.
        default: the value when it is not given.
        unit: what the value counts, for --help.
        help: what it does, in one line.
    """

    parse: Callable[[str], Any] | None
    default: Any
    unit: str
    help: str


OPTIONS: dict[str, Option] = {
    "endpoint": Option(endpoint, None, "URL", f"where the store is (default {DEFAULT_ENDPOINT})"),
    "region": Option(str, "us-east-1", "name", "region that requests are signed for"),
    "addressing": Option(
        one_of("path", "virtual"), "path", "path|virtual", "bucket in path or host"
    ),
    "signature": Option(
        one_of("v4", "v2", "plain"), "v4", "v4|v2|plain", "how requests are signed"
    ),
    "credentials_file": Option(str, None, "path", "key pairs, ACCESS:SECRET a line, mode 0600"),
    "ca_file": Option(str, None, "path", "certificates to trust instead of the system's"),
    "deadline": Option(seconds, 60.0, "seconds", "longest wait of one operation, retries included"),
    "connections": Option(number, 16, "count", "connections to the store at most"),
    "ttl": Option(seconds, 60.0, "seconds", "how long names and attributes are believed"),
    "attributes": Option(
        one_of("full", "list"), "full", "full|list", "stat by HEAD, or by what listings tell alone"
    ),
    "cache_entries": Option(number, 1_000_000, "count", "names in memory; about 400 bytes each"),
    "cache_dir": Option(str, None, "path|none", "where attributes are kept over mounts"),
    "chunk_size": Option(size, 8 << 20, "bytes", "what is sent at once; from 5M"),
    "memory": Option(size, 64 << 20, "bytes", "unsent bytes in memory, over all files"),
    "publish": Option(
        one_of("auto", "live", "atomic"), "auto", "auto|live|atomic", "what the CDN sees of a file"
    ),
    "append_interval": Option(seconds, 1.0, "seconds", "when a slow writer's bytes are appended"),
    "temporary": Option(str, None, "glob:glob", "names that wait for a rename, beside rsync's"),
    "config": Option(str, None, "path", "rules by file name, in TOML: see docs/configuration.md"),
    "symlinks": Option(one_of("deny", "metadata"), "deny", "deny|metadata", "symbolic links"),
    "metadata_delay": Option(seconds, 1.0, "seconds", "how long a changed mode or time may wait"),
    "uid": Option(number, None, "id", "owner of what has none (default: who mounts)"),
    "gid": Option(number, None, "id", "group of what has none (default: who mounts)"),
    "umask": Option(octal, 0o022, "octal", "bits cleared of file_mode and dir_mode"),
    "file_mode": Option(octal, 0o666, "octal", "mode of files that have none, before umask"),
    "dir_mode": Option(octal, 0o777, "octal", "mode of directories that have none, before umask"),
    "capacity": Option(size, 1 << 50, "bytes", "size of the file system that df shows"),
    "ro": Option(None, False, "", "refuse every change"),
    "allow_other": Option(None, False, "", "let other users in"),
    "nonempty": Option(None, False, "", "mount over a directory that has entries"),
    "deny_open": Option(None, False, "", "refuse open for reading, not only read"),
    "nosuid": Option(None, False, "", "ignore set-user-id bits"),
    "nodev": Option(None, False, "", "ignore device files"),
    "log_file": Option(str, None, "path", "where the daemon logs (default: syslog)"),
    "log_level": Option(
        one_of("debug", "info", "warning", "error"), "info", "level", "how much is logged"
    ),
}


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


def parse_options(given: list[str], environment: Mapping[str, str]) -> MountOptions:
    """Read ``-o`` arguments, each a comma-separated list; raises ConfigurationError.

    An option comes before the environment (KONTENUM_ENDPOINT), and that before the default.
    """
    values: dict[str, Any] = {name: option.default for name, option in OPTIONS.items()}
    values.update(uid=os.getuid(), gid=os.getgid())
    values["endpoint"] = environment.get("KONTENUM_ENDPOINT") or DEFAULT_ENDPOINT
    for word in ",".join(given).split(","):
        if word and word not in IGNORED and not word.startswith(("x-", "comment=")):
            name, value = _parse_word(word)
            values[name] = value
    _check(values)
    return MountOptions(**{field.name: values[field.name] for field in fields(MountOptions)})


def _parse_word(word: str) -> tuple[str, Any]:
    name, equals, text = word.partition("=")
    option = OPTIONS.get(name)
    if option is None:
        near = difflib.get_close_matches(name, OPTIONS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "see kontenumfs mount --help"
        raise ConfigurationError(f"unknown mount option {name!r}; {hint}")
    if option.parse is None:
        if equals:
            raise ConfigurationError(f"mount option {name!r} is a switch and takes no value")
        return name, True
    if not text:
        raise ConfigurationError(
            f"mount option {name!r} needs a value: {name}={option.unit.upper()}"
        )
    try:
        return name, option.parse(text)
    except ValueError as error:
        raise ConfigurationError(f"mount option {name}: {text!r} {error}") from None


def _check(values: Mapping[str, Any]) -> None:
    try:
        endpoint(values["endpoint"])
    except ValueError as error:
        raise ConfigurationError(f"KONTENUM_ENDPOINT: {values['endpoint']!r} {error}") from None
    if values["chunk_size"] < MIN_PART:
        raise ConfigurationError("mount option chunk_size: S3 takes no part below 5M")
    if values["memory"] < 2 * values["chunk_size"]:
        raise ConfigurationError("mount option memory: must hold two chunks (see chunk_size)")
    if not values["connections"]:
        raise ConfigurationError("mount option connections: at least 1 is needed")
    plain_text = values["endpoint"].startswith("http://")
    host = values["endpoint"].split("://")[1].rsplit(":", 1)[0]
    if (
        values["signature"] == "plain"
        and plain_text
        and host not in ("127.0.0.1", "localhost", "[::1]")
    ):
        raise ConfigurationError(
            "mount option signature=plain sends the secret key itself: use an https endpoint"
        )


def options_help() -> str:
    """Every option with its unit and default, for --help."""
    lines = []
    for name, option in OPTIONS.items():
        word = name if option.parse is None else f"{name}={option.unit}"
        default = "" if option.default in (None, False) else f" (default {_shown(name)})"
        lines.append(f"  {word:<32} {option.help}{default}")
    return "\n".join(lines)


def _shown(name: str) -> str:
    option = OPTIONS[name]
    if option.parse is octal:
        return f"{option.default:04o}"
    if option.parse is size:
        for unit in "PTGMK":
            if option.default % UNITS[unit] == 0:
                return f"{option.default // UNITS[unit]}{unit}"
    return f"{option.default:g}" if isinstance(option.default, float) else str(option.default)
