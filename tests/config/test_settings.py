# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Option over environment over file over default, and complaints that name file and line."""

from pathlib import Path

import pytest

from kontenumfs.config.settings import Settings, read_settings
from kontenumfs.config.source import Source
from kontenumfs.protocol.errors import UserError

FILE = """\
[mount]
bucket = "media"
prefix = "/vod/"
mountpoint = "/srv/vod"
umask = "0077"
ro = true

[store]
deadline = 30
connections = 4

[publish]
temporary = ["*.tmp", "*.part"]
append_interval = 2.5
[cache]
ttl = "5m"
memory = "128M"
[log]
log_file = "vod.log"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "vod.toml"
    path.write_text(FILE)
    return path


def read(file: Path, *given: str, **environment: str) -> Settings:
    """Settings of a named mount."""
    return read_settings(
        given, {"KONTENUM_CONFIG_DIR": str(file.parent), **environment}, name=file.stem
    )


def test_a_file_says_everything(file: Path) -> None:
    """Text, numbers, booleans, lists; durations and sizes as the options take them."""
    settings = read(file)
    options = settings.options
    assert settings.source() == Source("media", "vod/")
    assert settings.mountpoint() == Path("/srv/vod")
    assert (options.umask, options.ro, options.deadline, options.connections) == (63, True, 30, 4)
    assert (options.temporary, options.append_interval) == ("*.tmp:*.part", 2.5)
    assert (options.ttl, options.memory) == (300, 128 << 20)
    assert options.log_file == str(file.parent / "vod.log"), "a relative path begins at the file"
    assert options.config == str(file)
    assert settings.rules.is_temporary("x.part", "")


def test_option_environment_file_default(file: Path) -> None:
    """Each layer over the next, and every value tells its origin."""
    names = ("ttl", "deadline", "connections", "region", "ro")
    environment = {"KONTENUM_TTL": "2", "KONTENUM_DEADLINE": "3", "KONTENUM_RO": "false"}
    settings = read(file, "ttl=1,nodev", **environment)
    found = {name: (settings.values[name].value, settings.values[name].origin) for name in names}
    assert found == {
        "ttl": (1, "option"),
        "deadline": (3, "KONTENUM_DEADLINE"),
        "connections": (4, f"{file}, line 10"),
        "region": ("us-east-1", "default"),
        "ro": (False, "KONTENUM_RO"),
    }
    assert read(file, "ro=false").options.ro is False
    assert read(file).options.ro is True


def test_config_names_any_file(file: Path) -> None:
    """``-o config=`` comes before the name, and the name before KONTENUM_CONFIG."""
    other = file.with_name("other.toml")
    other.write_text("[cache]\nttl = 7\n")
    assert read(file, f"config={other}").options.ttl == 7
    assert read(file, KONTENUM_CONFIG=str(other)).options.ttl == 300
    assert read_settings([], {"KONTENUM_CONFIG": str(other)}).options.ttl == 7
    relative = read_settings(["config=other.toml"], {}, directory=str(file.parent))
    assert relative.options.ttl == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[cache]\n\ntttl = 5\n", "line 3: unknown key 'tttl' in [cache]; did you mean 'ttl'?"),
        ("ttl = 5\n", "line 1: ttl belongs below [cache]"),
        ("[log]\nttl = 5\n", "line 2: ttl belongs below [cache], not [log]"),
        ("# one\n[stroe]\n", "line 2: unknown section [stroe]; did you mean 'store'?"),
        ("[cache]\nttl = 'soon'\n", "line 2: ttl = 'soon' is not a duration such as 60 or 5m"),
        ("[mount]\numask = 22\n", 'line 2: umask = 22 needs quotes, such as "0644"'),
        ("[mount]\nro = 'yes'\n", "line 2: ro = 'yes' is none of true, false"),
        ("[mount]\nbucket = ''\n", "line 2: bucket = '' is not a value"),
        ("[store]\nregion = ['a']\n", "line 2: region = ['a'] is not a value"),
        ("[store]\nregion = a\n", "line 2: Invalid value: text needs quotes"),
        ("[store]\nregion = 'a'\nregion = 'b'\n", "line 3: Cannot overwrite a value"),
        ("[store]\nregion = 'a\n", "line 2: "),
        ("store = 1\n", "line 1: store is a table: write [store]"),
        ("[publish]\nchunk_size = '1M'\n", "line 2: chunk_size: S3 takes no part below 5M"),
        ("[cache]\nmemory = '8M'\n", "line 2: memory: must hold two chunks"),
        (
            "[store]\nsignature = 'plain'\nendpoint = 'http://s3.example.com'\n",
            "line 2: signature: plain sends the secret key itself: use an https endpoint",
        ),
        ("[credentials]\nsecret_key = 5.5\nsecret_kee = 'x'\n", "line 3: unknown key 'secret_kee'"),
        ("[[files]]\nmatch = [\n  'a',\n]\npublish = 'no'\n", "line 5: publish = 'no' is none of"),
    ],
)
def test_complaints_name_the_line(tmp_path: Path, text: str, said: str) -> None:
    """One line: the file, the line, what is wrong, and what is meant or possible."""
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}, ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["[1]", "{a = 1}", "true", "''"])
def test_a_secret_is_never_shown(tmp_path: Path, value: str) -> None:
    """Nor what stands in its place."""
    path = tmp_path / "x.toml"
    path.write_text(f"[credentials]\nsecret_key = {value}\n")
    with pytest.raises(UserError, match=r"line 2: secret_key = \(hidden\)"):
        read(path)


def test_a_name_that_is_not_there_but_near(file: Path) -> None:
    """The nearest configuration is named, and what cannot be a name is refused."""
    with pytest.raises(UserError, match=r"vdo\.toml: no such file; did you mean 'vod'\?"):
        read(file.with_name("vdo.toml"))
    with pytest.raises(UserError, match="cannot be the name of a mount"):
        read_settings([], {}, name="../etc/passwd")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[mount]\nprefix='a'\n", "has no bucket"),
        ("[mount]\nbucket='a/b'\n", "line 2: 'a/b' cannot be a bucket's name"),
        ("[mount]\nbucket='abc'\nprefix='a//b'\n", "line 3: prefix 'a//b': '' cannot be"),
        ("[mount]\nbucket='abc'\nprefix='.kontenumfs'\n", "line 3: prefix .* belongs to mounts"),
    ],
)
def test_what_cannot_be_mounted(tmp_path: Path, text: str, said: str) -> None:
    """Bucket and prefix of the file are checked where they are used."""
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        read(path).source()
