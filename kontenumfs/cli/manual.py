# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs manual``: the manual pages, made of the parsers and of the table of options."""

import argparse
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kontenumfs.cli import COMMANDS, module
from kontenumfs.cli import arguments as given
from kontenumfs.config.options import (
    SECTIONS,
    Option,
    mount_options,
    options_by_file,
    options_of,
)
from kontenumfs.daemon.signals import DUMP, ENDING, IGNORED, RELOAD
from kontenumfs.protocol.exits import Exit

REFERENCE = ("<!-- options: made by kontenumfs manual --write docs -->", "<!-- end of options -->")
"""The lines around the generated part of docs/configuration.md."""


def main(argv: Sequence[str]) -> int:
    """Print a page, or write all of them."""
    arguments = parser().parse_args(argv)
    if arguments.write is None:
        sys.stdout.write(PAGES[arguments.page]())
        return Exit.OK
    for path, text in files(Path(arguments.write)).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Exit.OK


def files(docs: Path) -> dict[Path, str]:
    """Generate every file below the directory of the documentation, as it should be."""
    made = {docs / "man" / name: page() for name, page in PAGES.items()}
    reference = docs / "configuration.md"
    before, _, rest = reference.read_text().partition(REFERENCE[0])
    after = rest.partition(REFERENCE[1])[2]
    made[reference] = f"{before}{REFERENCE[0]}\n{_reference()}{REFERENCE[1]}{after}"
    codes = docs / "exit-codes.md"
    rows = "".join(f"| {code:d} | {code.meaning} | {code.cure} |\n" for code in Exit)
    before, head, _ = codes.read_text().partition("| code | meaning | cure |\n|---|---|---|\n")
    made[codes] = before + head + rows
    return made


def _reference() -> str:
    """Make the tables of docs/configuration.md."""
    lines = []
    for section in SECTIONS:
        lines += [f"### [{section}]", ""]
        lines += ["| key | value | default | reload | |", "|---|---|---|---|---|"]
        for name, option in options_of(section).items():
            unit = (option.kind.unit or "true, false").replace("|", ", ")
            reload = "yes" if option.reload else ""
            words = (f"`{name}`", unit, option.shown_default, reload, option.text)
            lines.append(f"| {' | '.join(words)} |")
        lines.append("")
    return "\n".join(lines)


def _kontenumfs() -> str:
    lines = _head("kontenumfs", 1, "write-only mounts of Kontenum buckets")
    lines += [".SH SYNOPSIS", ".B kontenumfs", r"\fICOMMAND\fR [\fIARGUMENT\fR ...]"]
    lines += [".SH DESCRIPTION"]
    lines += [
        "Mounts a bucket of Kontenum, an S3-compatible object store in which GetObject is",
        "disabled. Files can be written, appended to, renamed and deleted; reading is EACCES.",
    ]
    lines += [".SH COMMANDS"]
    for name in COMMANDS:
        lines += _command(module(name).parser())
    lines += [".SH ENVIRONMENT"]
    lines += _entry("KONTENUM_ACCESS_KEY, KONTENUM_SECRET_KEY", "A key pair.")
    lines += _entry("KONTENUM_ACCESS_KEY_2, KONTENUM_SECRET_KEY_2", "The second one.")
    lines += _entry(
        "KONTENUM_ and an option's name in capitals",
        "Such as KONTENUM_ENDPOINT: comes before the configuration file and after options.",
    )
    lines += _entry("KONTENUM_CONFIG_DIR", "Where NAME.toml is, instead of /etc/kontenumfs.")
    lines += [".SH SIGNALS"]
    lines += _entry(RELOAD.name, "Read settings and keys again, and clear the cache of names.")
    lines += _entry(DUMP.name, "Log the state of the mount and where each task waits.")
    ending = ", ".join(number.name for number in ENDING)
    lines += _entry(ending, "Store what is left, unmount and exit.")
    ignored = [number.name for number in IGNORED if number < signal.SIGRTMIN]
    lines += _entry(", ".join([*ignored, "realtime signals"]), "Ignored.")
    lines += [".SH EXIT STATUS"]
    for code in Exit:
        cure = f": {code.cure}" if code.cure else ""
        lines += _entry(str(int(code)), f"{code.meaning}{cure}".replace("`", ""))
    return _page(lines, "kontenumfs.toml(5), mount.kontenumfs(8)")


def _toml() -> str:
    lines = _head("kontenumfs.toml", 5, "settings of a kontenumfs mount")
    lines += [".SH SYNOPSIS", r".I /etc/kontenumfs/NAME.toml"]
    lines += [".SH DESCRIPTION"]
    lines += [
        "A TOML file with the settings of one mount, which \\fBkontenumfs mount --name\\fR",
        "\\fINAME\\fR mounts. The keys are the mount options. An option counts before the",
        "environment, that before the file, and that before the default.",
        "\\fBkontenumfs config\\fR \\fINAME\\fR shows what counts.",
    ]
    for section in SECTIONS:
        lines += [f".SH [{section}]"]
        for name, option in options_of(section).items():
            reload = " A reload changes it." if option.reload else ""
            unit = option.kind.unit or "true|false"
            lines += _entry(f"{name} = {unit}", f"{_described(option)}.{reload}")
    lines += [".SH [[files]]", "Rules by file name; the first that matches counts."]
    lines += _entry("match = pattern, or a list of them", "Without a slash: for the name alone.")
    lines += _entry(", ".join(options_by_file()), "As in [publish] and [spool].")
    lines += [".SH [[headers]]", "Headers by file name; all that match count."]
    lines += _entry("match = pattern, or a list of them", "Without a slash: for the name alone.")
    lines += _entry("NAME = text", "A header of the object, such as Cache-Control.")
    lines += [".SH FILES"]
    lines += _entry(
        "/etc/kontenumfs/NAME.keys",
        "Key pairs, ACCESS:SECRET a line, where [credentials] says nothing.",
    )
    return _page(lines, "kontenumfs(1), mount.kontenumfs(8)")


def _mount() -> str:
    lines = _head("mount.kontenumfs", 8, "mount a Kontenum bucket by mount(8) and fstab(5)")
    lines += [".SH SYNOPSIS", ".B mount -t kontenumfs"]
    lines += [r"[\fB-o\fR \fIOPTIONS\fR] \fIBUCKET\fR[/\fIPREFIX\fR] \fIDIRECTORY\fR"]
    lines += [".SH DESCRIPTION"]
    lines += [
        "Returns 0 when the mount answers, and 32 with the reason otherwise. Options of mount(8)",
        "that concern no file system, such as _netdev and nofail, are passed over; others that",
        "are not in this list are refused. A mount cannot be remounted.",
    ]
    lines += [".SH OPTIONS"]
    for option in mount_options().values():
        lines += _entry(option.word, f"{_described(option)}.")
    return _page(lines, "kontenumfs(1), kontenumfs.toml(5), mount(8), fstab(5)")


def _described(option: Option) -> str:
    """Return an option's text with its default; a switch is off where nothing names it."""
    default = "" if option.kind.is_switch else option.shown_default
    return option.text + (f" (default {default})" if default else "")


def _head(name: str, section: int, what: str) -> list[str]:
    return [
        r".\" SPDX-FileCopyrightText: 2026 The kontenumfs authors",
        r".\" SPDX-License-Identifier: Apache-2.0",
        f'.TH "{name.upper()}" {section} "" "kontenumfs"',
        ".SH NAME",
        f"{_roff(name)} \\- {what}",
    ]


def _page(lines: Iterable[str], see: str) -> str:
    return "\n".join([*lines, ".SH SEE ALSO", see]) + "\n"


def _entry(term: str, text: str) -> list[str]:
    text = text[0].upper() + text[1:]
    return [".TP", f".B {_roff(term)}", _roff(text)]


def _roff(text: str) -> str:
    text = text.replace("\\", r"\e").replace("-", r"\-")
    lines = ("\\&" + line if line.startswith((".", "'")) else line for line in text.split("\n"))
    return "\n".join(lines)


def _command(made: argparse.ArgumentParser) -> list[str]:
    lines = [f".SS {_roff(made.prog)} {_roff(_synopsis(made))}".rstrip()]
    lines += [_roff(made.description or "")]
    for action in made._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                lines += _command(one)
        elif action.help and action.help != argparse.SUPPRESS and action.dest != "help":
            lines += _entry(_words(action), f"{action.help}.")
    return lines


def _words(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
    if not action.option_strings:
        return value
    return ", ".join(f"{word} {value}".strip() for word in action.option_strings)


def _synopsis(made: argparse.ArgumentParser) -> str:
    words = []
    for action in made._actions:
        if action.option_strings or action.dest == "help":
            continue
        word = _words(action)
        words.append({"?": f"[{word}]", "+": f"{word} ..."}.get(str(action.nargs), word))
    return " ".join(words)


PAGES: dict[str, Callable[[], str]] = {
    "kontenumfs.1": _kontenumfs,
    "kontenumfs.toml.5": _toml,
    "mount.kontenumfs.8": _mount,
}


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``kontenumfs manual``."""
    made = given.parser(
        "manual", "Print a manual page: kontenumfs manual kontenumfs.toml.5 | man -l -"
    )
    made.add_argument(
        "--write", metavar="DIR", help="write all of them and the tables of the documentation"
    )
    made.add_argument(
        "page",
        nargs="?",
        choices=tuple(PAGES),
        default="kontenumfs.1",
        metavar="PAGE",
        help=", ".join(PAGES),
    )
    return made
