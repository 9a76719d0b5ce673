# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The CDN side: GET and HEAD of public objects, and nothing else. It stands for the edge."""

import contextlib
import re
from typing import Any

from kontenumfs.emulator.body import Receive
from kontenumfs.emulator.exchange import Request
from kontenumfs.emulator.objects import object_headers
from kontenumfs.emulator.s3 import Send
from kontenumfs.emulator.storage import Storage, StoredObject, cut

BLOCK = 1 << 18


class CDNApp:
    """The ASGI application of the CDN side."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request.of(scope, receive, ())
        if request.method not in ("GET", "HEAD"):
            await _refuse(send, 405)
            return
        found = self._storage.get(request.bucket, request.key) if request.key else None
        if found is None:
            await _refuse(send, 404)
            return
        if request.headers.get("if-none-match", "").strip('"') == found.etag:
            await _refuse(send, 304)
            return
        await self._serve(request, found, send)

    async def _serve(self, request: Request, found: StoredObject, send: Send) -> None:
        headers = object_headers(found)
        status, first, length = 200, 0, found.size
        wanted = request.headers.get("range")
        if wanted is not None:
            part = _range(wanted, found.size)
            if part is None:
                await _refuse(send, 416)
                return
            first, length = part
            status = 206
            headers["content-range"] = f"bytes {first}-{first + length - 1}/{found.size}"
        headers["content-length"] = str(length)
        shown = [
            (name.encode(), value.encode("latin-1"))
            for name, value in headers.items()
            if not name.startswith("x-amz-meta-")
        ]
        # Opened before the answer begins: a replacement in between must not mix two objects.
        with contextlib.ExitStack() as stack:
            files = [
                (stack.enter_context(open(self._storage.segment_path(name), "rb")), offset, size)
                for name, offset, size in cut(found.extents, first, length)
            ]
            await send({"type": "http.response.start", "status": status, "headers": shown})
            for file, offset, size in files if request.method == "GET" else ():
                file.seek(offset)
                while size > 0:
                    block = file.read(min(BLOCK, size))
                    size -= len(block)
                    await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def _range(text: str, size: int) -> tuple[int, int] | None:
    """First byte and length of a single Range (RFC 9110, 14.1.2), or None."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        first = max(0, size - int(match[2]))
        return (first, size - first) if int(match[2]) and size else None
    first = int(match[1])
    last = min(size - 1, int(match[2])) if match[2] else size - 1
    return (first, last - first + 1) if first <= last else None


async def _refuse(send: Send, status: int) -> None:
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
