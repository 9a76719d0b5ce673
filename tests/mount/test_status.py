# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Seeing inside a mount that runs: status, metrics, SIGUSR1."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kontenumfs.admin.client import ask
from tests.harness.emulator import Emulator
from tests.harness.mounts import MountFactory, kontenumfs, run
from tests.mount.test_files import eventually
from tests.mount.test_writing import MIB, noise


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def samples(page: str) -> dict[tuple[str, str], float]:
    """Values by name and label values, as Prometheus's own parser reads them."""
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def scrape(port: int) -> dict[tuple[str, str], float]:
    """What Prometheus would see."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/plain; version=")
        return samples(answer.read().decode())


def test_metrics_are_what_the_store_saw(mount: MountFactory, emulator: Emulator) -> None:
    """Requests by operation and status, bytes, and what is pending, against the access log."""
    port = free_port()
    mounted = mount(f"metrics=127.0.0.1:{port},append_interval=0")
    (mounted.path / "small").write_bytes(noise(1000))
    (mounted.path / "large").write_bytes(noise(20 * MIB))
    emulator.fault(op="PutObject", key=mounted.key("again"), status=503, code="SlowDown", count=2)
    (mounted.path / "again").write_bytes(b"again")
    emulator.fault(op="AppendObject", key=mounted.key("small"), reset="after")
    with open(mounted.path / "small", "ab") as file:
        file.write(b"more")
    handle = os.open(mounted.path / "open", os.O_WRONLY | os.O_CREAT)
    os.write(handle, bytes(777))
    seen = scrape(port)
    os.close(handle)
    requests = [r for r in emulator.requests() if r["key"] != mounted.key("open")]
    counted = Counter((r["op"], r["status"]) for r in requests)
    counted["AppendObject", 200] -= 1  # the answer that was lost on its way
    counted["AppendObject", 0] += 1
    for operation in ("PutObject", "AppendObject"):
        expected = {k[1]: n for k, n in counted.items() if k[0] == operation}
        found = {
            int(labels.partition(",")[2]): value
            for (name, labels), value in seen.items()
            if name == "kontenumfs_requests_total" and labels.startswith(operation + ",")
        }
        assert found == expected
    # Those before the mount answered count here, and were not logged since.
    assert seen["kontenumfs_sent_bytes_total", ""] == sum(r["request_bytes"] for r in requests)
    assert seen["kontenumfs_retries_total", "PutObject"] == 2
    assert seen["kontenumfs_appends_resolved_total", ""] == 1
    assert seen["kontenumfs_pending_bytes", ""] == 777
    assert seen["kontenumfs_open_files", ""] == 1
    assert seen["kontenumfs_request_seconds_count", "PutObject"] == sum(
        n for (operation, _), n in counted.items() if operation == "PutObject"
    )


def test_only_metrics_are_served(mount: MountFactory, tmp_path: Path) -> None:
    """Nothing else by HTTP; a socket in the file system; a client that says nothing is no harm."""
    path = tmp_path / "metrics.sock"
    mounted = mount(f"metrics=unix:{path}")

    def ask(text: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(text)
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b""))

    idle = socket.socket(socket.AF_UNIX)
    idle.connect(str(path))
    assert b"kontenumfs_build_info" in ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 404 ")
    assert ask(b"DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 405 ")
    assert ask(b"nonsense\r\n\r\n") == ask(b"") == b""
    odd = b"Accept: application/openmetrics-text;version=abc"
    page = ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + odd + b"\r\n\r\n")
    assert b"kontenumfs_build_info" in page
    idle.close()
    mounted.unmount()
    assert not path.exists()


def test_an_address_that_is_taken(mount: MountFactory) -> None:
    """One line, an exit code, and nothing is mounted."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        mounted = mount()
        mounted.unmount()
        mounted.words[1] += f",metrics=127.0.0.1:{taken.getsockname()[1]}"
        done = kontenumfs("mount", *mounted.words, check=False)
    assert done.returncode == 2
    assert re.fullmatch(
        r"kontenumfs: metrics=127\.0\.0\.1:\d+: nothing can listen there: .*\n", done.stderr
    )
    assert not os.path.ismount(mounted.path)


def test_the_dashboard_shows_what_there_is(mount: MountFactory) -> None:
    """Every metric of docs/grafana-dashboard.json is served, and none is left out."""
    port = free_port()
    mounted = mount(f"metrics=127.0.0.1:{port}")
    (mounted.path / "f").write_bytes(b"f")
    names = {name for name, _ in scrape(port) if not name.endswith("_created")}
    served = {re.sub("_(bucket|sum|count)$", "", name) for name in names}
    text = Path("docs/grafana-dashboard.json").read_text()
    dashboard = json.loads(text)
    expressions = " ".join(t["expr"] for p in dashboard["panels"] for t in p["targets"])
    shown = set(re.findall(r"kontenumfs_[a-z_]+", expressions))
    shown = {re.sub("_bucket$", "", name) for name in shown}
    assert shown <= served | {"kontenumfs_retries_total"}
    assert served - shown <= {"kontenumfs_build_info"}


def test_all_mounts_in_a_table(mount: MountFactory) -> None:
    """One that was killed and one that hangs are named, and hide nothing of the others."""
    well, killed, hung = mount(), mount(), mount()
    (well.path / "f").write_bytes(b"f")
    killed.kill()
    os.kill(hung.daemon(), signal.SIGSTOP)
    try:
        done = kontenumfs("status", check=False)
        details = kontenumfs("status", hung.path, check=False)
    finally:
        os.kill(hung.daemon(), signal.SIGCONT)
    assert done.returncode == details.returncode == 1
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "bucket/" in lines[str(well.path)]
    assert "no daemon of yours serves it" in lines[str(killed.path)]
    assert "has not answered for" in lines[str(hung.path)]
    assert "has not answered for" in details.stdout
    assert kontenumfs("status", hung.path).returncode == 0
    listed = json.loads(kontenumfs("status", "--json", check=False).stdout)
    assert {str(m.path) for m in (well, killed, hung)} <= {s["mountpoint"] for s in listed}


def test_the_details_of_one(mount: MountFactory, emulator: Emulator) -> None:
    """Open files with their pending bytes, hidden keys, the last error: for people, and as JSON."""
    mounted = mount("append_interval=0")
    emulator.fill([mounted.key("dir//hidden")])
    os.listdir(mounted.path / "dir")
    handle = os.open(mounted.path / "new\x1b[31m", os.O_WRONLY | os.O_CREAT)
    os.write(handle, bytes(5000))
    emulator.fault(op="PutObject", key=mounted.key("bad"), status=400, code="InvalidRequest")
    mounted.expected = "InvalidRequest"
    with pytest.raises(OSError, match="Input/output"):
        (mounted.path / "bad").write_bytes(b"bad")
    # Asked from here: a process that is begun closes its copy of the descriptor, which stores it.
    *_, last = ask(mounted.path, {"command": "status"})
    told = last["result"]
    assert told["files"] == [
        {
            "key": mounted.key("new\x1b[31m"),
            "state": "buffered",
            "size": 5000,
            "pending_bytes": 5000,
        }
    ]
    assert told["hidden"] == {mounted.key("dir/"): 1}
    assert "InvalidRequest" in told["last_error"]
    assert told["totals"]["failed_requests"] >= 1
    assert told["pid"] == mounted.daemon()
    shown = kontenumfs("status", mounted.path).stdout
    assert "0 B of 4.9 KiB  stored" in shown
    assert "1 keys in " in shown
    assert "InvalidRequest" in shown
    assert "\x1b" not in shown
    os.close(handle)


def test_watching(mount: MountFactory) -> None:
    """Again and again, with the rates between two looks, until nobody reads it."""
    mounted = mount()
    words = [sys.executable, "-m", "kontenumfs", "status", "--watch", "--every", "0.2"]
    with subprocess.Popen([*words, mounted.path], stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        for line in watching.stdout:
            if " requests/s" in line:
                break
        watching.stdout.close()  # as head(1) does
    assert watching.returncode == 141


def test_sigusr1_tells_the_log_where_everything_is(mount: MountFactory) -> None:
    """State and tasks, whatever the log level; the mount goes on, and no secret is said."""
    mounted = mount("log_level=error")
    os.kill(mounted.daemon(), signal.SIGUSR1)
    eventually(lambda: "task: " in mounted.log.read_text())
    (mounted.path / "f").write_bytes(b"content")
    assert mounted.fetch("f") == b"content"
    said = mounted.log.read_text()
    assert re.search(r"state: \{.*\"pending_bytes\": 0", said)
    assert re.search(r"task: .*_obey_signals.* at .*mount\.py:\d+", said)
    assert mounted.credentials.read_text().strip().partition(":")[2] not in said


def test_sighup_forgets_names(mount: MountFactory, emulator: Emulator) -> None:
    """What others have made is seen at once, through the kernel's cache too."""
    mounted = mount("ttl=1h")
    with pytest.raises(FileNotFoundError):
        os.stat(mounted.path / "new")
    emulator.fill([mounted.key("new")])
    with pytest.raises(FileNotFoundError):
        os.stat(mounted.path / "new")
    os.kill(mounted.daemon(), signal.SIGHUP)
    eventually(lambda: os.path.exists(mounted.path / "new"))


def test_keys_in_a_mounted_directory(mount: MountFactory, emulator: Emulator) -> None:
    """``kontenumfs ls`` of a path: the bucket's own view, the hidden ones where asked for."""
    mounted = mount()
    emulator.fill(mounted.key(name) for name in ("d/f", "d/sub/g", "d//x", "d/../y"))
    shown = kontenumfs("ls", "--json", mounted.path / "d").stdout.splitlines()
    keys = [json.loads(line)["key"] for line in shown]
    assert {mounted.key("d/f"), mounted.key("d/sub/")} <= set(keys)
    hidden = kontenumfs("ls", "--hidden", mounted.path / "d").stdout
    assert hidden.count("\n") == 2
    assert "an empty name between slashes" in hidden
    done = run(sys.executable, "-m", "kontenumfs", "ls", mounted.path / "none", check=False)
    assert done.returncode == 0
