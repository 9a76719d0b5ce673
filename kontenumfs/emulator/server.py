# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The emulator's process: up to three listeners over one storage."""

import argparse
import asyncio
import contextlib
import signal
import socket
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from kontenumfs.emulator.access_log import AccessLog
from kontenumfs.emulator.auth import Authenticator
from kontenumfs.emulator.cdn import CDNApp
from kontenumfs.emulator.conditions import Conditions
from kontenumfs.emulator.connection import Connection
from kontenumfs.emulator.control import ControlApp
from kontenumfs.emulator.exchange import Hosts
from kontenumfs.emulator.faults import Faults
from kontenumfs.emulator.objects import Limits, Objects
from kontenumfs.emulator.options import parse
from kontenumfs.emulator.s3 import S3App
from kontenumfs.emulator.storage import Storage
from kontenumfs.protocol.exits import Exit

OWN_DOMAINS = ("s3.kontenum.com", "localhost")
"""Host names before which a bucket may stand, always."""
GRACE = 3
"""Seconds that requests have to end, once the emulator is told to."""


class Listener(uvicorn.Server):
    """One listening address; the process's signals belong to all of them together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    def cut(self) -> None:
        """Drop every connection: its client may never send the rest, nor take it."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    def cancel(self) -> None:
        """End what waits for no client either: a delay that a fault has asked for."""
        for task in self.server_state.tasks:
            task.cancel()


def main(argv: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    options = parse(argv)
    try:
        uvloop.run(_serve(options))
    except sqlite3.Error as error:
        return _fail(f"{options.data}: {error}")
    except OSError as error:
        named = error.filename is not None
        return _fail(f"{error.filename}: {error.strerror}" if named else str(error))
    return Exit.OK


def _fail(reason: str) -> int:
    print(f"kontenumfs emulator: {reason}", file=sys.stderr)
    return Exit.FAILED


async def _serve(options: argparse.Namespace) -> None:
    keys = dict(zip(options.access_key, options.secret_key, strict=True))
    authenticator = Authenticator(keys, options.region)
    faults = Faults()
    limits = Limits(
        options.max_appends,
        options.max_components,
        options.min_part_size,
        options.min_range_source,
    )
    conditions = Conditions(options.conditional)
    with contextlib.ExitStack() as stack:
        storage = Storage(Path(options.data), durable=options.fsync)
        stack.callback(storage.close)
        for bucket in options.bucket:
            storage.create_bucket(bucket)
        log = None
        if options.access_log:
            log = stack.enter_context(open(options.access_log, "a", encoding="utf-8"))
        s3 = S3App(
            Objects(storage, limits, conditions, md5_etags=options.md5_etags),
            authenticator,
            faults,
            region=options.region,
            latency=options.latency,
            access_log=AccessLog(log),
            hosts=Hosts((*options.domain, *OWN_DOMAINS), storage.has_bucket),
        )
        sides: list[tuple[str, Any, Any]] = [
            ("s3", s3, options.listen),
            ("cdn", CDNApp(storage), options.cdn_listen),
            ("control", ControlApp(faults, authenticator), options.control_listen),
        ]
        await _listen(options, [side for side in sides if side[2] is not None], stack)


async def _listen(
    options: argparse.Namespace, sides: list[tuple[str, Any, Any]], stack: contextlib.ExitStack
) -> None:
    servers: list[Listener] = []
    sockets = []
    words = []
    for name, app, (host, port) in sides:
        bound = stack.enter_context(_bind(host, port))
        tls = options.tls_cert if name == "s3" else None
        servers.append(Listener(_config(app, tls, options.tls_key)))
        sockets.append(bound)
        shown = f"[{host}]" if ":" in host else host
        words.append(f"{name}={'https' if tls else 'http'}://{shown}:{bound.getsockname()[1]}")
    # All that can be wrong with the options has shown by now.
    tasks = [
        asyncio.create_task(server.serve(sockets=[bound]))
        for server, bound in zip(servers, sockets, strict=True)
    ]

    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in servers:
            server.should_exit = True
            loop.call_later(GRACE, server.cut)
            loop.call_later(GRACE + 1, server.cancel)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    while not all(
        server.started or task.done() for server, task in zip(servers, tasks, strict=True)
    ):
        await asyncio.sleep(0.005)
    print("kontenumfs emulator ready", *words, flush=True)
    await asyncio.gather(*tasks)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        # Python says the address a second time, and differently from version to version.
        reason = (error.strerror or str(error)).partition(" (while ")[0]
        raise OSError(f"cannot listen on {host}:{port}: {reason}") from None


def _config(app: Any, tls_cert: str | None, tls_key: str) -> uvicorn.Config:
    """One listener's settings, loaded: what is wrong with them must show before it is ready."""
    config = uvicorn.Config(
        app,
        http=Connection,
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key if tls_cert else None,
        timeout_graceful_shutdown=2 * GRACE,
    )
    try:
        config.load()
    except OSError as error:
        raise OSError(f"cannot use {tls_cert} and {tls_key}: {error.strerror}") from None
    return config
