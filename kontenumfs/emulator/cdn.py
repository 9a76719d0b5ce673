# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The CDN side: GET and HEAD of public objects, and nothing else. It stands for the edge."""

import asyncio
import re
import time
from typing import Any

from kontenumfs.emulator.answers import http_date, object_headers, read_status
from kontenumfs.emulator.exchange import Hosts, Request
from kontenumfs.emulator.reader import Receive
from kontenumfs.emulator.s3 import Send
from kontenumfs.emulator.segments import cut
from kontenumfs.emulator.storage import Storage, StoredObject

BLOCK = 1 << 18
"""Bytes read at a time."""


class CDNApp:
    """The ASGI application of the CDN side."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request.of(scope, receive, Hosts())
        if request.method not in ("GET", "HEAD"):
            await _end(send, 405, {"allow": "GET, HEAD"})
            return
        found = self._find(request)
        if found is None:
            await _end(send, 404)
            return
        headers = {
            name: value
            for name, value in object_headers(found).items()
            if not name.startswith("x-amz-")
        }
        status = read_status(request.headers, found)
        if status != 200:
            await _end(send, status, headers if status == 304 else {})
            return
        await self._serve(request, found, headers, send)

    def _find(self, request: Request) -> StoredObject | None:
        if not request.key:
            return None
        try:
            return self._storage.get(request.bucket, request.key)
        except UnicodeEncodeError:
            return None  # no key is anything but UTF-8

    async def _serve(
        self, request: Request, found: StoredObject, headers: dict[str, str], send: Send
    ) -> None:
        status, first, length = 200, 0, found.size
        wanted = _range(request.headers, found)
        if wanted is not None:
            first, length = wanted
            if length <= 0:
                await _end(send, 416, {"content-range": f"bytes */{found.size}"})
                return
            status = 206
            headers["content-range"] = f"bytes {first}-{first + length - 1}/{found.size}"
        headers["content-length"] = str(length)
        extents = cut(self._storage.extents(found.owner), first, length)
        segments = self._storage.segments
        # Pinned before the answer begins: a replacement in between must not mix two objects.
        with segments.pinned(extents):
            await _start(send, status, headers)
            if request.method == "GET":
                for block in segments.blocks(extents, BLOCK):
                    await send({"type": "http.response.body", "body": block, "more_body": True})
                    await asyncio.sleep(0)  # other requests take their turns
            await send({"type": "http.response.body", "body": b""})


def _range(headers: dict[str, str], found: StoredObject) -> tuple[int, int] | None:
    """First byte and length of a single Range (RFC 9110, 14.1.2); a length of 0 is a 416.

    What cannot be read, or is for another version, is as good as none.
    """
    match = re.fullmatch(r"bytes=([0-9]{0,15})-([0-9]{0,15})", headers.get("range", "").strip())
    if match is None or not (match[1] or match[2]):
        return None
    known = (f'"{found.etag}"', http_date(found.modified))
    if headers.get("if-range", known[0]) not in known:
        return None
    if not match[1]:
        length = min(found.size, int(match[2]))
        return found.size - length, length
    first = int(match[1])
    if match[2] and int(match[2]) < first:
        return None
    last = min(found.size - 1, int(match[2])) if match[2] else found.size - 1
    return first, max(0, last - first + 1)


async def _start(send: Send, status: int, headers: dict[str, str]) -> None:
    shown = [(n.encode(), v.encode("latin-1")) for n, v in headers.items()]
    shown.append((b"date", http_date(time.time()).encode()))
    await send({"type": "http.response.start", "status": status, "headers": shown})


async def _end(send: Send, status: int, headers: dict[str, str] | None = None) -> None:
    """An answer without a body."""
    length = {} if status == 304 else {"content-length": "0"}
    await _start(send, status, {**(headers or {}), **length})
    await send({"type": "http.response.body", "body": b""})
