# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the emulator takes in a second: ``python -m bench.emulator``.

One PutObject of 1 GiB after the other over loopback, data on tmpfs. The client costs next to
nothing: the body's digest is known beforehand, and sendfile(2) sends it from memory. The ETag is
the MD5 of the body, so no put is faster than MD5 in one thread, which is measured beside each: the
ratio says on a busy machine too how much the emulator adds. The targets are for two quiet cores,
and are shown, not asserted.
"""

import hashlib
import os
import socket
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from kontenumfs.protocol.signing import UNSIGNED_PAYLOAD, KeyPair, Signable, SigV4
from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator, running_emulator

MIB = 1 << 20
BIG = 1024 * MIB
ROUNDS = 5
"""The kinds are put in turn; medians are shown."""
TARGETS = {"unsigned": 400, "signed": 200}
"""MB/s that two quiet cores are to reach."""


def make_body(path: Path) -> str:
    """Write `BIG` random bytes, and return their SHA-256."""
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for _ in range(BIG // MIB):
            block = os.urandom(MIB)
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def put(url: str, body: Path, payload_hash: str) -> float:
    """Put the body as one object; returns the seconds from the first byte to the answer."""
    host = url.removeprefix("http://")
    path = f"/{BUCKET}/big"
    headers = {"host": host}
    request = Signable("PUT", path, (), headers, payload_hash)
    headers |= SigV4().sign(request, KeyPair(ACCESS, SECRET), datetime.now(UTC))
    headers["content-length"] = str(body.stat().st_size)
    lines = [f"PUT {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port))) as connection, open(body, "rb") as file:
        began = time.perf_counter()
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        connection.sendfile(file)
        answer = connection.recv(65536)
        seconds = time.perf_counter() - began
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise AssertionError(answer)
    return seconds


def md5_speed() -> float:
    """MB/s of MD5 alone, in one thread."""
    block = os.urandom(MIB)
    digest = hashlib.md5(usedforsecurity=False)
    began = time.perf_counter()
    for _ in range(256):
        digest.update(block)
    return 256 * MIB / (time.perf_counter() - began) / 1e6


def measure(emulator: Emulator, directory: Path) -> None:
    """Print the table."""
    body = directory / "body"
    kinds = {"unsigned": UNSIGNED_PAYLOAD, "signed": make_body(body)}
    at_start = emulator.peak_memory()
    speeds: dict[str, list[float]] = {kind: [] for kind in kinds}
    ratios: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(ROUNDS):
        for kind, payload_hash in kinds.items():
            alone = md5_speed()
            speed = BIG / put(emulator.s3_url, body, payload_hash) / 1e6
            speeds[kind].append(speed)
            ratios[kind].append(speed / statistics.mean((alone, md5_speed())))
    print(f"PutObject of {BIG // MIB} MiB over loopback, {os.cpu_count()} cores, {ROUNDS} rounds")
    print(f"{'payload':<10}{'MB/s':>8}{'least':>8}{'most':>8}{'of MD5':>8}{'target':>8}{'met':>8}")
    for kind, found in speeds.items():
        median, target = statistics.median(found), TARGETS[kind]
        print(
            f"{kind:<10}{median:>8.0f}{min(found):>8.0f}{max(found):>8.0f}"
            f"{statistics.median(ratios[kind]):>8.2f}{target:>8}{median / target:>8.2f}"
        )
    peak = emulator.peak_memory()
    print(f"peak memory of the server: {peak / MIB:.0f} MiB, {at_start / MIB:.0f} MiB at its start")


def main() -> None:
    """Measure."""
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="kontenumfs-bench-", dir=place) as name:
        directory = Path(name)
        with running_emulator(directory / "emulator") as emulator:
            measure(emulator, directory)


if __name__ == "__main__":
    main()
