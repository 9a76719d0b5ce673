# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The tests' own signers against the examples that AWS publishes."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from tests.emulator.signers import V2, V4, checksum, in_chunks

ACCESS, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SIGNER = V4(ACCESS, SECRET, when=datetime(2013, 5, 24, tzinfo=UTC))
BODY = (b"a" * 65536, b"a" * 1024)


def signatures(body: bytes) -> list[str]:
    """The signatures in a chunked body, in order."""
    lines = body.decode().split("\r\n")
    return [line[-64:] for line in lines if "signature" in line]


def test_a_presigned_get() -> None:
    """AWS, "Authenticating Requests: Using Query Parameters"."""
    target = SIGNER.in_query(
        "GET", "/test.txt", {"host": "examplebucket.s3.amazonaws.com"}, expires=86400
    )
    (signature,) = parse_qs(urlsplit(target).query)["X-Amz-Signature"]
    assert signature == "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"


def test_a_chunked_upload() -> None:
    """AWS, "Transferring payload in multiple chunks", headers and chunks."""
    headers = {
        "content-encoding": "aws-chunked",
        "content-length": "66824",
        "host": "s3.amazonaws.com",
        "x-amz-decoded-content-length": "66560",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
    }
    signed = SIGNER.in_header(
        "PUT", "/examplebucket/chunkObject.txt", headers, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    )
    seed = signed["authorization"][-64:]
    assert seed == "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    body = b"".join(in_chunks(SIGNER, seed, BODY))
    assert len(body) == 66824
    assert signatures(body) == [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]


def test_a_chunked_upload_with_a_trailer() -> None:
    """AWS, "Transferring payload in multiple chunks with trailing headers"."""
    seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    trailer = f"x-amz-checksum-crc32c:{checksum('crc32c', b''.join(BODY))}"
    assert trailer == "x-amz-checksum-crc32c:sOO8/Q=="
    assert signatures(b"".join(in_chunks(SIGNER, seed, BODY, trailer))) == [
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435",
    ]


def test_the_old_way() -> None:
    """AWS, "Signing and Authenticating REST Requests", example Object PUT."""
    signer = V2(ACCESS, SECRET, bucket_in_host="awsexamplebucket1")
    headers = {"content-type": "image/jpeg", "date": "Tue, 27 Mar 2007 21:15:45 +0000"}
    signed = signer.in_header("PUT", "/photos/puppy.jpg", headers)
    assert signed["authorization"] == f"AWS {ACCESS}:iqRzw+ileNPu1fhspnRs8nOjjIA="


def test_checksums() -> None:
    """The check values of the CRC catalogue; the others are the library's."""
    assert checksum("crc32c", b"123456789") == "4waSgw=="
    assert checksum("crc64nvme", b"123456789") == "rosUhgp5mIg="
