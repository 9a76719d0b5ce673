# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""If-Match and its like on every verb that has them, honoured and ignored; ETags that are MD5s."""

import hashlib
import threading
from collections.abc import Callable

import pytest

from kontenumfs.emulator.conditions import VERBS
from tests.emulator.signers import checksum
from tests.emulator.wire import Answer, Wire
from tests.harness.emulator import BUCKET, Emulator, EmulatorPool

ABSENT = {"if-none-match": "*"}
OTHER = {"if-match": '"0123456789abcdef0123456789abcdef"'}
OTHER_SOURCE = {"x-amz-copy-source-if-match": '"0123456789abcdef0123456789abcdef"'}
MIB = 1 << 20

Verb = Callable[[Wire, str, dict[str, str]], Answer]
"""Sends a request for a key, with more headers."""


def put(wire: Wire, key: str, headers: dict[str, str]) -> Answer:
    """PutObject of one byte."""
    return wire.send("PUT", key, b"p", headers)


def append(wire: Wire, key: str, headers: dict[str, str]) -> Answer:
    """AppendObject of one byte."""
    return wire.send("PUT", f"{key}?append", b"a", headers)


def compose(wire: Wire, key: str, headers: dict[str, str]) -> Answer:
    """ComposeObject of one source."""
    wire.send("PUT", "source", b"s")
    body = b"<ComposeRequest><Component><Name>source</Name></Component></ComposeRequest>"
    return wire.send("PUT", f"{key}?compose", body, headers)


def complete(wire: Wire, key: str, headers: dict[str, str]) -> Answer:
    """An upload of one part."""
    upload = begin(wire, key)
    etag = wire.send("PUT", f"{key}?partNumber=1&uploadId={upload}", b"m").headers["etag"]
    return finish(wire, key, upload, etag, headers)


def begin(wire: Wire, key: str) -> str:
    """CreateMultipartUpload; returns its id."""
    return wire.send("POST", f"{key}?uploads").element("UploadId")


def finish(wire: Wire, key: str, upload: str, etag: str, headers: dict[str, str]) -> Answer:
    """CompleteMultipartUpload of part 1."""
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
    return wire.send("POST", f"{key}?uploadId={upload}", body, headers)


def delete(wire: Wire, key: str, headers: dict[str, str]) -> Answer:
    """DeleteObject."""
    return wire.send("DELETE", key, b"", headers)


def copy(wire: Wire, key: str, headers: dict[str, str]) -> Answer:
    """CopyObject of `key` to another one."""
    return wire.send("PUT", "copied", b"", {"x-amz-copy-source": f"{BUCKET}/{key}", **headers})


def part_copy(wire: Wire, key: str, headers: dict[str, str]) -> Answer:
    """UploadPartCopy of `key`."""
    source = {"x-amz-copy-source": f"{BUCKET}/{key}", **headers}
    return wire.send("PUT", f"copied?partNumber=1&uploadId={begin(wire, 'copied')}", b"", source)


def delete_many(wire: Wire, *items: tuple[str, str], quiet: bool = False) -> Answer:
    """DeleteObjects of keys, each with an ETag or without."""
    inner = "".join(
        f"<Object><Key>{key}</Key>{f'<ETag>{etag}</ETag>' if etag else ''}</Object>"
        for key, etag in items
    )
    body = f"<Delete><Quiet>{str(quiet).lower()}</Quiet>{inner}</Delete>".encode()
    told = {"x-amz-checksum-sha256": checksum("sha256", body)}
    return wire.send("POST", f"/{BUCKET}?delete", body, told)


WRITES = {"put": put, "append": append, "compose": compose, "complete": complete}
COPIES = {"copy": copy, "part-copy": part_copy}


@pytest.fixture
def careless(emulators: EmulatorPool) -> Emulator:
    """An emulator that takes no notice of any condition."""
    return emulators.get("--conditional=none")


@pytest.mark.parametrize("verb", WRITES.values(), ids=WRITES)
def test_a_write_that_says_what_it_believes(emulator: Emulator, wire: Wire, verb: Verb) -> None:
    """A false belief leaves the object as it is, a true one replaces it."""
    wire.send("DELETE", "k")
    assert (verb(wire, "k", OTHER).status, verb(wire, "k", OTHER).code) == (404, "NoSuchKey")
    assert not emulator.exists("k")
    assert verb(wire, "k", ABSENT).status == 200
    before = emulator.fetch("k")
    for false in (ABSENT, OTHER):
        answer = verb(wire, "k", false)
        assert (answer.status, answer.code) == (412, "PreconditionFailed")
        assert emulator.fetch("k") == before
    etag = wire.send("HEAD", "k").headers["etag"]
    assert verb(wire, "k", {"if-match": etag}).status == 200
    assert verb(wire, "k", {"if-none-match": etag}).code == "NotImplemented"


@pytest.mark.parametrize("verb", WRITES.values(), ids=WRITES)
def test_a_careless_store_writes_whatever_is_believed(careless: Emulator, verb: Verb) -> None:
    with Wire(careless) as wire:
        wire.send("DELETE", "k")
        assert [verb(wire, "k", said).status for said in (OTHER, ABSENT, OTHER)] == [200] * 3


@pytest.mark.parametrize("verb", COPIES.values(), ids=COPIES)
def test_a_copy_of_what_the_source_is_believed_to_be(
    wire: Wire, careless: Emulator, verb: Verb
) -> None:
    etag = wire.send("PUT", "k", b"bytes").headers["etag"]
    assert verb(wire, "k", {"x-amz-copy-source-if-match": etag}).status == 200
    refused = verb(wire, "k", OTHER_SOURCE)
    assert (refused.status, refused.code) == (412, "PreconditionFailed")
    with Wire(careless) as other:
        other.send("PUT", "k", b"bytes")
        assert verb(other, "k", OTHER_SOURCE).status == 200


def test_a_copy_has_no_conditions_on_its_target(
    emulator: Emulator, wire: Wire, careless: Emulator
) -> None:
    """AWS says so, loudly; a careless store replaces the target."""
    wire.send("PUT", "k", b"bytes")
    wire.send("DELETE", "copied")
    for condition in (ABSENT, OTHER):
        refused = copy(wire, "k", condition)
        assert (refused.status, refused.code) == (501, "NotImplemented")
    assert not emulator.exists("copied")
    with Wire(careless) as other:
        other.send("PUT", "k", b"bytes")
        assert copy(other, "k", ABSENT).status == copy(other, "k", ABSENT).status == 200


def test_a_delete_of_what_is_believed_to_be_there(
    emulator: Emulator, wire: Wire, careless: Emulator
) -> None:
    etag = wire.send("PUT", "k", b"bytes").headers["etag"]
    refused = delete(wire, "k", OTHER)
    assert (refused.status, refused.code) == (412, "PreconditionFailed")
    assert emulator.exists("k")
    assert delete(wire, "k", {"if-match": etag}).status == 204
    refused = delete(wire, "k", {"if-match": etag})
    assert (refused.status, refused.code) == (404, "NoSuchKey")
    assert delete(wire, "k", {}).status == 204
    with Wire(careless) as other:
        other.send("PUT", "k", b"bytes")
        assert [delete(other, "k", OTHER).status for _ in range(2)] == [204, 204]


def test_a_delete_of_many_judges_each_by_itself(
    emulator: Emulator, wire: Wire, careless: Emulator
) -> None:
    """Wrong, missing, right, none, and one that an earlier entry has deleted; quiet or not."""
    for key in ("gone", "never"):
        wire.send("DELETE", key)
    for quiet in (False, True):
        etags = {key: wire.send("PUT", key, b"x").headers["etag"] for key in ("a", "b", "c")}
        items = (
            ("a", '"0"'),
            ("gone", '"0"'),
            ("b", etags["b"].replace('"', "&quot;")),
            ("c", ""),
            ("b", etags["b"]),
            ("never", ""),
        )
        body = delete_many(wire, *items, quiet=quiet).body.decode()
        assert body.count("<Deleted>") == (0 if quiet else 3)
        for key, code in (("a", "PreconditionFailed"), ("gone", "NoSuchKey"), ("b", "NoSuchKey")):
            assert f"<Error><Key>{key}</Key><Code>{code}</Code>" in body
        assert [key for key in ("a", "b", "c") if emulator.exists(key)] == ["a"]
    with Wire(careless) as other:
        other.send("PUT", "a", b"x")
        assert "<Error>" not in delete_many(other, ("a", '"0"'), ("gone", '"0"')).body.decode()
        assert not careless.exists("a")


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_is_switched_by_itself(emulators: EmulatorPool, verb: str) -> None:
    """What is on the list refuses, what is not writes."""
    with Wire(emulators.get(f"--conditional={verb}")) as wire:
        found = set()
        for name, write in {**WRITES, "delete": delete}.items():
            wire.send("PUT", "k", b"x")
            found |= {name} if write(wire, "k", OTHER).status == 412 else set()
        wire.send("PUT", "k", b"x")
        for name, write in COPIES.items():
            found |= {name} if write(wire, "k", OTHER_SOURCE).status == 412 else set()
        if b"<Error>" in delete_many(wire, ("k", '"0"')).body:
            found.add("delete-many")
    assert found == {verb}


@pytest.mark.parametrize("verb", ["put", "complete", "append"])
def test_of_many_that_meet_one_wins(emulator: Emulator, verb: str) -> None:
    """Each believes in the same absence; nothing comes between the look and the write."""
    statuses: list[int] = []
    with Wire(emulator) as wire:
        wire.send("DELETE", "k")
    barrier = threading.Barrier(8)

    def race() -> None:
        with Wire(emulator) as wire:
            barrier.wait()
            statuses.append(WRITES[verb](wire, "k", ABSENT).status)

    racers = [threading.Thread(target=race) for _ in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(statuses) == [200] + [412] * 7


def test_a_condition_is_asked_again_when_the_body_is_there(emulator: Emulator, wire: Wire) -> None:
    """The object changed while the body arrived: what was true at the beginning is not any more."""
    etag = wire.send("PUT", "k", b"old").headers["etag"]
    slow = wire.prepare("PUT", "k", b"slow", {"if-match": etag})
    with wire.plain_socket() as raw:
        raw.sendall(slow.head(4) + b"sl")
        assert wire.send("PUT", "k", b"new").status == 200
        raw.sendall(b"ow")
        assert raw.recv(4096).startswith(b"HTTP/1.1 412 ")
    assert emulator.fetch("k") == b"new"


def test_an_append_makes_a_missing_object_with_its_headers(wire: Wire) -> None:
    """An object that is there keeps its own, even from an append that says more than may be."""
    wire.send("DELETE", "log")
    wire.send("PUT", "log?append", b"1", {"content-type": "text/x", "x-amz-meta-a": "first"})
    late = {"content-type": "text/y", "x-amz-meta-a": "late", "x-amz-meta-b": "x" * 3000}
    assert wire.send("PUT", "log?append", b"2", late).status == 200
    found = wire.send("HEAD", "log").headers
    assert (found["content-type"], found["x-amz-meta-a"]) == ("text/x", "first")
    assert "x-amz-meta-b" not in found
    wire.send("DELETE", "log")
    assert wire.send("PUT", "log?append", b"1", late).code == "MetadataTooLarge"


def etags_of(wire: Wire) -> dict[str, tuple[str, bytes]]:
    """Each verb's ETag, and the bytes that it is of."""
    data = bytes(range(256)) * 1000
    wire.send("PUT", "log?append", data)
    wire.send("PUT", "log?append", data)
    upload = begin(wire, "up")
    source = {"x-amz-copy-source": f"{BUCKET}/log"}
    ranged = source | {"x-amz-copy-source-range": "bytes=255999-256002"}
    at = f"up?uploadId={upload}&partNumber="
    found = {
        "put": (wire.send("PUT", "f", data).headers["etag"], data),
        "copy": (copy(wire, "f", {}).element("ETag"), data),
        "part": (wire.send("PUT", f"{at}1", data).headers["etag"], data),
        "whole": (wire.send("PUT", f"{at}2", b"", source).element("ETag"), 2 * data),
        "range": (wire.send("PUT", f"{at}3", b"", ranged).element("ETag"), b"\xff\0\1\2"),
    }
    return {name: (etag.replace("&quot;", '"'), said) for name, (etag, said) in found.items()}


def test_an_etag_is_the_md5_of_what_was_put_or_copied(wire: Wire) -> None:
    """So a range of an object that cannot be read has a digest, appended or not."""
    wire.send("DELETE", "log")
    for name, (etag, data) in etags_of(wire).items():
        assert etag == f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"', name


@pytest.mark.emulator("--no-md5-etags")
def test_opaque_etags_tell_nothing(wire: Wire) -> None:
    """And no two are the same; an upload is completed with them as with others."""
    found = etags_of(wire)
    for etag, data in found.values():
        assert hashlib.md5(data, usedforsecurity=False).hexdigest() not in etag
    assert len({etag for etag, _ in found.values()}) == len(found)
    assert complete(wire, "k", {}).status == 200
    etag = wire.send("PUT", "k", b"x").headers["etag"]
    assert wire.send("HEAD", "k").headers["etag"] == etag
    assert put(wire, "k", {"if-match": etag}).status == 200


@pytest.mark.parametrize("size", [0, 1, 5000])
def test_an_append_never_tells_the_md5(wire: Wire, size: int) -> None:
    """Not even the one that makes the object."""
    wire.send("DELETE", "log")
    etag = wire.send("PUT", "log?append", bytes(size)).headers["etag"]
    assert hashlib.md5(bytes(size), usedforsecurity=False).hexdigest() not in etag


@pytest.mark.emulator(f"--min-range-source={MIB}")
def test_ranges_of_small_sources_may_be_refused(wire: Wire) -> None:
    """As at AWS, where a part copies a range only of what has over 5 MB; a whole one always."""
    wire.send("PUT", "small", bytes(MIB - 1))
    wire.send("PUT", "large", bytes(MIB))
    first = {"x-amz-copy-source-range": "bytes=0-9"}
    refused = part_copy(wire, "small", first)
    assert (refused.status, refused.code) == (400, "InvalidRequest")
    assert part_copy(wire, "small", {}).status == 200
    assert part_copy(wire, "large", first).status == 200


def test_an_upload_under_way_tells_when_it_was_begun(wire: Wire) -> None:
    upload = begin(wire, "begun")
    listed = wire.send("GET", f"/{BUCKET}?uploads&prefix=begun").body.decode()
    assert f"<UploadId>{upload}</UploadId><Initiated>20" in listed
    wire.send("PUT", f"begun?partNumber=3&uploadId={upload}", b"123")
    parts = wire.send("GET", f"begun?uploadId={upload}")
    assert (parts.element("PartNumber"), parts.element("Size")) == ("3", "3")
