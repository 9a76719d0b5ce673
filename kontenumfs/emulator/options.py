# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The emulator's command line."""

import argparse
import re


def parser() -> argparse.ArgumentParser:
    """What ``kontenumfs emulator`` takes."""
    made = argparse.ArgumentParser(
        prog="kontenumfs emulator",
        description="A Kontenum-compatible store on this machine, for demonstrations and tests.",
    )
    add = made.add_argument
    add("--listen", type=_address, default=("127.0.0.1", 9000), metavar="HOST:PORT", help="S3 side")
    add("--cdn-listen", type=_address, metavar="HOST:PORT", help="CDN side: GET and HEAD, no keys")
    add("--control-listen", type=_address, metavar="HOST:PORT", help="fault injection, for tests")
    add("--data", required=True, metavar="DIR", help="where objects are kept")
    add("--bucket", action="append", default=[], metavar="NAME", help="create it when missing")
    add("--access-key", action="append", default=[], metavar="K", help="may be given twice")
    add("--secret-key", action="append", default=[], metavar="S", help="one for each access key")
    add("--region", default="us-east-1", help="that SigV4 must be scoped to (default us-east-1)")
    add("--latency", type=_seconds, default=0.0, metavar="TIME", help="such as 20ms; default 0")
    add("--access-log", metavar="FILE", help="one JSON object a line")
    add("--domain", action="append", default=[], help="host name before which a bucket may stand")
    add("--tls-cert", metavar="FILE", help="serve https with this certificate")
    add("--tls-key", metavar="FILE", help="and this key")
    add("--max-appends", type=int, default=1023, help="appends to one object (default 1023)")
    add("--max-components", type=int, default=32, help="objects of one compose (default 32)")
    add("--fsync", action="store_true", help="let a write outlive a power cut too")
    add("--min-part-size", type=int, default=5 << 20, help="bytes of a part (default 5 MiB)")
    return made


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 20ms")
    return float(match[1]) * (0.001 if match[2] == "ms" else 1)
