# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The access log: one JSON object a line, there when the client has its answer or soon after."""

import json
from typing import TextIO

from kontenumfs.emulator.exchange import Request

_BEARER = frozenset({"X-Amz-Signature", "X-Amz-Security-Token", "Signature"})
"""Query parameters that would let a reader of the log repeat a request."""


class AccessLog:
    """Writes to `file`, or nowhere when it is None."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file

    def write(self, began: float, operation: str, request: Request, status: int, sent: int) -> None:
        """Log one request.

        Args:
            began: seconds since the epoch.
            status: 0 where the connection was dropped before there was an answer.
            sent: bytes of the answer's body.
        """
        if self._file is None:
            return
        line = {
            "time": began,
            "op": operation,
            "bucket": request.bucket,
            "key": request.key.encode(errors="surrogateescape").decode(errors="replace"),
            "query": {name: "-" if name in _BEARER else value for name, value in request.query},
            "request_bytes": request.reader.count,
            "response_bytes": sent,
            "status": status,
            "user_agent": request.headers.get("user-agent", ""),
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
