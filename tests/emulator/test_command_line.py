# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The emulator's options: what each does, and one clear line for what is wrong with them."""

import re
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.emulator.wire import Wire
from tests.harness.emulator import BUCKET, Emulator, running_emulator
from tests.harness.mounts import run
from tests.harness.tls import certificate

MODULE = (sys.executable, "-m", "kontenumfs.emulator")
KEYS = ("--access-key=AK", "--secret-key=SK")
FREE = "--listen=127.0.0.1:0"


def refusal(*words: str | Path) -> str:
    """The one line that an emulator which does not start has to say."""
    done = run(*MODULE, *words, check=False)
    assert done.returncode in (1, 2), done
    assert done.stdout == ""
    line, end, rest = done.stderr.partition("\n")
    assert (end, rest) == ("\n", ""), done.stderr
    assert line.startswith("kontenumfs emulator: ")
    assert not re.search(r"Traceback|Errno|\w+Error", line)
    return line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "--data"),
        (("--data=d",), "at least one pair"),
        (("--data=d", "--access-key=AK"), "one --secret-key for each --access-key"),
        (("--data=d", "--secret-key=SK"), "one --secret-key for each --access-key"),
        (("--data=d", *KEYS, *KEYS, *KEYS), "at most two"),
        (("--data=d", *KEYS, *KEYS), "same --access-key"),
        (("--data=d", *KEYS, "--unknown=1"), "--unknown"),
        (("--data=d", *KEYS, "--late=1"), "--late"),
        (("--data=d", *KEYS, "extra"), "extra"),
        (("--data=d", *KEYS, "--listen=9000"), "is not HOST:PORT"),
        (("--data=d", *KEYS, "--listen=127.0.0.1:65536"), "is not HOST:PORT"),
        (("--data=d", *KEYS, "--listen=:9000"), "is not HOST:PORT"),
        (("--data=d", *KEYS, "--latency=-1"), "is not a time"),
        (("--data=d", *KEYS, "--latency=20us"), "is not a time"),
        (("--data=d", *KEYS, "--max-appends=-1"), "--max-appends"),
        (("--data=d", *KEYS, "--max-components=all"), "--max-components"),
        (("--data=d", *KEYS, "--min-part-size=5M"), "--min-part-size"),
        (("--data=d", *KEYS, "--min-range-source=5M"), "--min-range-source"),
        (("--data=d", *KEYS, "--conditional=put,get"), "'get' is none of put, complete"),
        (("--data=d", *KEYS, "--bucket=Not_a_bucket"), "'Not_a_bucket'"),
        (("--data=d", *KEYS, "--tls-cert=c"), "--tls-cert and --tls-key go together"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(words: tuple[str, ...], told: str) -> None:
    assert told in refusal(*words)


def test_what_cannot_be_used_is_named_in_one_line(tmp_path: Path) -> None:
    """A port that is taken, an address of another machine, files that are not what they should."""
    data, file = tmp_path / "data", tmp_path / "file"
    file.write_text("no directory, no certificate and no database")
    usual = (f"--data={data}", *KEYS)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for side in ("listen", "cdn-listen", "control-listen"):
            line = refusal(*usual, FREE, f"--{side}={address}")
            assert f"cannot listen on {address}: Address already in use" in line
    assert "no-such-host.invalid:0" in refusal(*usual, "--listen=no-such-host.invalid:0")
    assert f"{file}: " in refusal(f"--data={file}", *KEYS, FREE)
    assert f"{tmp_path}/none/log: " in refusal(*usual, FREE, f"--access-log={tmp_path}/none/log")
    for cert in (file, tmp_path / "none"):
        assert f"{cert}" in refusal(*usual, FREE, f"--tls-cert={cert}", f"--tls-key={file}")
    (data / "meta.sqlite").write_bytes(file.read_bytes() * 1000)
    assert f"{data}: file is not a database" in refusal(*usual, FREE)


def test_a_directory_serves_one_emulator(emulator: Emulator) -> None:
    """A second one on the same --data says so, and the first goes on."""
    line = refusal(f"--data={emulator.directory / 'data'}", *KEYS, FREE)
    assert "is in use by another emulator" in line
    with Wire(emulator) as wire:
        assert wire.send("PUT", "used").status == 200


def test_help_shows_every_option_with_its_default() -> None:
    for words in (MODULE, (sys.executable, "-m", "kontenumfs", "emulator")):
        told = " ".join(run(*words, "--help").stdout.partition("options:")[2].split())
        options = re.split(r" (?=--[a-z])", told)[1:]
        names = {option.split()[0] for option in options} - {"--help"}
        assert len(names) == 21
        for option in options[1:]:
            assert re.search(r"\(default: [^)]+\)|\(required\)", option), option
        for default in ("127.0.0.1:9000", "us-east-1", "1023", "32", "5242880"):
            assert f"(default: {default})" in told


def test_the_ready_line_names_the_sides_that_listen(tmp_path: Path) -> None:
    """Only the S3 side is always there, and IPv6 addresses are written as in a URL."""
    words = [*MODULE, f"--data={tmp_path / 'data'}", *KEYS, "--listen=[::1]:0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"kontenumfs emulator ready s3=http://\[::1\]:([0-9]+)\n", line)
        assert found is not None, line
        socket.create_connection(("::1", int(found[1]))).close()
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
    assert process.returncode == 0


def test_both_sigterm_and_a_restart_are_orderly(own_emulator: Emulator) -> None:
    """Objects, their headers and the number of appends outlive the process."""
    with Wire(own_emulator) as wire:
        wire.send("PUT", "kept", b"content", {"x-amz-meta-own": "value", "content-type": "a/b"})
        wire.send("PUT", "kept?append", b" and more")
        before = wire.send("HEAD", "kept").headers
    own_emulator.stop()
    own_emulator.start()
    with Wire(own_emulator) as wire:
        after = wire.send("HEAD", "kept").headers
    varying = ("date", "x-amz-request-id")
    assert {n: v for n, v in after.items() if n not in varying} == {
        n: v for n, v in before.items() if n not in varying
    }
    assert own_emulator.fetch("kept") == b"content and more"


def test_requests_that_do_not_end_are_cut(own_emulator: Emulator) -> None:
    """A body without its end, an answer that nobody takes, a long delay: it stops all the same."""
    body = bytes(8 << 20)
    with ExitStack() as stack:
        wire = stack.enter_context(Wire(own_emulator))
        wire.send("PUT", "big", body)
        wire.send("PUT", "cut", b"old")
        own_emulator.fault(op="PutObject", key="late", delay=600.0)
        requests = [wire.prepare("PUT", key, body) for key in ("cut", "late")]
        for request in requests:
            raw = stack.enter_context(wire.plain_socket())
            raw.sendall(request.head(len(body)) + body[: 2 << 20])
        address = own_emulator.cdn_url.removeprefix("http://").split(":")
        taker = stack.enter_context(socket.create_connection((address[0], int(address[1]))))
        taker.sendall(f"GET /{BUCKET}/big HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        assert taker.recv(1)
        own_emulator.stop()
    own_emulator.check_log()
    own_emulator.start()
    assert own_emulator.fetch("cut") == b"old"
    assert not own_emulator.exists("late")
    found = {line["key"]: line["status"] for line in own_emulator.all_requests()}
    assert found == {"big": 200, "cut": 400, "late": 0}


def test_tls(tmp_path: Path) -> None:
    """The S3 side answers https alone; the CDN side stays as it is."""
    cert, key = certificate(tmp_path, "localhost")
    with running_emulator(tmp_path / "own", f"--tls-cert={cert}", f"--tls-key={key}") as emulator:
        assert emulator.s3_url.startswith("https://")
        assert emulator.cdn_url.startswith("http://")
        trust = ssl.create_default_context(cafile=str(cert))
        with Wire(emulator, tls=trust, host="localhost") as wire:
            assert wire.send("PUT", "a", b"over TLS").status == 200
        with socket.create_connection(("127.0.0.1", int(emulator.s3_url[-5:]))) as plain:
            plain.sendall(f"HEAD /{BUCKET}/a HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            assert not plain.recv(100).startswith(b"HTTP/1.1 200")
        assert emulator.fetch("a") == b"over TLS"


def test_two_key_pairs(tmp_path: Path) -> None:
    """Both are good, until one is deactivated; an unknown name cannot be activated."""
    second = ("--access-key=AK2", "--secret-key=S2")
    with running_emulator(tmp_path / "own", *second) as emulator, Wire(emulator) as wire:
        other = Wire(emulator, access="AK2", secret="S2")
        assert wire.send("PUT", "a").status == other.send("PUT", "b").status == 200
        emulator.activate("AK2")
        assert wire.send("PUT", "a").code == "InvalidAccessKeyId"
        assert other.send("PUT", "b").status == 200
        with pytest.raises(urllib.request.HTTPError) as refused:
            emulator.activate("AK3")
        refused.value.close()
        assert refused.value.code == 400
        emulator.activate("AKTEST", "AK2")
        assert wire.send("PUT", "a").status == 200
        mixed = Wire(emulator, access="AK2", secret="sEcReT/+test")
        assert mixed.send("PUT", "b").code == "SignatureDoesNotMatch"
        other.close()
        mixed.close()


def test_every_limit_is_an_option(tmp_path: Path) -> None:
    """--max-appends and --max-components; --min-part-size is in the multipart tests."""
    limits = ("--max-appends=2", "--max-components=1", "--region=eu-central-1")
    with running_emulator(tmp_path / "own", *limits) as emulator:
        with Wire(emulator) as wire:
            assert wire.send("PUT", "a").code == "AuthorizationHeaderMalformed"
        with Wire(emulator, region="eu-central-1") as wire:
            codes = [wire.send("PUT", "a?append", b"x").code for _ in range(3)]
            assert codes == ["", "", "TooManyAppends"]
            assert wire.compose("b", "a").status == 200
            assert wire.compose("b", "a", "a").code == "InvalidRequest"
