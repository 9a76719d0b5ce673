# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs check``: find out what keeps a bucket from being mounted."""

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import trio

from kontenumfs.admin.diagnosis import Diagnosis, Finding
from kontenumfs.admin.mounts import FSTYPE, is_mountpoint
from kontenumfs.admin.preflight import check_fuse, check_mountpoint
from kontenumfs.admin.spool_place import doubt_of, file_system_of, require_base, spool_base
from kontenumfs.cli import arguments as given
from kontenumfs.config.live import LiveSettings
from kontenumfs.config.settings import DIRECTORY, read_settings
from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit


def main(argv: Sequence[str]) -> int:
    """Return 0 when a mount would work, else the exit code that it would have."""
    arguments = parser().parse_args(argv)
    names = [arguments.name] if arguments.name or arguments.source else _configured()
    codes: list[int] = []
    results = []
    for name in names:
        title = name or arguments.source
        findings = []
        if not arguments.json:
            print(f"{title}:")
        for finding in _check(arguments.options, name, arguments.source):
            findings.append(finding)
            if not arguments.json:
                print(f"  {finding.name:<12} {finding.state:<8} {finding.detail}", flush=True)
        codes += [int(finding.code) for finding in findings if finding.state == "failed"]
        results.append({"mount": title, "checks": [asdict(finding) for finding in findings]})
    if arguments.json:
        print(json.dumps(results, indent=2))
    return codes[0] if codes else Exit.OK


def _configured() -> list[str]:
    directory = Path(os.environ.get("KONTENUM_CONFIG_DIR", DIRECTORY))
    names = sorted(file.stem for file in directory.glob("*.toml"))
    if not names:
        raise UserError(
            f"what is to be checked? Give BUCKET[/PREFIX], or write {directory}/NAME.toml"
        )
    return names


def _check(options: list[str], name: str | None, source: str | None) -> Iterator[Finding]:
    read = partial(
        read_settings, options, os.environ, name=name, directory=given.working_directory()
    )
    try:
        live = LiveSettings(read, os.environ)
        what = live.settings.source(source)
    except UserError as error:
        yield Finding("settings", "failed", str(error), error.exit_code)
        return
    file = live.settings.file
    yield Finding("settings", "ok", str(file.path) if file else "options and environment")
    pairs = live.keys.pairs
    yield Finding("key file", "ok", f"{len(pairs)} of 2 possible pairs, from {live.keys.origin}")
    yield from _local(live)
    diagnosis = Diagnosis(
        given.endpoint_of(live.settings),
        what.bucket,
        what.prefix,
        pairs,
        deadline=live.settings.options.deadline,
    )
    yield from _collected(diagnosis)


def _local(live: LiveSettings) -> Iterator[Finding]:
    try:
        check_fuse()
        yield Finding("fuse", "ok", "/dev/fuse can be opened")
    except UserError as error:
        yield Finding("fuse", "failed", str(error), error.exit_code)
    if live.rules.uses_spool:
        yield _spool(live)
    if live.settings.values["mountpoint"].value is None:
        return
    try:
        mountpoint = live.settings.mountpoint()
        given.outside_of(mountpoint, live.settings).check(live.settings)
        if is_mountpoint(mountpoint, FSTYPE):
            yield Finding("mountpoint", "ok", f"{mountpoint} is mounted")
            return
        check_mountpoint(mountpoint, nonempty=live.settings.options.nonempty)
        yield Finding("mountpoint", "ok", str(mountpoint))
    except UserError as error:
        yield Finding("mountpoint", "failed", str(error), error.exit_code)


def _spool(live: LiveSettings) -> Finding:
    """Tell what the file system of the spool is worth."""
    given_as = live.settings.options.spool_dir
    base = spool_base(given_as, os.environ)
    if given_as is not None:
        try:
            require_base(base)
        except UserError as error:
            return Finding("spool", "failed", str(error), error.exit_code)
    if doubt := doubt_of(base):
        return Finding("spool", "warning", doubt)
    return Finding("spool", "ok", f"{base} is on {file_system_of(base)}")


def _collected(diagnosis: Diagnosis) -> list[Finding]:
    async def collect() -> list[Finding]:
        return [finding async for finding in diagnosis.run()]

    return trio.run(collect)


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``kontenumfs check``."""
    made = given.parser(
        "check",
        "Find out what keeps a bucket from being mounted: name, connection, TLS, clock, keys, and\n"
        "the right to list, put, append, compose, copy and delete, on scratch keys below\n"
        ".kontenumfs/ that are gone afterwards. Without arguments: every file in /etc/kontenumfs.",
    )
    given.add_settings(made)
    given.add_json(made)
    made.add_argument("source", metavar="BUCKET[/PREFIX]", nargs="?", help="default: of the file")
    return made
