# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Every mistake that a user can make in setting up a mount: one line names cause and cure."""

import fcntl
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from kontenumfs.admin.mounts import is_mountpoint
from kontenumfs.admin.spool_place import SpoolPlace
from kontenumfs.config.source import Source
from kontenumfs.protocol.exits import Exit
from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator, running_emulator
from tests.harness.mounts import kontenumfs, run
from tests.harness.tls import certificate

pytestmark = pytest.mark.usefixtures("fuse")


class Scene:
    """A mount by name that would work; each mistake changes one thing about it."""

    def __init__(self, emulator: Emulator, directory: Path, stack: ExitStack) -> None:
        self.emulator = emulator
        self.directory = directory
        self.stack = stack
        self.mountpoint = directory / "mnt"
        self.mountpoint.mkdir()
        self.file = directory / "origin.toml"
        self.keys = directory / "origin.keys"
        self.bucket, self.prefix, self.endpoint = BUCKET, "x", emulator.s3_url
        self.more = ""
        self.give_keys(f"{ACCESS}:{SECRET}\n")
        self.words = ["mount", "--name", "origin"]
        self.environment = {"KONTENUM_CONFIG_DIR": str(directory)}
        self.before: tuple[str, ...] = ()
        """What the command is run by."""

    def give_keys(self, text: str) -> None:
        """Write the file of keys."""
        self.keys.write_text(text)
        self.keys.chmod(0o600)

    def options(self, words: str) -> None:
        """Give mount options."""
        self.words += ["-o", words]

    def write(self, text: str) -> None:
        """Have a whole file of settings."""
        self.file.write_text(text)

    def run(self) -> tuple[int, str]:
        """Try; returns the exit code and what is on stderr."""
        if not self.file.exists():
            self.file.write_text(
                f"[mount]\nbucket = '{self.bucket}'\nprefix = '{self.prefix}'\n"
                f"mountpoint = '{self.mountpoint}'\n"
                f"[store]\nendpoint = '{self.endpoint}'\ndeadline = 3\n{self.more}"
            )
        command = (*self.before, sys.executable, "-m", "kontenumfs", *self.words)
        done = run(*command, check=False, env=dict(os.environ) | self.environment)
        assert done.stdout == ""
        return done.returncode, done.stderr


@dataclass(frozen=True)
class Mistake:
    """One row.

    Args:
        title: what the user did.
        make: does it.
        code: what the process must end with.
        said: what the line must have: the cause and the cure.
    """

    title: str
    make: Callable[[Scene], object]
    code: Exit
    said: tuple[str, ...]


def lines(text: str) -> Callable[[Scene], None]:
    """More lines in [store], or tables after it, from line 8 on."""

    def make(scene: Scene) -> None:
        scene.more = text

    return make


def words(*given: str) -> Callable[[Scene], None]:
    """Another command line."""

    def make(scene: Scene) -> None:
        scene.words = ["mount", *given]

    return make


def options(given: str) -> Callable[[Scene], None]:
    return lambda scene: scene.options(given)


def keys(text: str) -> Callable[[Scene], None]:
    return lambda scene: scene.give_keys(text)


def bucket(name: str, prefix: str = "x") -> Callable[[Scene], None]:
    def make(scene: Scene) -> None:
        scene.bucket, scene.prefix = name, prefix

    return make


def at(endpoint: str) -> Callable[[Scene], None]:
    def make(scene: Scene) -> None:
        scene.endpoint = endpoint

    return make


def environment(**variables: str) -> Callable[[Scene], None]:
    return lambda scene: scene.environment.update(variables)


def fault(code: str, status: int = 403) -> Callable[[Scene], None]:
    return lambda scene: scene.emulator.fault(op="*", count=None, status=status, code=code)


def closed_port(scene: Scene) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        scene.endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"


def silent_server(scene: Scene) -> None:
    server = scene.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    scene.endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
    scene.options("deadline=1")


def tls_server(name: str) -> Callable[[Scene], Path]:
    def make(scene: Scene) -> Path:
        cert, key = certificate(scene.directory, name)
        tls = (f"--tls-cert={cert}", f"--tls-key={key}")
        server = scene.stack.enter_context(running_emulator(scene.directory / "tls", *tls))
        scene.endpoint = server.s3_url.replace("127.0.0.1", "localhost")
        return cert

    return make


def wrong_name(scene: Scene) -> None:
    scene.options(f"ca_file={tls_server('s3.example.com')(scene)}")


def plain_text_tls(scene: Scene) -> None:
    scene.endpoint = scene.emulator.s3_url.replace("http://", "https://")


def tls_plain_text(scene: Scene) -> None:
    tls_server("localhost")(scene)
    scene.endpoint = scene.endpoint.replace("https://", "http://")


def not_a_certificate(scene: Scene) -> None:
    (scene.directory / "ca.pem").write_text("nothing\n")
    scene.endpoint = "https://localhost:1"
    scene.options(f"ca_file={scene.directory / 'ca.pem'}")


def inline_keys(scene: Scene) -> None:
    scene.more = f"[credentials]\naccess_key = '{ACCESS}'\nsecret_key = '{SECRET}'\n"


def file_instead_of_directory(scene: Scene) -> None:
    scene.mountpoint.rmdir()
    scene.mountpoint.touch()


def mounted_already(scene: Scene) -> None:
    taken = scene.directory / "taken"
    taken.mkdir()
    given = (
        *("-o", f"endpoint={scene.endpoint},credentials_file={scene.keys}"),
        BUCKET,
        str(taken),
    )
    kontenumfs("mount", *given)
    scene.stack.callback(kontenumfs, "unmount", taken)
    scene.words = ["mount", *given]


def loop(scene: Scene) -> None:
    scene.mountpoint.rmdir()
    scene.mountpoint.symlink_to("mnt")


def by_a_link(scene: Scene) -> None:
    (scene.directory / "logs").symlink_to("mnt/logs")
    scene.options(f"log_file={scene.directory}/logs/../logs/daemon.log")


def into_the_mount(name: str) -> Callable[[Scene], None]:
    return lambda scene: scene.options(f"{name}={scene.mountpoint}/x/y")


def without(scene: Scene, *capabilities: str) -> None:
    """Root without its powers: files have owners, mount(2) is refused, as in a container."""
    scene.before = ("setpriv", "--no-new-privs")
    if os.getuid() == 0:
        scene.before = ("setpriv", "--bounding-set", ",".join(f"-{name}" for name in capabilities))


def of_others(path: Callable[[Scene], Path]) -> Callable[[Scene], None]:
    def make(scene: Scene) -> None:
        without(scene, "dac_override", "dac_read_search")
        if os.getuid() == 0:
            os.chown(path(scene), 65534, 65534)
            path(scene).chmod(0o700 if path(scene).is_dir() else 0o600)
        else:
            path(scene).chmod(0)

    return make


def spool(scene: Scene) -> Path:
    """The directory of this mount's spool, which is there; the mount shall use it."""
    base = scene.directory / "spools"
    scene.options(f"durability=spool,spool_dir={base}")
    place = SpoolPlace.of(
        str(base), scene.endpoint, Source.of(scene.bucket, scene.prefix), scene.mountpoint, {}
    )
    place.directory.mkdir(parents=True, mode=0o700, exist_ok=True)
    return place.directory


def spool_of(told: str) -> Callable[[Scene], None]:
    """A spool that says of itself whose it is."""

    def make(scene: Scene) -> None:
        (spool(scene) / "identity").write_text(told)

    return make


def spool_in_use(scene: Scene) -> None:
    descriptor = os.open(spool(scene) / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    scene.stack.callback(os.close, descriptor)


def no_room_for_a_spool(scene: Scene) -> None:
    base = scene.directory / "small"
    base.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=1m", "none", base)
    scene.stack.callback(run, "umount", base)
    scene.options(f"durability=spool,spool_dir={base}")


def spool_in_itself(scene: Scene) -> None:
    scene.options(f"durability=spool,spool_dir={scene.mountpoint}/spool")


USAGE, CREDENTIALS, MOUNTPOINT = Exit.USAGE, Exit.CREDENTIALS, Exit.MOUNTPOINT
MISTAKES = (
    # The command line.
    Mistake("no arguments", words(), USAGE, ("bucket", "argument")),
    Mistake("no mountpoint", words(BUCKET), USAGE, ("mountpoint", "argument")),
    Mistake("one argument beside a name", words("--name", "origin", "b"), USAGE, ("MOUNTPOINT",)),
    Mistake("an unknown flag", words("--verbose"), USAGE, ("--verbose", "kontenumfs mount --help")),
    Mistake(
        "no bucket before the slash", words("/x", "/mnt"), USAGE, ("names no bucket", "BUCKET")
    ),
    Mistake(
        "an unknown name", words("--name", "orgin"), USAGE, ("orgin.toml", "did you mean 'origin'")
    ),
    Mistake("a path as a name", words("--name", "a/b"), USAGE, ("'a/b'", "letters, digits")),
    # Options.
    Mistake(
        "a typing error in an option", options("endpiont=x"), USAGE, ("did you mean 'endpoint'",)
    ),
    Mistake("an option of others", options("use_cache=x"), USAGE, ("'use_cache'", "--help")),
    Mistake("an option without its value", options("ttl"), USAGE, ("ttl=SECONDS",)),
    Mistake("a switch with a value", options("ro=maybe"), USAGE, ("ro=false",)),
    Mistake("not a duration", options("ttl=soon"), USAGE, ("'soon'", "such as 60 or 5m")),
    Mistake("not a size", options("memory=lots"), USAGE, ("'lots'", "such as 8M")),
    Mistake("no port", options("endpoint=http://h:99999"), USAGE, ("'http://h:99999'", "such as")),
    Mistake("no region", options("region=a b"), USAGE, ("'a b'", "such as us-east-1")),
    Mistake("a NUL", lines('ca_file = "\\u0000"\n'), USAGE, ("line 8", "has a NUL character")),
    Mistake("not octal", options("umask=0089"), USAGE, ("'0089'", "such as 0644")),
    Mistake("not a number", options("uid=www-data"), USAGE, ("'www-data'", "number")),
    Mistake("not a choice", options("signature=v3"), USAGE, ("'v3'", "v4, v2, plain")),
    Mistake("a chunk that is too small", options("chunk_size=1M"), USAGE, ("chunk_size", "5M")),
    Mistake(
        "memory for less than two chunks", options("memory=9M"), USAGE, ("memory", "two chunks")
    ),
    Mistake("no connections", options("connections=0"), USAGE, ("connections", "at least 1")),
    Mistake("no time", options("deadline=0"), USAGE, ("deadline", "longer than 0")),
    Mistake(
        "a secret as an option", options("secret_key=x"), USAGE, ("processes", "credentials_file=")
    ),
    Mistake("the bucket as an option", options("bucket=x"), USAGE, ("kontenumfs mount BUCKET",)),
    Mistake(
        "a variable that is wrong", environment(KONTENUM_TTL="x"), USAGE, ("KONTENUM_TTL", "5m")
    ),
    Mistake(
        "a log that cannot be", options("log_file=/none/x"), USAGE, ("log_file /none/x", "No such")
    ),
    Mistake(
        "a file that is not there", options("config=/none.toml"), USAGE, ("/none.toml", "No such")
    ),
    # Paths that lead into the mount itself, where the daemon would wait for itself.
    *(
        Mistake(
            f"{name} in the mount",
            into_the_mount(name),
            USAGE,
            (f"option {name}: ", "/mnt/x/y leads into the mountpoint", "outside"),
        )
        for name in ("log_file", "cache_dir", "credentials_file", "ca_file")
    ),
    Mistake(
        "a socket in the mount",
        lambda s: s.options(f"metrics=unix:{s.mountpoint}/socket"),
        USAGE,
        ("option metrics: ", "leads into the mountpoint"),
    ),
    Mistake(
        "the mountpoint as log", lambda s: s.options(f"log_file={s.mountpoint}"), USAGE, ("leads",)
    ),
    Mistake("a log in the mount, by a link", by_a_link, USAGE, ("log_file", "leads into")),
    Mistake(
        "a relative path into the mount",
        lines("[log]\nlog_file = 'mnt/../mnt/log'\n"),
        USAGE,
        ("line 9: log_file", "leads into"),
    ),
    Mistake(
        "a variable into the mount",
        lambda s: s.environment.update(KONTENUM_CACHE_DIR=f"{s.mountpoint}/cache"),
        USAGE,
        ("KONTENUM_CACHE_DIR: cache_dir", "leads into"),
    ),
    Mistake(
        "a cache in the mount, by systemd's word",
        lambda s: s.environment.update(CACHE_DIRECTORY=f"{s.mountpoint}/cache"),
        USAGE,
        ("the cache directory", "leads into"),
    ),
    # The file.
    Mistake("an unknown key", lines("conections = 5\n"), USAGE, ("line 8", "'connections'")),
    Mistake("an unknown table", lines("[cahce]\n"), USAGE, ("line 8", "did you mean 'cache'")),
    Mistake("a key in the wrong table", lines("ttl = 5\n"), USAGE, ("line 8", "below [cache]")),
    Mistake("a bad value", lines("[cache]\n\nttl = '1 day'\n"), USAGE, ("line 10", "60 or 5m")),
    Mistake("a table in a table", lines("[mount.x]\n"), USAGE, ("line 8", "key 'x' in [mount]")),
    Mistake(
        "a mode as a number",
        lambda s: s.write("[mount]\numask = 22\n"),
        USAGE,
        ("line 2", "quotes"),
    ),
    Mistake("no quotes", lines("region = eu\n"), USAGE, ("line 8", "needs quotes")),
    Mistake("a key twice", lines("deadline = 4\n"), USAGE, ("line 8", "twice")),
    Mistake("not TOML", lambda s: s.write("bucket: x\n"), USAGE, ("line 1",)),
    Mistake("not text", lambda s: s.file.write_bytes(b"\xff"), USAGE, ("origin.toml", "UTF-8")),
    Mistake("a directory", lambda s: s.file.mkdir(), USAGE, ("origin.toml", "directory")),
    Mistake("no bucket", lambda s: s.write("[mount]\n"), USAGE, ("no bucket", "bucket = 'NAME'")),
    Mistake(
        "a relative mountpoint",
        lambda s: s.write("[mount]\nbucket = 'bucket'\nmountpoint = 'mnt'\n"),
        USAGE,
        ("line 3", "begin with /"),
    ),
    Mistake("a rule without match", lines("[[files]]\n"), USAGE, ("line 8", "match = '*.log'")),
    Mistake(
        "a header that is ours",
        lines("[[headers]]\nmatch = '*'\nHost = 'x'\n"),
        USAGE,
        ("line 10", "Host", "no header that can be set"),
    ),
    # What is mounted, and where the store is.
    Mistake("a name no bucket has", bucket("my bucket"), USAGE, ("line 2", "letters, digits")),
    Mistake("a prefix with dots", bucket(BUCKET, "a/../b"), USAGE, ("line 3", "'..'", "another")),
    Mistake("a prefix of mounts", bucket(BUCKET, ".kontenumfs"), USAGE, ("belongs to mounts",)),
    Mistake("a prefix too long", bucket(BUCKET, "x/" * 500), USAGE, ("longer than 768 bytes",)),
    Mistake("an endpoint without scheme", at("s3.kontenum.com"), USAGE, ("line 6", "https://s3")),
    Mistake("an endpoint with a path", at("http://h/b"), USAGE, ("line 6", "such as https://")),
    Mistake(
        "the secret in the clear",
        options("signature=plain,endpoint=http://s3.example.com"),
        USAGE,
        ("secret key itself", "https endpoint"),
    ),
    # Keys.
    Mistake(
        "no keys at all", lambda s: s.keys.unlink(), CREDENTIALS, ("chmod 600", "credentials_file=")
    ),
    Mistake(
        "no file of keys", options("credentials_file=/none"), CREDENTIALS, ("/none", "No such")
    ),
    Mistake(
        "keys for all to read", lambda s: s.keys.chmod(0o644), CREDENTIALS, ("0644", "chmod 600")
    ),
    Mistake("settings with keys to read", inline_keys, CREDENTIALS, ("0644", "chmod 600")),
    Mistake("nothing but comments", keys("# none\n"), CREDENTIALS, ("no ACCESS:SECRET line",)),
    Mistake(
        "a line that is no pair", keys("hush\n"), CREDENTIALS, ("line 1", "must be ACCESS:SECRET")
    ),
    Mistake("three pairs", keys("a:b\nc:d\ne:f\n"), CREDENTIALS, ("3 key pairs", "one or two")),
    Mistake("half a pair", keys("access_key=A\n"), CREDENTIALS, ("secret_key= is missing",)),
    Mistake(
        "half a pair of variables",
        environment(KONTENUM_ACCESS_KEY="A"),
        CREDENTIALS,
        ("KONTENUM_SECRET_KEY is not set",),
    ),
    Mistake(
        "a wrong access key", keys(f"AKNO:{SECRET}\n"), Exit.KEYS, ("access key", "check the keys")
    ),
    Mistake("a wrong secret", keys(f"{ACCESS}:wrong\n"), Exit.KEYS, ("secret key does not fit",)),
    Mistake("keys of others", of_others(lambda s: s.keys), CREDENTIALS, ("origin.keys", "denied")),
    # The store.
    Mistake("no such host", at("http://no-such-host.invalid"), Exit.NAME, ("resolve", "endpoint=")),
    Mistake("nobody listens", closed_port, Exit.CONNECTION, ("nothing answers", "firewall")),
    Mistake("nobody answers", silent_server, Exit.DEADLINE, ("did not answer in time",)),
    Mistake("an unknown authority", tls_server("localhost"), Exit.TLS, ("certificate", "ca_file=")),
    Mistake("a certificate for others", wrong_name, Exit.TLS, ("certificate", "endpoint=")),
    Mistake("https to an http port", plain_text_tls, Exit.TLS, ("endpoint=",)),
    Mistake("http to an https port", tls_plain_text, Exit.CONNECTION, ("endpoint=",)),
    Mistake(
        "no certificates",
        options("ca_file=/none,endpoint=https://localhost:1"),
        Exit.TLS,
        ("ca_file /none", "No such"),
    ),
    Mistake("not a certificate", not_a_certificate, Exit.TLS, ("ca_file", "ca.pem")),
    Mistake(
        "no such bucket", bucket("no-such-bucket"), Exit.BUCKET, ("no-such-bucket", "create it")
    ),
    Mistake("no rights", fault("AccessDenied"), Exit.DENIED, ("check their rights",)),
    Mistake("a wrong clock", fault("RequestTimeTooSkewed"), Exit.CLOCK, ("clock", "NTP")),
    Mistake(
        "another region", options("region=eu"), Exit.STORE, ("region 'eu' is wrong", "us-east-1")
    ),
    # The mountpoint.
    Mistake(
        "no mountpoint there", lambda s: s.mountpoint.rmdir(), MOUNTPOINT, ("mnt", "create it")
    ),
    Mistake("a file there", file_instead_of_directory, MOUNTPOINT, ("mnt", "not a directory")),
    Mistake("files in it", lambda s: (s.mountpoint / "x").touch(), MOUNTPOINT, ("-o nonempty",)),
    Mistake("mounted already", mounted_already, MOUNTPOINT, ("something is mounted", "unmount")),
    Mistake("of others", of_others(lambda s: s.mountpoint), MOUNTPOINT, ("denied", "as root")),
    Mistake(
        "no right to mount", lambda s: without(s, "sys_admin"), Exit.FUSE, ("mnt", "SYS_ADMIN")
    ),
    # The spool.
    Mistake("no size", options("spool_size=0"), USAGE, ("spool_size", "more than 0")),
    Mistake("no durability", options("durability=disk"), USAGE, ("'disk'", "store, spool")),
    Mistake(
        "no directory for spools",
        options("durability=spool,spool_dir=/none"),
        Exit.SPOOL,
        ("spool_dir /none", "create it first"),
    ),
    Mistake("a spool in the mount", spool_in_itself, USAGE, ("spool_dir", "mnt")),
    Mistake("a spool of others", of_others(spool), Exit.SPOOL, ("spool", "belongs to user")),
    Mistake("a spool for others", lambda s: spool(s).chmod(0o750), Exit.SPOOL, ("chmod 700",)),
    Mistake("a spool in use", spool_in_use, Exit.SPOOL, ("another mount has it",)),
    Mistake("a damaged spool", spool_of("{"), Exit.SPOOL, ("'identity' is damaged",)),
    Mistake(
        "a newer spool",
        spool_of('{"format": 9, "spool": "01234567"}'),
        Exit.SPOOL,
        ("a newer release", "format 9"),
    ),
    Mistake(
        "a spool of another store",
        spool_of('{"format": 1, "spool": "01234567", "endpoint": "http://other"}'),
        Exit.SPOOL,
        ("it is that of endpoint 'http://other', not",),
    ),
    Mistake(
        "a spool without its name",
        lambda s: (spool(s) / "segment-1").touch(),
        Exit.SPOOL,
        ("'identity' is missing",),
    ),
    Mistake("no room for a spool", no_room_for_a_spool, Exit.SPOOL, ("No space left on device",)),
    Mistake("a link to itself", loop, MOUNTPOINT, ("mnt", "symbolic links")),
)


@pytest.fixture
def scene(emulator: Emulator, tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(emulator, tmp_path, stack)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.title)
def test_one_line_names_cause_and_cure(scene: Scene, mistake: Mistake) -> None:
    """And there is an exit code for scripts; no secret is shown, and nothing is mounted."""
    mistake.make(scene)
    code, said = scene.run()
    assert len(said.splitlines()) == 1, said
    assert said.startswith("kontenumfs: ")
    assert all(word in said for word in mistake.said), said
    assert code == mistake.code, said
    assert not any(secret in said for secret in (SECRET, "wrong\n", "hush"))
    assert not is_mountpoint(scene.mountpoint)


def test_the_scene_itself_works(scene: Scene) -> None:
    """Nothing else is wrong in the rows above."""
    assert scene.run() == (0, "")
    assert is_mountpoint(scene.mountpoint)
    kontenumfs("unmount", scene.mountpoint)


def test_the_table_is_long_enough() -> None:
    """Every row is another mistake."""
    assert len({mistake.title for mistake in MISTAKES}) == len(MISTAKES) >= 40
