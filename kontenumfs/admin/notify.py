# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Telling systemd how it goes: a datagram a message (sd_notify(3)), or nothing without systemd."""

import logging
import os
import select
import socket
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)

BARRIER_MS = 5_000
"""Milliseconds for systemd to read what was sent before."""


class Notifier:
    """The service manager's socket, if there is one.

    Args:
        environment: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are looked at.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # systemd has unix sockets, in the file system or (with @) in the abstract name space.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog = _watchdog(environment) if address else None
        """Seconds within which systemd wants to hear of us again, or None."""

    def __bool__(self) -> bool:
        """Tell whether there is a service manager."""
        return bool(self._address)

    def send(self, **variables: object) -> None:
        """Send one message, such as ``READY=1``; a failure is only logged."""
        self._send(variables, [])

    def reloading(self) -> None:
        """Say that a reload has begun; ``READY=1`` says that it is over."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.send(RELOADING=1, MONOTONIC_USEC=now)

    def keep(self, name: str, descriptor: int) -> None:
        """Have systemd keep a descriptor for the service's next main process."""
        # FDPOLL=0: systemd would drop a FUSE device that reports an error before it is served.
        self._send({"FDSTORE": 1, "FDNAME": name, "FDPOLL": 0}, [descriptor])

    def drop(self, name: str) -> None:
        """Have systemd close the descriptors that it keeps under a name."""
        self.send(FDSTOREREMOVE=1, FDNAME=name)

    def barrier(self) -> bool:
        """Wait until systemd has read everything sent before; False after BARRIER_MS at most."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            self._send({"BARRIER": 1}, [writing])
        finally:
            os.close(writing)
        try:
            waiting = select.poll()
            waiting.register(reading, select.POLLHUP)
            return bool(waiting.poll(BARRIER_MS))
        finally:
            os.close(reading)

    def _send(self, variables: Mapping[str, object], descriptors: list[int]) -> None:
        if not self._address:
            return
        message = "\n".join(f"{name}={_line(value)}" for name, value in variables.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                # A daemon must not wait for a service manager that is too busy to read.
                sender.setblocking(False)
                sender.connect(self._address)
                socket.send_fds(sender, [message.encode("utf-8", "replace")], descriptors)
        except OSError as error:
            log.debug("systemd was not told %s: %s", " ".join(variables), error.strerror)


def _line(value: object) -> str:
    return str(value).replace("\n", " ")


def _watchdog(environment: Mapping[str, str]) -> float | None:
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdigit() and int(microseconds) else None
