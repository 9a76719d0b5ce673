# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The control side, for tests: set faults, switch key pairs. On a port of its own, no auth."""

import json
from typing import Any

from kontenumfs.emulator.auth import Authenticator
from kontenumfs.emulator.body import Reader, Receive
from kontenumfs.emulator.faults import Faults
from kontenumfs.emulator.s3 import Send


class ControlApp:
    """The ASGI application of the control side."""

    def __init__(self, faults: Faults, authenticator: Authenticator) -> None:
        self._faults = faults
        self._authenticator = authenticator

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request: /faults (GET, POST, DELETE) and /keys (GET, POST)."""
        body = await Reader(receive).small()
        status, answer = 200, None
        try:
            answer = self._perform(scope["method"], scope["path"], body)
        except (TypeError, KeyError, ValueError) as error:
            status, answer = 400, {"error": str(error)}
        text = json.dumps(answer).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(text)).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    def _perform(self, method: str, path: str, body: bytes) -> Any:
        if path == "/faults":
            if method == "POST":
                self._faults.add(json.loads(body))
            elif method == "DELETE":
                self._faults.clear()
            return self._faults.shown()
        if path == "/keys":
            if method == "POST":
                self._authenticator.active = set(json.loads(body)["active"])
            return {"active": sorted(self._authenticator.active)}
        raise KeyError(f"{method} {path} is not known here")
