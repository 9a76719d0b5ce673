# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the server at any moment: whole objects, and all that was answered."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path

import pytest

from kontenumfs.emulator.exchange import Request
from kontenumfs.emulator.objects import MANY_EXTENTS, Limits, Objects
from kontenumfs.emulator.reader import Reader
from kontenumfs.emulator.segments import Extent
from kontenumfs.emulator.storage import Storage, StoredObject
from kontenumfs.protocol.xml import render_components
from tests.emulator.signers import UNSIGNED
from tests.emulator.wire import Wire
from tests.harness.emulator import Emulator
from tests.harness.mounts import wait_until

BLOCK = 300_000
MIB = 1 << 20
PART = 5 * MIB


class Writer(threading.Thread):
    """Writes without end; remembers how far the server's answers reach.

    Args:
        verb: what it does again and again.
    """

    def __init__(self, emulator: Emulator, verb: str) -> None:
        super().__init__()
        self._wire = Wire(emulator)
        self._verb = verb
        self.answered = 0
        self.recent: deque[int] = deque(maxlen=2)
        self.warm = threading.Event()

    def run(self) -> None:
        """Until the server has gone."""
        with suppress(OSError, HTTPException), self._wire:
            for number in range(1_000_000):
                self.recent.append(number)
                assert getattr(self, self._verb)(number) == 200
                self.answered = number + 1
                if number == 2:
                    self.warm.set()

    def put(self, number: int) -> int:
        """Replace an object by one of another byte and length."""
        return self._wire.send("PUT", "put", version(number)).status

    def append(self, number: int) -> int:
        """Add a block."""
        return self._wire.send("PUT", "append?append", version(number)).status

    def compose(self, number: int) -> int:
        """Join two halves."""
        for half in ("one", "two"):
            self._wire.send("PUT", half, version(number))
        return self._wire.compose("compose", "one", "two").status

    def multipart(self, number: int) -> int:
        """Two parts, the first of the smallest size."""
        begun = self._wire.send("POST", "multipart?uploads=")
        upload = begun.element("UploadId")
        parts = ""
        for part, body in ((1, version(number)[:1] * PART), (2, version(number))):
            sent = self._wire.send("PUT", f"multipart?partNumber={part}&uploadId={upload}", body)
            etag = sent.headers["etag"]
            parts += f"<Part><PartNumber>{part}</PartNumber><ETag>{etag}</ETag></Part>"
        document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        return self._wire.send("POST", f"multipart?uploadId={upload}", document).status


def version(number: int) -> bytes:
    """The content of one version: it tells which, and how long it must be."""
    return bytes([number % 256]) * (BLOCK + number)


def whole(verb: str, number: int) -> bytes:
    """The whole object after `number`."""
    match verb:
        case "append":
            return b"".join(version(earlier) for earlier in range(number + 1))
        case "compose":
            return 2 * version(number)
        case "multipart":
            return version(number)[:1] * PART + version(number)
    return version(number)


@pytest.mark.parametrize("verb", ["put", "append", "compose", "multipart"])
def test_no_half_object(own_emulator: Emulator, verb: str) -> None:
    """What was answered is there after a restart; what was not is there as a whole or not."""
    for pause in (0.0, 0.003, 0.011, 0.027):
        writer = Writer(own_emulator, verb)
        writer.start()
        assert writer.warm.wait(60)
        threading.Event().wait(pause)
        own_emulator.kill()
        writer.join()
        own_emulator.start()
        found = own_emulator.fetch(verb)
        allowed = [number for number in writer.recent if number >= writer.answered - 1]
        assert found in [whole(verb, number) for number in allowed]
        with Wire(own_emulator) as wire:
            assert wire.send("DELETE", verb).status == 204
    own_emulator.check_log()


def segments(emulator: Emulator) -> dict[str, int]:
    """The files that hold the objects' bytes, and the size of each."""
    directory = emulator.directory / "data" / "segments"
    return {path.name: path.stat().st_size for path in directory.iterdir()}


@pytest.fixture
def upload(own_emulator: Emulator) -> Iterator[str]:
    """The identity of an upload of the key k."""
    with Wire(own_emulator) as wire:
        wire.send("PUT", "k", b"old")
        yield wire.send("POST", "k?uploads").element("UploadId")


@pytest.mark.parametrize("query", ["", "?append", "?partNumber=1&uploadId={}"])
def test_half_a_body_leaves_nothing(own_emulator: Emulator, upload: str, query: str) -> None:
    """Bytes that were on the disk already are gone after the restart, and nothing else is."""
    body = bytes(8 * MIB)
    with Wire(own_emulator) as wire:
        request = wire.prepare("PUT", f"k{query.format(upload)}", body)
        before = segments(own_emulator)
        with wire.plain_socket() as raw:
            raw.sendall(request.head(len(body)) + body[: 5 * MIB])
            wait_until(lambda: sum(segments(own_emulator).values()) > 3 * MIB)
            own_emulator.kill()
    own_emulator.start()
    assert segments(own_emulator) == before
    assert own_emulator.fetch("k") == b"old"
    with Wire(own_emulator) as wire:
        assert wire.send("GET", f"k?uploadId={upload}").element("PartNumber") == ""
        assert wire.send("PUT", f"k{query.format(upload)}", b" and new").status == 200


def test_everything_survives(own_emulator: Emulator) -> None:
    """Buckets, objects with their headers, uploads and parts; what was deleted stays deleted."""
    with Wire(own_emulator) as wire:
        wire.send("PUT", "/second-bucket")
        wire.send("PUT", "/second-bucket/k", b"there", {"x-amz-meta-own": "value"})
        wire.send("PUT", "deleted", b"x")
        wire.send("PUT", "copied", headers={"x-amz-copy-source": "/second-bucket/k"})
        wire.send("DELETE", "deleted")
        upload = wire.send("POST", "big?uploads").element("UploadId")
        wire.send("PUT", f"big?partNumber=7&uploadId={upload}", b"part", payload=UNSIGNED)
    own_emulator.kill()
    own_emulator.start()
    with Wire(own_emulator) as wire:
        assert wire.send("HEAD", "/second-bucket/k").headers["x-amz-meta-own"] == "value"
        assert own_emulator.fetch("copied") == b"there"
        assert not own_emulator.exists("deleted")
        parts = wire.send("GET", f"big?uploadId={upload}")
        assert (parts.element("PartNumber"), parts.element("Size")) == ("7", "4")


def test_an_append_during_a_copy_onto_itself_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy joins many small pieces, which takes a while; the append was answered meanwhile."""
    storage = Storage(tmp_path)
    storage.create_bucket("b")

    def append(data: bytes) -> None:
        name, path = storage.segments.new()
        path.write_bytes(data)
        old = storage.get("b", "log") or StoredObject("log", 0, "e", 1.0)
        new = replace(old, size=old.size + len(data), etag=old.etag[:9] + str(old.size))
        put = storage.append if old.size else storage.put
        put("b", new, ((name, 0, len(data)),))

    async def compose() -> None:
        loop, join = asyncio.get_running_loop(), storage.segments.join

        async def append_late() -> None:
            append(b"late")

        def slow_join(extents: Sequence[Extent], target: Path) -> None:
            join(extents, target)
            asyncio.run_coroutine_threadsafe(append_late(), loop).result()

        monkeypatch.setattr(storage.segments, "join", slow_join)
        limits = Limits(appends=1023, components=32, min_part=1)
        message = render_components(["log"])
        reader = Reader({}, None)  # type: ignore[arg-type]  # the body is in the message
        await Objects(storage, limits).compose(
            Request("PUT", "/b/log", [], {}, "b", "log", "", reader, message)
        )

    for _ in range(MANY_EXTENTS):
        append(b"x")
    asyncio.run(compose())
    found = storage.get("b", "log")
    assert found is not None
    kept = b"".join(storage.segments.blocks(storage.extents(found.owner), MIB))
    storage.close()
    assert kept == b"x" * MANY_EXTENTS + b"late"
    assert found.size == len(kept)
