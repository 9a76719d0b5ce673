# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Where keys come from, by order, and what a reload changes."""

import os
from functools import partial
from pathlib import Path

import pytest

from kontenumfs.config.live import LiveSettings
from kontenumfs.config.outside import Outside
from kontenumfs.config.settings import read_settings
from kontenumfs.protocol.errors import ConfigurationError

INLINE = "[credentials]\naccess_key = '{0}'\nsecret_key = 's{0}'\n"


class Place:
    """A directory with settings and keys, each file private."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {"KONTENUM_CONFIG_DIR": str(directory)}
        self.write("origin.toml", "")

    def write(self, name: str, text: str) -> Path:
        """Have a file with this text."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        return path

    def live(self, *options: str) -> LiveSettings:
        """The settings and keys of the mount "origin"."""
        read = partial(read_settings, options, self.environment, name="origin")
        return LiveSettings(read, self.environment)

    def key(self, *options: str) -> str:
        """The access key that counts."""
        return self.live(*options).keys.current.access_key


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_order_of_keys(place: Place) -> None:
    """From the last resort on: each new source comes before all that were there."""
    with pytest.raises(ConfigurationError, match="no key pair"):
        place.live()
    systemd = place.write("systemd/kontenum", "SYSTEMD:s\n").parent
    place.environment["CREDENTIALS_DIRECTORY"] = str(systemd)
    assert place.key() == "SYSTEMD"
    place.environment |= {"AWS_ACCESS_KEY_ID": "AWS", "AWS_SECRET_ACCESS_KEY": "s"}
    assert place.key() == "AWS"
    place.write("origin.keys", "BESIDE:s\n")
    assert place.key() == "BESIDE"
    place.write("named.keys", "NAMED:s\n")
    place.write("origin.toml", "[credentials]\ncredentials_file = 'named.keys'\n")
    assert place.key() == "NAMED"
    place.environment |= {"KONTENUM_ACCESS_KEY": "OURS", "KONTENUM_SECRET_KEY": "s"}
    assert place.key() == "OURS"
    option = place.write("option.keys", "OPTION:s\n")
    assert place.key(f"credentials_file={option}") == "OPTION"


def test_systemd_reads_what_a_sandbox_cannot(place: Place) -> None:
    """The file says /etc/...keys, the service's user has LoadCredential's copy alone."""
    place.write("origin.toml", "[credentials]\ncredentials_file = 'gone.keys'\n")
    with pytest.raises(ConfigurationError, match=r"gone\.keys: No such file"):
        place.live()
    systemd = place.write("systemd/kontenum", "SYSTEMD:s\n").parent
    place.environment["CREDENTIALS_DIRECTORY"] = str(systemd)
    assert place.key() == "SYSTEMD"


def test_keys_in_the_file_itself(place: Place) -> None:
    """They are watched as any file of keys."""
    place.write("origin.toml", INLINE.format("ONE"))
    live = place.live()
    live.keys.reload_if_changed()
    assert live.keys.current.access_key == "ONE"
    place.write(
        "origin.toml", INLINE.format("TWO") + "access_key_2 = 'ONE'\nsecret_key_2 = 'sONE'\n"
    )
    live.keys.reload_if_changed()
    assert [pair.access_key for pair in live.keys.pairs] == ["TWO", "ONE"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("access_key_2 = 'A'\n", "line 4: access_key_2 is given and secret_key_2 is missing"),
        ("credentials_file = 'x'\n", "line 4: there are keys in this file too"),
    ],
)
def test_keys_in_the_file_that_make_no_sense(place: Place, more: str, said: str) -> None:
    """Half a pair, or two places at once."""
    place.write("origin.toml", INLINE.format("ONE") + more)
    with pytest.raises(ConfigurationError, match=said):
        place.live()


def test_the_pair_that_works_stays_in_front(place: Place) -> None:
    """A reload that finds nothing new does not go back to the refused pair."""
    place.write("origin.keys", "A:a\nB:b\n")
    live = place.live()
    live.keys.prefer(live.keys.pairs[1])
    assert live.reload() == "settings and keys were read anew"
    assert live.keys.current.access_key == "B"
    place.write("origin.keys", "A:a\nC:c\n")
    live.reload()
    assert [pair.access_key for pair in live.keys.pairs] == ["A", "C"]


def test_a_reload_says_what_waits(place: Place) -> None:
    """What counts at once, and what at the next start."""
    place.write("origin.keys", "A:a\n")
    live = place.live()
    place.write("origin.toml", "[cache]\nttl = 9\n[publish]\npublish = 'atomic'\n")
    assert live.reload().endswith("these count from the next start on: ttl")
    assert live.rules.default.publish.value == "atomic"


def test_a_reload_that_fails_changes_nothing(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither of the two: settings that are good beside keys that are not."""
    place.write("origin.keys", "A:a\n")
    live = place.live()
    place.write("origin.toml", "[publish]\npublish = 'atomic'\n")
    place.write("origin.keys", "nonsense\n")
    assert live.reload().startswith("not reloaded: ")
    assert live.rules.default.publish.value == "auto"
    assert live.keys.current.access_key == "A"
    assert "nonsense" not in caplog.text
    caplog.clear()


def test_no_file_of_a_mount_that_runs_is_read_inside_of_it(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """A reload that brings such a path is refused, and so is a link that leads there by now.

    The mountpoint is a FIFO's directory here: whoever opens what is in it waits for ever.
    """
    mountpoint = place.directory / "mnt"
    mountpoint.mkdir()
    os.mkfifo(mountpoint / "keys")
    outside = Outside(mountpoint, place.environment)
    place.write("first.keys", "FIRST:s\n")
    link = place.directory / "link.keys"
    link.symlink_to("first.keys")
    named = "[credentials]\ncredentials_file = '{}'\n"
    place.write("origin.toml", named.format("link.keys"))
    read = partial(read_settings, [], place.environment, name="origin")
    live = LiveSettings(read, place.environment, outside)
    place.write("origin.toml", named.format("mnt/keys"))
    assert "leads into the mountpoint" in live.reload()
    place.write("origin.toml", named.format("link.keys"))
    assert live.reload() == "settings and keys were read anew"
    link.unlink()
    link.symlink_to("mnt/keys")
    live.keys.reload_if_changed()  # as the daemon does by itself
    assert "leads into the mountpoint" in live.reload()
    assert live.keys.current.access_key == "FIRST"
    link.unlink()
    link.symlink_to("first.keys")
    place.write("first.keys", "SECOND:s\n")
    live.keys.reload_if_changed()
    assert live.keys.current.access_key == "SECOND"
    place.directory.joinpath("origin.toml").unlink()
    place.directory.joinpath("origin.toml").symlink_to("mnt/keys")
    assert "config: " in live.reload()
    caplog.clear()


def test_places_are_judged_by_where_they_lead(tmp_path: Path) -> None:
    """By links, by dots, and by the mountpoint's own name, which may be a link itself."""
    (tmp_path / "real" / "mnt").mkdir(parents=True)
    (tmp_path / "mnt").symlink_to("real/mnt")
    (tmp_path / "loop").symlink_to("loop")
    outside = Outside(tmp_path / "mnt", {})
    for inside in ("mnt", "mnt/x", "real/mnt/x", "real/../mnt/x", "real/../real/./mnt//x/y"):
        assert not outside.has(tmp_path / inside), inside
    for beside in (".", "real", "real/mnt.log", "mnt2", "none/x", "loop/x"):
        assert outside.has(tmp_path / beside), beside
