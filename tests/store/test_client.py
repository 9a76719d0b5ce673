# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The client against an emulator that fails on demand, and the account's verbs."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.protocol import errors as e
from kontenumfs.protocol.signing import KeyPair
from kontenumfs.store.account import Account
from kontenumfs.store.api import Attributes, Part
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, Version
from kontenumfs.store.calls import multipart_etag
from kontenumfs.store.client import HTTPStore, open_store
from kontenumfs.store.keys import KeyRing
from kontenumfs.store.wire import (
    HASH_IN_THREAD,
    Call,
    Endpoint,
    decode_text,
    encode_text,
    prepare,
)
from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator, running_emulator
from tests.harness.tls import certificate
from tests.store.conftest import KEYS
from tests.store.loopback import Peer, saying, serving


@pytest.fixture
def key() -> str:
    return f"client-{secrets.token_hex(6)}"


async def test_idempotent_writes_get_over_lost_answers(
    client: HTTPStore, emulator: Emulator, key: str
) -> None:
    emulator.fault(op="PutObject", key=key, count=2, reset="after")
    emulator.fault(op="HeadObject", key=key, status=500)
    await client.put(key, [b"data"], Attributes())
    assert (await client.head(key)).size == 4
    assert emulator.fetch(key) == b"data"


async def test_a_lost_append_is_told_and_not_repeated(
    client: HTTPStore, emulator: Emulator, key: str
) -> None:
    """S12.3."""
    await client.put(key, [b"1"], Attributes())
    emulator.fault(op="AppendObject", key=key, reset="after")
    with pytest.raises(e.AnswerLost, match="AppendObject"):
        await client.append(key, [b"2"])
    assert emulator.fetch(key) == b"12"
    emulator.fault(op="AppendObject", key=key, status=500)
    with pytest.raises(e.ServerError):
        await client.append(key, [b"3"])
    assert emulator.fetch(key) == b"12"


@pytest.mark.parametrize("status", [503, 429])
async def test_a_slowed_append_is_the_callers_to_decide(
    client: HTTPStore, emulator: Emulator, key: str, status: int
) -> None:
    """It may be the answer to the second try of a gateway whose first one took place."""
    emulator.mark()
    emulator.fault(op="AppendObject", key=key, status=status, code="SlowDown")
    with pytest.raises(e.Throttled, match="SlowDown"):
        await client.append(key, [b"1"])
    assert emulator.counts()["AppendObject"] == 1


async def test_compose_onto_itself_is_not_repeated(
    client: HTTPStore, emulator: Emulator, key: str
) -> None:
    await client.put(key, [b"1"], Attributes())
    emulator.fault(op="ComposeObject", key=key, reset="after")
    with pytest.raises(e.AnswerLost):
        await client.compose(key, [key, key], Attributes())
    assert emulator.fetch(key) == b"11"


async def test_a_completed_upload_whose_answer_was_lost_is_found(
    client: HTTPStore, emulator: Emulator, key: str
) -> None:
    upload_id = await client.create_multipart(key, Attributes())
    parts = [await client.upload_part(key, upload_id, 1, [b"part"])]
    emulator.fault(op="CompleteMultipartUpload", key=key, reset="after")
    written = await client.complete_multipart(key, upload_id, parts)
    assert written.etag == (await client.head(key)).etag == multipart_etag(parts)


async def test_an_upload_that_is_gone_is_an_error(client: HTTPStore, key: str) -> None:
    await client.put(key, [b"other"], Attributes())
    with pytest.raises(e.NoSuchUpload):
        await client.complete_multipart(key, "none", [Part(1, "0" * 32)])
    assert multipart_etag([Part(1, "opaque")]) == ""


@pytest.mark.parametrize("size", [0, 1, HASH_IN_THREAD, HASH_IN_THREAD + 1, 9 << 20])
@pytest.mark.parametrize("signature", ["v4", "v2"])
async def test_bodies_of_any_size_are_digested(
    emulator: Emulator, key: str, size: int, signature: str
) -> None:
    endpoint = Endpoint(emulator.s3_url, signature=signature)  # type: ignore[arg-type]
    store = open_store(endpoint, BUCKET, KeyRing([KEYS]))
    data = bytes(range(256)) * (size // 256 + 1)
    await store.put(key, [memoryview(data)[: size // 2], data[size // 2 : size]], Attributes())
    assert emulator.fetch(key) == data[:size]
    await store.aclose()


@pytest.mark.parametrize(
    ("addressing", "host", "target"),
    [
        ("path", "s3.test:8080", b"/bucket/a%20b?append"),
        ("virtual", "bucket.s3.test:8080", b"/a%20b?append"),
    ],
)
async def test_addressing(addressing: str, host: str, target: bytes) -> None:
    endpoint = Endpoint("http://s3.test:8080/", addressing=addressing)  # type: ignore[arg-type]
    call = Call("AppendObject", "PUT", "a b", "a%20b", (("append", ""),))
    prepared = await prepare(endpoint, endpoint.origin(BUCKET), BUCKET, call)
    assert prepared.headers["host"] == prepared.url.netloc.decode() == host
    assert prepared.extensions["target"] == target


async def test_tls_with_a_ca_file_and_without(tmp_path: Path, key: str) -> None:
    cert, private = certificate(tmp_path, "localhost")
    tls = (f"--tls-cert={cert}", f"--tls-key={private}")
    with running_emulator(tmp_path / "tls", *tls) as emulator:
        url = emulator.s3_url.replace("127.0.0.1", "localhost")
        store = open_store(Endpoint(url, ca_file=str(cert)), BUCKET, KeyRing([KEYS]))
        await store.put(key, [bytes(3 << 20)], Attributes())
        assert (await store.head(key)).size == 3 << 20
        await store.aclose()
        for wrong in (Endpoint(url), Endpoint(emulator.s3_url, ca_file=str(cert))):
            store = open_store(wrong, BUCKET, KeyRing([KEYS]))
            with pytest.raises(e.TLSError):
                await store.head_bucket()
            await store.aclose()


async def test_the_second_key_pair_takes_over(emulator: Emulator, key: str) -> None:
    keys = KeyRing([KeyPair("RETIRED", "x"), KEYS])
    store = open_store(Endpoint(emulator.s3_url), BUCKET, keys)
    await store.put(key, [b"x"], Attributes())
    assert keys.current == KEYS
    await store.aclose()


@pytest.mark.parametrize(
    ("pair", "bucket", "error"),
    [
        (KeyPair("NOBODY", SECRET), BUCKET, e.InvalidAccessKeyId),
        (KeyPair(ACCESS, "wrong-secret"), BUCKET, e.SignatureDoesNotMatch),
        (KEYS, "no-such-bucket", e.NoSuchBucket),
    ],
)
async def test_a_store_that_cannot_be_used_says_why(
    emulator: Emulator, pair: KeyPair, bucket: str, error: type[e.StoreError]
) -> None:
    store = open_store(Endpoint(emulator.s3_url), bucket, KeyRing([pair]))
    with pytest.raises(error) as caught:
        await store.head_bucket()
    assert pair.secret_key not in str(caught.value) + repr(caught.value)
    await store.aclose()


async def test_many_requests_at_once(client: HTTPStore, emulator: Emulator, key: str) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(60):
            nursery.start_soon(client.put, f"{key}/{number:03}", [b"x"], Attributes())
    page = await client.list_page(key)
    assert len(page.objects) == 60
    assert await client.delete_many({item.key: UNKNOWN for item in page.objects}) == {}


async def test_a_missing_ca_file_is_the_users_mistake(tmp_path: Path) -> None:
    endpoint = Endpoint("https://127.0.0.1:1", ca_file=str(tmp_path / "missing"))
    with pytest.raises(e.ConfigurationError, match="missing"):
        open_store(endpoint, BUCKET, KeyRing([KEYS]))


@pytest.mark.parametrize("is_new", [True, False])
async def test_a_conditional_put_is_not_refused_by_its_own_success(
    client: HTTPStore, emulator: Emulator, key: str, is_new: bool
) -> None:
    expected: Belief = ABSENT
    if not is_new:
        expected = Version((await client.put(key, [b"old"], Attributes())).etag, 3)
    emulator.fault(op="PutObject", key=key, reset="after")
    emulator.mark()
    with pytest.raises(e.AnswerLost):
        await client.put(key, [b"new"], Attributes(), expected=expected)
    assert emulator.counts()["PutObject"] == 1
    assert emulator.fetch(key) == b"new"


HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'
LATE_ERROR = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"


@pytest.mark.parametrize(
    "late",
    [
        LATE_ERROR,
        HEAD + b" " * 600 + LATE_ERROR,
        b" \n" * 600 + HEAD + LATE_ERROR,
        b'<s3:Error xmlns:s3="x"><s3:Code>AccessDenied</s3:Code></s3:Error>',
    ],
    ids=["plain", "far", "late", "prefix"],
)
async def test_an_error_in_a_good_answer_is_an_error(late: bytes) -> None:
    async with serving(saying(b"200 OK", late)) as server:
        store = open_store(Endpoint(server.url), BUCKET, KeyRing([KEYS]), deadline=5)
        for verb in (
            lambda: store.copy("a", "b"),
            lambda: store.complete_multipart("k", "u", [Part(1, "a" * 32)]),
            lambda: store.compose("k", ["k"], Attributes()),
            lambda: store.delete_many({"k": UNKNOWN}),
        ):
            with pytest.raises(e.AccessDenied):
                await verb()
        await store.aclose()


async def test_a_good_answer_that_names_errors_is_none() -> None:
    listed = b"<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code></Error></DeleteResult>"
    async with serving(saying(b"200 OK", listed)) as server:
        store = open_store(Endpoint(server.url), BUCKET, KeyRing([KEYS]), deadline=5)
        assert await store.delete_many({"k": UNKNOWN}) == {"k": "AccessDenied"}
        await store.aclose()


async def test_a_proxys_page_is_no_receipt() -> None:
    async with serving(saying(b"200 OK", b"<html>please log in</html>")) as server:
        store = open_store(Endpoint(server.url), BUCKET, KeyRing([KEYS]), deadline=5)
        for verb in (
            lambda: store.put("k", [b"x"], Attributes()),
            lambda: store.append("k", [b"x"]),
            lambda: store.copy("a", "b"),
            lambda: store.delete_many({"k": UNKNOWN}),
        ):
            with pytest.raises(e.UnexpectedAnswer, match="not S3's"):
                await verb()
        await store.aclose()


async def test_an_answer_in_an_odd_encoding_is_a_server_in_trouble() -> None:
    page = b'<?xml version="1.0" encoding="gb2312"?><html>bad gateway</html>'
    async with serving(saying(b"502 Bad Gateway", page)) as server:
        store = open_store(Endpoint(server.url), BUCKET, KeyRing([KEYS]), deadline=5)
        with pytest.raises(e.ServerError):
            await store.append("k", [b"x"])
        await store.aclose()


async def test_a_listing_that_leads_to_itself_ends() -> None:
    page = (
        b"<ListBucketResult><IsTruncated>true</IsTruncated>"
        b"<NextContinuationToken>t</NextContinuationToken></ListBucketResult>"
    )
    async with serving(saying(b"200 OK", page)) as server:
        store = open_store(Endpoint(server.url), BUCKET, KeyRing([KEYS]), deadline=5)
        token = (await store.list_page()).next_token
        with pytest.raises(e.UnexpectedAnswer, match="never ends"):
            await store.list_page(token=token)
        await store.aclose()


@pytest.fixture
async def account(own_emulator: Emulator) -> AsyncIterator[Account]:
    account = Account(Endpoint(own_emulator.s3_url), KeyRing([KEYS]))
    yield account
    await account.aclose()


async def test_buckets_are_made_listed_and_deleted(
    account: Account, own_emulator: Emulator
) -> None:
    await account.create_bucket("another")
    assert sorted(await account.list_buckets()) == sorted([BUCKET, "another"])
    store = open_store(Endpoint(own_emulator.s3_url), "another", KeyRing([KEYS]))
    await store.put("k", [b"x"], Attributes())
    with pytest.raises(e.BucketNotEmpty):
        await account.delete_bucket("another")
    await account.delete_bucket("another", force=True)
    with pytest.raises(e.NoSuchBucket):
        await store.head_bucket()
    assert await account.list_buckets() == [BUCKET]
    await store.aclose()


@pytest.mark.parametrize(
    "text", ["", "plain", "a b", " edge ", "two  spaces", "ü", "日本", "=?UTF-8?B?eA==?=", "a\nb"]
)
def test_metadata_text_comes_back(text: str) -> None:
    encoded = encode_text(text)
    assert encoded.isascii()
    assert "\n" not in encoded
    assert decode_text(encoded) == text
    assert decode_text("=?nonsense") == "=?nonsense"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_server_that_takes_connections_and_is_silent_costs_one_deadline(
    scheme: str, autojump_clock: MockClock
) -> None:
    """The handshake of TLS included."""

    async def silent(peer: Peer) -> None:
        await trio.sleep_forever()

    async with serving(silent) as server:
        url = server.url.replace("http:", f"{scheme}:")
        store = open_store(Endpoint(url), BUCKET, KeyRing([KEYS]), deadline=30)
        began = trio.current_time()
        with pytest.raises(e.TransportError):
            await store.head("k")
        assert trio.current_time() - began < 31
        await store.aclose()
