# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Where key pairs come from, and that no message ever shows a secret."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from kontenumfs.config.key_files import find_pairs, read_credentials
from kontenumfs.protocol.errors import ConfigurationError
from kontenumfs.protocol.signing import KeyPair
from kontenumfs.store.keys import KeyRing

ONE, TWO = KeyPair("A1", "s1/+="), KeyPair("A2", "s2")


def load_keys(file: str | None, environment: Mapping[str, str]) -> KeyRing:
    """The ring that a file or an environment leads to."""
    return KeyRing.of(partial(find_pairs, file, environment))


def private(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o600)
    return file


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("A1:s1/+=\n", [ONE]),
        ("# old\n\nA1:s1/+=\n  A2:s2  \n", [ONE, TWO]),
        ("access_key=A1\nsecret_key=s1/+=\n", [ONE]),
        ("[default]\naws_access_key_id = A1\naws_secret_access_key = s1/+=\n", [ONE]),
        ("access_key = 'A1'\nsecret_key = \"s1/+=\"\nA2:s2\n", [ONE, TWO]),
    ],
)
def test_files(tmp_path: Path, text: str, pairs: list[KeyPair]) -> None:
    assert read_credentials(private(tmp_path / "keys", text)) == pairs


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only\n",
        "A1s3cret\n",
        "A1:\n",
        ":s3cret\n",
        "secret_key=s3cret\n",
        "access_key=A1\n",
        "access_key=A1\naccess_key=A2\nsecret_key=s3cret\n",
    ],
)
def test_refused_files_are_named_and_not_shown(tmp_path: Path, text: str) -> None:
    file = private(tmp_path / "keys", text)
    with pytest.raises(ConfigurationError) as caught:
        read_credentials(file)
    assert str(file) in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = private(tmp_path / "keys", "A1:s1")
    file.chmod(mode)
    with pytest.raises(ConfigurationError, match=f"chmod 600 {file}"):
        load_keys(str(file), {})


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
        file.chmod(0o600)
    with pytest.raises(ConfigurationError, match=str(file)):
        load_keys(str(file), {})


def test_sources_come_in_order(tmp_path: Path) -> None:
    file = private(tmp_path / "keys", "F:f")
    systemd = tmp_path / "systemd"
    systemd.mkdir()
    (systemd / "access_key").write_text("H\n")
    (systemd / "secret_key").write_text("h\n")
    environment = {
        "KONTENUM_ACCESS_KEY": "K",
        "KONTENUM_SECRET_KEY": "k",
        "AWS_ACCESS_KEY_ID": "W",
        "AWS_SECRET_ACCESS_KEY": "w",
        "CREDENTIALS_DIRECTORY": str(systemd),
    }
    assert load_keys(str(file), environment).current == KeyPair("F", "f")
    assert load_keys(None, environment).current == KeyPair("K", "k")
    del environment["KONTENUM_ACCESS_KEY"], environment["KONTENUM_SECRET_KEY"]
    assert load_keys(None, environment).current == KeyPair("W", "w")
    del environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
    assert load_keys(None, environment).current == KeyPair("H", "h")
    (systemd / "kontenum").write_text("C:c")
    (systemd / "kontenum").chmod(0o644)
    assert load_keys(None, environment).current == KeyPair("C", "c")
    with pytest.raises(ConfigurationError, match="KONTENUM_ACCESS_KEY"):
        load_keys(None, {})


def test_half_a_pair_is_named() -> None:
    with pytest.raises(ConfigurationError, match="KONTENUM_SECRET_KEY is not set"):
        load_keys(None, {"KONTENUM_ACCESS_KEY": "K"})
    both = {"KONTENUM_ACCESS_KEY": "K", "KONTENUM_SECRET_KEY": "k"}
    with pytest.raises(ConfigurationError, match="KONTENUM_ACCESS_KEY_2 is not set"):
        load_keys(None, {**both, "KONTENUM_SECRET_KEY_2": "k"})


@pytest.mark.parametrize(
    "bad", ["s3cret\tx", "s3cret\x7f", "s3crét", "s3cret\udcff", "\u200bs3cret"]
)
@pytest.mark.parametrize("half", ["access", "secret"])
def test_a_key_that_cannot_be_one_is_refused_and_not_shown(
    bad: str, half: str, tmp_path: Path
) -> None:
    pair = {"access": "K", "secret": "k"} | {half: bad}
    environment = {"KONTENUM_ACCESS_KEY": pair["access"], "KONTENUM_SECRET_KEY": pair["secret"]}
    with pytest.raises(ConfigurationError) as caught:
        load_keys(None, environment)
    assert f"KONTENUM_ACCESS_KEY: the {half} key of pair 1" in str(caught.value)
    assert "s3cr" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_white_space_around_variables_is_no_part_of_them() -> None:
    environment = {"KONTENUM_ACCESS_KEY": " K\n", "KONTENUM_SECRET_KEY": "k\r\n"}
    assert load_keys(None, environment).current == KeyPair("K", "k")
    with pytest.raises(ConfigurationError, match="no key pair"):
        load_keys(None, {"KONTENUM_ACCESS_KEY": " ", "KONTENUM_SECRET_KEY": "\n"})


def test_reload_reads_again_and_keeps_the_old_on_failure(tmp_path: Path) -> None:
    file = private(tmp_path / "keys", "A1:s1/+=")
    ring = load_keys(str(file), {})
    private(file, "A2:s2")
    ring.reload()
    assert ring.current == TWO
    private(file, "nonsense")
    with pytest.raises(ConfigurationError):
        ring.reload()
    assert ring.current == TWO
