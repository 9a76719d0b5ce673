# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""config, check, ls and bucket against the emulator, as a user or a script calls them."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kontenumfs.admin.diagnosis import RIGHTS
from kontenumfs.protocol.exits import Exit
from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator
from tests.harness.mounts import kontenumfs
from tests.harness.objects import ObjectStore, s3_client

PLAIN_KEYS = {"KONTENUM_ACCESS_KEY": ACCESS, "KONTENUM_SECRET_KEY": SECRET}


class Shell:
    """The command line with a directory of settings of its own."""

    def __init__(self, emulator: Emulator, directory: Path) -> None:
        self.file = directory / "origin.toml"
        self.keys = directory / "origin.keys"
        self.mountpoint = directory / "mnt"
        self.mountpoint.mkdir()
        self.file.write_text(
            f"[mount]\nbucket = '{BUCKET}'\nprefix = 'cli'\nmountpoint = '{self.mountpoint}'\n"
            f"[store]\nendpoint = '{emulator.s3_url}'\ndeadline = 5\n"
        )
        self.give_keys(f"{ACCESS}:{SECRET}\n")
        self.environment = {"KONTENUM_CONFIG_DIR": str(directory)}

    def give_keys(self, text: str) -> None:
        """Write the file of keys."""
        self.keys.write_text(text)
        self.keys.chmod(0o600)

    def __call__(self, *words: str, code: int = 0) -> str:
        """Run one command that ends with `code`; returns what it printed, or its complaint."""
        done = kontenumfs(*words, check=False, environment=self.environment)
        assert done.returncode == code, done.stdout + done.stderr
        assert SECRET not in done.stdout + done.stderr
        if code and not done.stdout:
            assert len(done.stderr.splitlines()) == 1, done.stderr
            return done.stderr
        return done.stdout

    def json(self, *words: str, code: int = 0) -> Any:
        """The same, for --json."""
        return json.loads(self(*words, "--json", code=code))


@pytest.fixture
def shell(emulator: Emulator, tmp_path: Path) -> Shell:
    return Shell(emulator, tmp_path)


def test_config_shows_values_and_origins(shell: Shell) -> None:
    """Every value that counts, where it is from, and no secret."""
    shell.environment["KONTENUM_REGION"] = "eu"
    said = shell("config", "-o", "ttl=7", "origin")
    lines = {line.split(" = ")[0].strip(): line for line in said.splitlines() if " = " in line}
    assert lines["ttl"].endswith("# option")
    assert lines["region"].endswith("# KONTENUM_REGION")
    assert lines["deadline"].split("=")[1].split() == ["5", "#", f"{shell.file},", "line", "7"]
    assert lines["chunk_size"].split("=")[1].split() == ["8M", "#", "default"]
    assert f"{ACCESS}:********" in said
    told = shell.json("config", str(shell.file))
    assert told["options"]["deadline"] == {"value": "5", "origin": f"{shell.file}, line 7"}
    assert told["keys"]["origin"] == str(shell.keys)


def test_config_masks_what_is_in_the_file(shell: Shell) -> None:
    """Keys may stand in the file itself, if nobody else can read it."""
    text = shell.file.read_text()
    shell.file.write_text(
        f"{text}[credentials]\naccess_key = '{ACCESS}'\nsecret_key = '{SECRET}'\n"
    )
    shell.file.chmod(0o600)
    told = shell.json("config", "origin")
    assert told["options"]["secret_key"]["value"] == "********"
    assert told["keys"]["origin"] == str(shell.file)
    shell("ls", "--name", "origin", BUCKET)
    shell.file.chmod(0o644)
    assert f"chmod 600 {shell.file}" in shell("ls", "--name", "origin", BUCKET, code=5)


@pytest.mark.usefixtures("fuse")
def test_check_of_a_good_mount(shell: Shell, emulator: Emulator) -> None:
    """All rows are ok, and the scratch keys are gone."""
    findings = {row["name"]: row for row in shell.json("check", "--name", "origin")[0]["checks"]}
    assert {row["state"] for row in findings.values()} == {"ok"}
    assert {"settings", "key file", "fuse", "mountpoint", "name", "connection", "TLS"} <= set(
        findings
    )
    assert {"keys", "clock", *RIGHTS} <= set(findings)
    store = ObjectStore(emulator.s3_url, "cli/.kontenumfs")
    assert not store.keys()
    store.close()
    assert shell("check").startswith("origin:\n  settings     ok")
    assert {request["key"].split("/")[0] for request in emulator.requests() if request["key"]} == {
        "cli"
    }


def test_check_names_what_is_wrong(shell: Shell, emulator: Emulator) -> None:
    """The row, the cure, the exit code; what rests on it is skipped."""
    shell.give_keys(f"{ACCESS}:wrong\n")
    rows = {
        r["name"]: r for r in shell.json("check", "--name", "origin", code=Exit.KEYS)[0]["checks"]
    }
    assert rows["keys"]["state"] == "failed"
    assert "secret key does not fit" in rows["keys"]["detail"]
    assert rows["put"]["state"] == "skipped"
    shell.give_keys(f"{ACCESS}:{SECRET}\nAKOLD:old\n")
    rows = {r["name"]: r for r in shell.json("check", "--name", "origin")[0]["checks"]}
    assert rows["keys"]["state"] == "warning"
    assert "AKOLD (InvalidAccessKeyId)" in rows["keys"]["detail"]


@pytest.mark.parametrize(
    ("op", "row"),
    [
        ("ListObjectsV2", "keys"),
        ("PutObject", "put"),
        ("HeadObject", "head"),
        ("AppendObject", "append"),
        ("ComposeObject", "compose"),
        ("CopyObject", "copy"),
        ("DeleteObject", "delete"),
    ],
)
def test_check_names_the_missing_right(shell: Shell, emulator: Emulator, op: str, row: str) -> None:
    """Keys that may do all but one thing."""
    emulator.fault(op=op, count=None, status=403, code="AccessDenied")
    checks = shell.json("check", "--name", "origin", code=Exit.DENIED)[0]["checks"]
    failed = [found["name"] for found in checks if found["state"] == "failed"]
    assert failed[0] == row
    assert "rights" in next(found["detail"] for found in checks if found["name"] == row)
    emulator.clear_faults()
    store = s3_client(emulator.s3_url)
    for found in store.list_objects_v2(Bucket=BUCKET, Prefix="cli/.kontenumfs").get("Contents", []):
        store.delete_object(Bucket=BUCKET, Key=found["Key"])
    store.close()


def test_check_of_a_store_without_extensions(shell: Shell, emulator: Emulator) -> None:
    """A plain S3 server: a warning, for much works all the same."""
    emulator.fault(op="AppendObject", count=None, status=501, code="NotImplemented")
    rows = {r["name"]: r for r in shell.json("check", "--name", "origin")[0]["checks"]}
    assert (rows["append"]["state"], rows["compose"]["state"]) == ("warning", "ok")
    assert "EOPNOTSUPP" in rows["append"]["detail"]


@pytest.fixture
def odd_keys(emulator: Emulator) -> dict[str, str]:
    """Keys below cli/odd that no file can have, with a word of why."""
    long = "x" * 256
    odd = {
        "odd//empty": "empty name",
        "odd/../dots": "dots",
        f"odd/{long}": "255 bytes",
        "odd/both": "a directory has its name",
        "odd/.kontenumfs/helper": "belongs to mounts",
    }
    store = ObjectStore(emulator.s3_url, "cli")
    for key in (*odd, "odd/both/inside", "odd/both-not", "odd/plain", "odd/marker/"):
        store.put(key, b"four")
    store.close()
    return {f"cli/{key}": why for key, why in odd.items()}


def test_ls(shell: Shell, odd_keys: dict[str, str]) -> None:
    """One level, as the bucket has it: objects with size and time, prefixes with a slash."""
    words = ("ls", "--name", "origin", f"{BUCKET}/cli/odd")
    lines = [json.loads(line) for line in shell(*words, "--json").splitlines()]
    assert [line["key"] for line in lines if "size" not in line] == [
        f"cli/odd/{name}/" for name in ("..", ".kontenumfs", "", "both", "marker")
    ]
    assert {line["key"]: line["size"] for line in lines if "size" in line}["cli/odd/plain"] == 4
    assert shell(*words).splitlines()[-1].endswith("x" * 256)


def test_ls_hidden(shell: Shell, odd_keys: dict[str, str]) -> None:
    """However deep: exactly the keys that no mount shows, each with its reason."""
    words = ("ls", "--hidden", "--name", "origin", f"{BUCKET}/cli")
    lines = [json.loads(line) for line in shell(*words, "--json").splitlines()]
    assert {line["key"] for line in lines} == set(odd_keys)
    assert all(odd_keys[line["key"]] in line["why"] for line in lines)
    assert "(dots)" in shell(*words)


def test_ls_inside_a_mount(shell: Shell, odd_keys: dict[str, str], fuse: None) -> None:
    """A path asks the mount's daemon: no keys and no settings are needed."""
    shell("mount", "--name", "origin")
    try:
        path = f"{shell.mountpoint}/odd"
        said = kontenumfs("ls", "--hidden", "--json", path).stdout
        assert {json.loads(line)["key"] for line in said.splitlines()} == set(odd_keys)
        assert "cli/odd/plain" in kontenumfs("ls", path).stdout
        assert sorted(os.listdir(path)) == ["both", "both-not", "marker", "plain"]
    finally:
        shell("unmount", str(shell.mountpoint))
    assert "no kontenumfs is mounted here" in shell("ls", path, code=Exit.MOUNTPOINT)


def test_a_mount_by_name(shell: Shell, emulator: Emulator, fuse: None) -> None:
    """The file alone says what and where."""
    shell("mount", "--name", "origin")
    (shell.mountpoint / "by-name").write_text("content")
    shell("unmount", str(shell.mountpoint))
    assert emulator.fetch("cli/by-name") == b"content"
    shell("mount", "-o", f"config={shell.file}")
    assert (shell.mountpoint / "by-name").stat().st_size == 7
    shell("unmount", str(shell.mountpoint))


def test_buckets_come_and_go(shell: Shell) -> None:
    """list, create, delete, and --force for what is inside."""
    named = ("--name", "origin")
    shell("bucket", "create", *named, "cli-new")
    assert "name is taken" in shell("bucket", "create", *named, "cli-new", code=Exit.BUCKET)
    assert "cli-new" in shell.json("bucket", "list", *named)
    assert "cli-new" in shell("bucket", "list", *named).splitlines()
    shell("bucket", "delete", *named, "cli-new")
    assert "no such bucket" in shell("bucket", "delete", *named, "cli-new", code=Exit.BUCKET)


def test_a_full_bucket_needs_force(shell: Shell, emulator: Emulator) -> None:
    """Without --force nothing goes; with it all does."""
    named = ("--name", "origin")
    shell("bucket", "create", *named, "cli-full")
    store = s3_client(emulator.s3_url)
    store.put_object(Bucket="cli-full", Key="precious", Body=b"x")
    said = shell("bucket", "delete", *named, "cli-full", code=Exit.BUCKET)
    assert "--force" in said
    assert store.head_object(Bucket="cli-full", Key="precious")
    store.close()
    shell("bucket", "delete", "--force", *named, "cli-full")
    assert "cli-full" not in shell.json("bucket", "list", *named)


@pytest.mark.parametrize(("typed", "code"), [("cli-asked", 0), ("cli-other", 1)])
def test_force_asks_on_a_terminal(shell: Shell, typed: str, code: int) -> None:
    """A person writes the name once more; another name deletes nothing."""
    shell("bucket", "create", "--name", "origin", "cli-asked")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "kontenumfs", "bucket", "delete", "--force"]
    environment = dict(os.environ) | shell.environment
    with subprocess.Popen(
        [*command, "--name", "origin", "cli-asked"],
        stdin=theirs,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    ) as process:
        os.close(theirs)
        os.write(ours, f"{typed}\n".encode())
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(30) == code, said
    os.close(ours)
    assert "everything in it" in said
    assert ("cli-asked" in shell.json("bucket", "list", "--name", "origin")) == bool(code)
    if code:
        shell("bucket", "delete", "--name", "origin", "cli-asked")
