# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The one report of a failure: its log line, its count, and what the status says come from here.

Any ring reports; who counts listens to the log for records that carry an ``incident``.
"""

import logging
from dataclasses import dataclass

log = logging.getLogger(__name__)

CARRIED = "incident"
"""The name under which a log record carries its incident."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that was to be done has failed, and somebody is to know.

    Args:
        kind: what sort of failure: ``upload``, ``metadata``, ``request``, ``loss``, ``defect``.
        operation: what was being done, in a word or two.
        error: why it failed.
        key: of the object; empty where it is about none.
    """

    kind: str
    operation: str
    error: BaseException
    key: str = ""

    @property
    def request_id(self) -> str:
        """What the store calls the request that failed; empty where there was none."""
        return str(getattr(self.error, "request_id", ""))

    def __str__(self) -> str:
        about = f": key={self.key!r}" if self.key else ""
        if self.kind == "defect":
            return f"{self.operation}{about}"  # its traceback follows
        return f"{self.operation}{about}: {self.error}"


def report(incident: Incident) -> None:
    """Log an incident, once for each error, however many places it comes by on its way out."""
    if getattr(incident.error, CARRIED, None) is not None:
        return
    setattr(incident.error, CARRIED, incident)
    defect = incident.error if incident.kind == "defect" else None
    log.log(
        logging.ERROR if defect is not None else logging.WARNING,
        "%s",
        incident,
        exc_info=defect,
        extra={CARRIED: incident},
    )
