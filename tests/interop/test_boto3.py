# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""boto3 (SigV4 and SigV2) against the emulator: everything but reading."""

import base64
import hashlib
import io
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.harness.emulator import ACCESS, BUCKET, Emulator, running_emulator
from tests.harness.objects import s3_client
from tests.harness.tls import certificate
from tests.interop.keys import AWKWARD_KEYS, ODD_KEYS

MIB = 1 << 20


@pytest.fixture(params=["s3v4", "s3"])
def client(request: pytest.FixtureRequest, emulator: Emulator) -> Iterator[Any]:
    """A client that signs in the new way, or in the old one."""
    made = s3_client(emulator.s3_url, signature_version=request.param)
    yield made
    made.close()


@pytest.fixture
def bucket(client: Any) -> Iterator[str]:
    """A bucket of the test's own."""
    name = "boto3-bucket"
    client.create_bucket(Bucket=name)
    yield name
    for item in client.list_objects_v2(Bucket=name).get("Contents", []):
        client.delete_object(Bucket=name, Key=item["Key"])
    client.delete_bucket(Bucket=name)


def code_of(call: Callable[[], Any]) -> str:
    """The error code that a call ends with."""
    with pytest.raises(ClientError) as failed:
        call()
    return str(failed.value.response["Error"]["Code"])


@pytest.mark.parametrize("key", [*ODD_KEYS, *AWKWARD_KEYS], ids=range(24))
def test_odd_keys(client: Any, bucket: str, emulator: Emulator, key: str) -> None:
    """put, head, list, copy, delete of keys that are easily mangled."""
    body = key.encode()
    client.put_object(Bucket=bucket, Key=key, Body=body)
    assert client.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(body)
    listed = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert [item["Key"] for item in listed] == [key]
    copy = key[: len(key) // 2] + "-copy"
    client.copy_object(Bucket=bucket, Key=copy, CopySource={"Bucket": bucket, "Key": key})
    assert client.head_object(Bucket=bucket, Key=copy)["ContentLength"] == len(body)
    keys = [{"Key": key}, {"Key": copy}]
    deleted = client.delete_objects(Bucket=bucket, Delete={"Objects": keys})["Deleted"]
    assert sorted(item["Key"] for item in deleted) == sorted([key, copy])
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)


def test_buckets(client: Any, bucket: str) -> None:
    """list, head, make twice, unknown, not empty."""
    assert bucket in [item["Name"] for item in client.list_buckets()["Buckets"]]
    client.head_bucket(Bucket=bucket)
    assert code_of(lambda: client.head_bucket(Bucket="no-such-bucket")) == "404"
    assert code_of(lambda: client.list_objects_v2(Bucket="no-such-bucket")) == "NoSuchBucket"
    client.put_object(Bucket=bucket, Key="key", Body=b"")
    assert code_of(lambda: client.delete_bucket(Bucket=bucket)) == "BucketNotEmpty"
    client.get_bucket_location(Bucket=bucket)


def test_reading_is_refused(client: Any, bucket: str) -> None:
    """GetObject is AccessDenied, by design, whether the object is there or not."""
    client.put_object(Bucket=bucket, Key="key", Body=b"content")
    assert code_of(lambda: client.get_object(Bucket=bucket, Key="key")) == "AccessDenied"
    assert code_of(lambda: client.get_object(Bucket=bucket, Key="none")) == "AccessDenied"


def test_metadata_and_headers(client: Any, bucket: str) -> None:
    """What is stored beside an object comes back, and a copy keeps or replaces it."""
    given = {
        "ContentType": "text/css; charset=utf-8",
        "CacheControl": "max-age=60",
        "ContentDisposition": 'attachment; filename="a b.css"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "Metadata": {"own": "value", "spaced": "a  b"},
    }
    answer = client.put_object(Bucket=bucket, Key="a", Body=b"x", **given)
    head = client.head_object(Bucket=bucket, Key="a")
    assert {name: head[name] for name in given} == given
    assert head["ETag"] == answer["ETag"] == f'"{hashlib.md5(b"x").hexdigest()}"'  # noqa: S324
    source = {"Bucket": bucket, "Key": "a"}
    client.copy_object(Bucket=bucket, Key="b", CopySource=source)
    copied = client.head_object(Bucket=bucket, Key="b")
    assert {name: copied[name] for name in given} == given
    client.copy_object(
        Bucket=bucket, Key="a", CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "1"}
    )
    assert client.head_object(Bucket=bucket, Key="a")["Metadata"] == {"n": "1"}
    onto_itself = {"Bucket": bucket, "Key": "a", "CopySource": source}
    assert code_of(lambda: client.copy_object(**onto_itself)) == "InvalidRequest"


def test_listings(client: Any, bucket: str) -> None:
    """Prefix, delimiter, start-after, pages, and version 1 with markers."""
    keys = ["a", "b/1", "b/2", "b/c/3", "b+", "d e", "z"]
    for key in keys:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())
    everything = client.list_objects_v2(Bucket=bucket)
    assert [item["Key"] for item in everything["Contents"]] == sorted(keys)
    assert everything["KeyCount"] == len(keys)
    level = client.list_objects_v2(Bucket=bucket, Delimiter="/", Prefix="b/")
    assert [item["Key"] for item in level["Contents"]] == ["b/1", "b/2"]
    assert [item["Prefix"] for item in level["CommonPrefixes"]] == ["b/c/"]
    after = client.list_objects_v2(Bucket=bucket, StartAfter="b/2")
    assert [item["Key"] for item in after["Contents"]] == ["b/c/3", "d e", "z"]
    for operation in ("list_objects", "list_objects_v2"):
        for delimiter in ("", "/"):
            pages = client.get_paginator(operation).paginate(
                Bucket=bucket, Delimiter=delimiter, PaginationConfig={"PageSize": 2}
            )
            found = [
                item.get("Key") or item["Prefix"]
                for page in pages
                for item in page.get("Contents", []) + page.get("CommonPrefixes", [])
            ]
            assert sorted(found) == (
                sorted(keys) if not delimiter else ["a", "b+", "b/", "d e", "z"]
            )


def test_multipart(client: Any, bucket: str, emulator: Emulator) -> None:
    """Parts, a copied range as a part, lists of both, completion, and its errors."""
    client.put_object(Bucket=bucket, Key="source", Body=b"0123456789" * MIB)
    upload = client.create_multipart_upload(Bucket=bucket, Key="big", ContentType="video/mp2t")
    about = {"Bucket": bucket, "Key": "big", "UploadId": upload["UploadId"]}
    first = client.upload_part(**about, PartNumber=1, Body=b"a" * (5 * MIB))
    second = client.upload_part_copy(
        **about,
        PartNumber=2,
        CopySource={"Bucket": bucket, "Key": "source"},
        CopySourceRange=f"bytes=5-{5 * MIB + 14}",
    )["CopyPartResult"]
    third = client.upload_part(**about, PartNumber=3, Body=b"end")
    listed = client.list_parts(**about)["Parts"]
    assert [part["Size"] for part in listed] == [5 * MIB, 5 * MIB + 10, 3]
    uploads = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [item["Key"] for item in uploads] == ["big"]
    parts = [
        {"PartNumber": number, "ETag": part["ETag"]}
        for number, part in enumerate((first, second, third), 1)
    ]
    wrong = [parts[0] | {"ETag": '"00"'}]
    assert (
        code_of(lambda: client.complete_multipart_upload(**about, MultipartUpload={"Parts": wrong}))
        == "InvalidPart"
    )
    client.complete_multipart_upload(**about, MultipartUpload={"Parts": parts})
    expected = b"a" * (5 * MIB) + (b"0123456789" * MIB)[5 : 5 * MIB + 15] + b"end"
    with urllib.request.urlopen(f"{emulator.cdn_url}/{bucket}/big") as answer:
        assert answer.read() == expected
        assert answer.headers["content-type"] == "video/mp2t"
    assert code_of(lambda: client.abort_multipart_upload(**about)) == "NoSuchUpload"


def test_small_parts_and_aborts(client: Any, bucket: str) -> None:
    """A part below 5 MiB that is not the last is refused; abort drops everything."""
    upload = client.create_multipart_upload(Bucket=bucket, Key="small")
    about = {"Bucket": bucket, "Key": "small", "UploadId": upload["UploadId"]}
    parts = []
    for number in (1, 2):
        part = client.upload_part(**about, PartNumber=number, Body=b"small")
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    assert (
        code_of(lambda: client.complete_multipart_upload(**about, MultipartUpload={"Parts": parts}))
        == "EntityTooSmall"
    )
    client.abort_multipart_upload(**about)
    assert code_of(lambda: client.list_parts(**about)) == "NoSuchUpload"
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


def test_uploads_are_listed_in_pages(client: Any, bucket: str) -> None:
    """By key and identity; two of one key apart, and those below a delimiter as one."""
    keys = ["a", "b/1", "b/1", "b/2", "b+", "c"]
    begun = [client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in keys]
    list_all = client.get_paginator("list_multipart_uploads").paginate
    for size in (1, 2, 10):
        config = {"PageSize": size}
        pages = list(list_all(Bucket=bucket, PaginationConfig=config))
        uploads = [item for page in pages for item in page.get("Uploads", [])]
        assert [item["Key"] for item in uploads] == sorted(keys)
        assert sorted(item["UploadId"] for item in uploads) == sorted(begun)
        found = [
            item.get("Key") or item["Prefix"]
            for page in list_all(Bucket=bucket, Delimiter="/", PaginationConfig=config)
            for item in page.get("Uploads", []) + page.get("CommonPrefixes", [])
        ]
        assert sorted(found) == ["a", "b+", "b/", "c"]
        below = list(list_all(Bucket=bucket, Prefix="b/", PaginationConfig=config))
        assert sum(len(page.get("Uploads", [])) for page in below) == 3
    for key, identity in zip(keys, begun, strict=True):
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=identity)


def test_managed_uploads(client: Any, bucket: str, tmp_path: Path) -> None:
    """upload_file and upload_fileobj, which choose multipart and threads by themselves."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789abcdef" * MIB)
    client.upload_file(str(path), bucket, "file", ExtraArgs={"Metadata": {"a": "b"}})
    client.upload_fileobj(io.BytesIO(b"stream"), bucket, "stream")
    client.copy({"Bucket": bucket, "Key": "file"}, bucket, "copy")
    assert client.head_object(Bucket=bucket, Key="file")["ContentLength"] == 16 * MIB
    assert client.head_object(Bucket=bucket, Key="copy")["ContentLength"] == 16 * MIB
    assert client.head_object(Bucket=bucket, Key="file")["Metadata"] == {"a": "b"}


def test_digests(client: Any, bucket: str) -> None:
    """Content-MD5 and x-amz-checksum-*: the right one is taken, a wrong one refused."""
    md5 = base64.b64encode(hashlib.md5(b"content").digest()).decode()  # noqa: S324
    sha = base64.b64encode(hashlib.sha256(b"content").digest()).decode()
    client.put_object(Bucket=bucket, Key="a", Body=b"content", ContentMD5=md5)
    client.put_object(Bucket=bucket, Key="a", Body=b"content", ChecksumSHA256=sha)
    for algorithm in ("CRC32", "SHA1", "SHA256"):
        client.put_object(Bucket=bucket, Key="b", Body=b"content", ChecksumAlgorithm=algorithm)
    wrong = {"Bucket": bucket, "Key": "a", "Body": b"changed"}
    assert code_of(lambda: client.put_object(**wrong, ContentMD5=md5)) == "BadDigest"
    assert "Digest" in code_of(lambda: client.put_object(**wrong, ChecksumSHA256=sha))
    assert client.head_object(Bucket=bucket, Key="a")["ContentLength"] == 7


def test_conditions(client: Any, bucket: str) -> None:
    """If-None-Match: * makes only what is new, If-Match replaces only what is known."""
    etag = client.put_object(Bucket=bucket, Key="a", Body=b"1", IfNoneMatch="*")["ETag"]
    put = {"Bucket": bucket, "Key": "a", "Body": b"2"}
    assert code_of(lambda: client.put_object(**put, IfNoneMatch="*")) == "PreconditionFailed"
    assert code_of(lambda: client.put_object(**put, IfMatch='"0"')) == "PreconditionFailed"
    client.put_object(**put, IfMatch=etag)
    head = {"Bucket": bucket, "Key": "a"}
    assert code_of(lambda: client.head_object(**head, IfMatch=etag)) == "412"
    assert code_of(lambda: client.head_object(Bucket=bucket, Key="none")) == "404"


def test_wrong_keys(emulator: Emulator, client: Any) -> None:
    """An unknown access key and a wrong secret have their own codes."""
    signature = client.meta.config.signature_version
    for settings, expected in (
        ({"access": "AKUNKNOWN"}, "InvalidAccessKeyId"),
        ({"secret": "wrong"}, "SignatureDoesNotMatch"),
    ):
        other = s3_client(emulator.s3_url, signature_version=signature, **settings)
        assert code_of(other.list_buckets) == expected
        other.close()


def test_presigned_addresses(client: Any, bucket: str, emulator: Emulator) -> None:
    """A signature in the query works until it is changed."""
    about = {"Bucket": bucket, "Key": "pre signed+%"}
    url = client.generate_presigned_url("put_object", about, ExpiresIn=60)
    request = urllib.request.Request(url, data=b"by curl", method="PUT")
    request.add_header("Content-Type", "")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
    assert client.head_object(**about)["ContentLength"] == 7
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url.replace(ACCESS, "AKOTHER"))
    refused.value.close()
    assert refused.value.code == 403


def test_browser_uploads_are_refused(client: Any, bucket: str) -> None:
    """POST of a form: Kontenum does not take it."""
    url = client.generate_presigned_post(bucket, "key")["url"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, data=b"form")
    refused.value.close()
    assert refused.value.code in (405, 501)


@pytest.mark.parametrize("signature", ["s3v4", "s3"])
def test_a_bucket_in_the_host_name(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, signature: str
) -> None:
    """Virtual-hosted addressing."""
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **kw: resolve("127.0.0.1", *rest, **kw)
    )
    client = s3_client(
        emulator.s3_url.replace("127.0.0.1", "localhost"),
        signature_version=signature,
        s3={"addressing_style": "virtual"},
    )
    client.put_object(Bucket=BUCKET, Key="virtual/a key", Body=b"content")
    assert client.head_object(Bucket=BUCKET, Key="virtual/a key")["ContentLength"] == 7
    client.close()
    assert emulator.fetch("virtual/a key") == b"content"


def test_chunked_bodies_with_trailers(tmp_path: Path) -> None:
    """Over https boto3 sends streams as aws-chunked with a checksum behind them."""
    cert, key = certificate(tmp_path, "localhost")
    tls = (f"--tls-cert={cert}", f"--tls-key={key}")
    with running_emulator(tmp_path / "tls", *tls) as emulator:
        client = s3_client(emulator.s3_url.replace("127.0.0.1", "localhost"), verify=str(cert))
        client.put_object(
            Bucket=BUCKET, Key="a", Body=io.BytesIO(b"x" * MIB), ChecksumAlgorithm="CRC32"
        )
        client.upload_fileobj(io.BytesIO(b"y" * (9 * MIB)), BUCKET, "b")
        client.close()
        assert emulator.fetch("a") == b"x" * MIB
        assert emulator.fetch("b") == b"y" * (9 * MIB)
