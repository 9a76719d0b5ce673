# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The control side, for tests: set faults, switch key pairs. On a port of its own, no auth."""

import json
from typing import Any

from kontenumfs.emulator.auth import Authenticator
from kontenumfs.emulator.errors import S3Error
from kontenumfs.emulator.faults import Faults
from kontenumfs.emulator.reader import Reader, Receive
from kontenumfs.emulator.s3 import Send


class ControlApp:
    """The ASGI application of the control side."""

    def __init__(self, faults: Faults, authenticator: Authenticator) -> None:
        self._faults = faults
        self._authenticator = authenticator

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request: /faults (GET, POST, DELETE) and /keys (GET, POST)."""
        status, answer = 200, None
        try:
            body = await Reader(scope, receive).small()
            answer = self._perform(scope["method"], scope["path"], body)
        except LookupError as error:
            status, answer = 404, {"error": str(error)}
        except (TypeError, ValueError, S3Error) as error:
            status, answer = 400, {"error": str(error)}
        said = json.dumps(answer).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(said)).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": said})

    def _perform(self, method: str, path: str, body: bytes) -> Any:
        match method, path:
            case "GET", "/faults":
                pass
            case "POST", "/faults":
                self._faults.add(_object(body))
            case "DELETE", "/faults":
                self._faults.clear()
            case "GET" | "POST", "/keys":
                if method == "POST":
                    self._authenticator.activate(_object(body).get("active"))
                return {"active": sorted(self._authenticator.active)}
            case _:
                raise LookupError(f"{method} {path} is not known here")
        return self._faults.shown()


def _object(body: bytes) -> dict[str, Any]:
    read = json.loads(body)
    if not isinstance(read, dict):
        raise TypeError("a JSON object was expected")
    return read
