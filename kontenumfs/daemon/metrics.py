# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The counts of a mount, for Prometheus and for ``kontenumfs status``."""

import logging
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from kontenumfs import __version__
from kontenumfs.store.observer import Attempt

log = logging.getLogger(__name__)

PREFIX = "kontenumfs_"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds; a request to a near store takes some milliseconds, a part of 64 MiB some seconds."""


class Metrics:
    """The counts of one mount; an Observer of its store.

    Each mount is a process, so no label names it: whoever scrapes it does.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            f"{PREFIX}requests",
            "Requests to the store by S3 operation and HTTP status; status 0 is no answer.",
            ("operation", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            f"{PREFIX}request_seconds",
            "From the request to its whole answer.",
            ("operation",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._retries = Counter(
            f"{PREFIX}retries",
            "Requests that were sent again.",
            ("operation",),
            registry=self.registry,
        )
        self._sent = Counter(
            f"{PREFIX}sent_bytes", "Bytes of request bodies.", registry=self.registry
        )
        self._received = Counter(
            f"{PREFIX}received_bytes", "Bytes of answer bodies.", registry=self.registry
        )

    def attempted(self, attempt: Attempt) -> None:
        """Count a request, and log it at level debug."""
        operation = attempt.operation
        self._requests.labels(operation, attempt.status).inc()
        self._seconds.labels(operation).observe(attempt.seconds)
        self._sent.inc(attempt.sent)
        self._received.inc(attempt.received)
        if attempt.number > 1:
            self._retries.labels(operation).inc()
        log.debug(
            "%s key=%r attempt=%d status=%d sent=%d received=%d seconds=%.4f request_id=%s",
            operation,
            attempt.key,
            attempt.number,
            attempt.status,
            attempt.sent,
            attempt.received,
            attempt.seconds,
            attempt.request_id,
        )

    def watch(self, state: "Callable[[], State]") -> None:
        """Show the state of a mount along with what is counted."""
        self.registry.register(_StateCollector(state))

    def totals(self) -> dict[str, float]:
        """Sum the counts since the start over their labels; names have no prefix."""
        found = {"requests": 0.0, "retries": 0.0, "failed_requests": 0.0}
        for family in (self._requests, self._retries, self._sent, self._received):
            for metric in family.collect():
                name = metric.name.removeprefix(PREFIX)
                totals = [s for s in metric.samples if s.name.endswith("_total")]
                found[name] = sum(sample.value for sample in totals)
                if name == "requests":
                    found["failed_requests"] = sum(
                        sample.value for sample in totals if not sample.labels["status"] < "4"
                    )
        return found


State = dict[str, float]
"""The state of a mount at one moment; the names are those of STATE."""

STATE = {
    "pending_bytes": ("Bytes that were written and are not stored yet.", GaugeMetricFamily),
    "open_files": ("Files that are open for writing.", GaugeMetricFamily),
    "spool_requests": ("Requests that are safe on the disk and not stored yet.", GaugeMetricFamily),
    "spool_bytes": ("Their bytes.", GaugeMetricFamily),
    "spool_oldest_seconds": ("How long the oldest of them has waited.", GaugeMetricFamily),
    "spool_parked": ("Those that the store has refused for good.", GaugeMetricFamily),
    "memory_bytes": ("Memory that unsent bytes take.", GaugeMetricFamily),
    "tree_entries": ("Names in memory.", GaugeMetricFamily),
    "inodes": ("Inodes that the kernel holds.", GaugeMetricFamily),
    "hidden_keys": ("Keys seen that cannot be file names.", GaugeMetricFamily),
    "lookups_answered": ("Lookups that memory has answered.", CounterMetricFamily),
    "lookups_asked": ("Lookups that the store was asked for.", CounterMetricFamily),
    "appends_repeated": ("Appends sent again, for they had not arrived.", CounterMetricFamily),
    "appends_resolved": ("Appends that had arrived, though no answer came.", CounterMetricFamily),
    "errors": ("Errors that were logged, or told to a program.", CounterMetricFamily),
}
"""Help and kind of each metric that is read when it is asked for."""


class _StateCollector:
    def __init__(self, state: Callable[[], State]) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Yield the families, with the values of now."""
        for name, value in self._state().items():
            text, kind = STATE[name]
            yield kind(PREFIX + name, text, value=value)
        build = GaugeMetricFamily(f"{PREFIX}build_info", "The version.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
