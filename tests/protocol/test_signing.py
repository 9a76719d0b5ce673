# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Signatures: AWS's published examples, and botocore's signers for everything else."""

from datetime import UTC, datetime
from typing import Any
from unittest import mock

import botocore.auth
import botocore.awsrequest
import botocore.credentials
from hypothesis import given
from hypothesis import strategies as st

from kontenumfs.protocol.names import quote_key
from kontenumfs.protocol.signing import (
    EMPTY_SHA256,
    KeyPair,
    PlainKeys,
    Query,
    Signable,
    SigV2,
    SigV4,
    signature_v2,
    string_to_sign_v2,
    wire_query,
)

# The key pair of AWS's documentation, which opens nothing.
EXAMPLE = KeyPair("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOW = datetime(2013, 5, 24, tzinfo=UTC)
HOST = "examplebucket.s3.amazonaws.com"


def test_sigv4_example_list_objects() -> None:
    """AWS, "Signature Calculations for the Authorization Header", example GET Bucket."""
    request = Signable(
        "GET", "/", [("max-keys", "2"), ("prefix", "J")], {"Host": HOST}, EMPTY_SHA256
    )
    signed = SigV4().sign(request, EXAMPLE, NOW)["Authorization"]
    assert signed.endswith("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")


def test_sigv4_example_get_lifecycle() -> None:
    """The same page, example GET Bucket Lifecycle: a subresource without a value."""
    request = Signable("GET", "/", [("lifecycle", "")], {"Host": HOST}, EMPTY_SHA256)
    signed = SigV4().sign(request, EXAMPLE, NOW)["Authorization"]
    assert signed.endswith("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")


def test_the_plain_pair_and_repr() -> None:
    """The literal form is what the vendor's page says, and no repr shows a secret."""
    request = Signable("GET", "/", [], {"Host": HOST})
    assert PlainKeys().sign(request, EXAMPLE, NOW) == {
        "Authorization": f"{EXAMPLE.access_key}:{EXAMPLE.secret_key}"
    }
    assert EXAMPLE.secret_key not in repr(EXAMPLE)


keys = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
names = st.sampled_from(
    ["append", "compose", "uploads", "acl", "prefix", "partNumber", "uploadId", "x", "versionId"]
)
queries = st.lists(st.tuples(names, keys | st.just("")), max_size=4, unique_by=lambda pair: pair[0])
headers = st.dictionaries(
    st.sampled_from(["x-amz-meta-a", "x-amz-meta-mtime", "content-type", "content-md5"]),
    st.text("abcXYZ 0123=/;", min_size=1, max_size=20).map(str.strip).filter(bool),
    max_size=4,
)


def botocore_request(method: str, path: str, query: Query, told: dict[str, str]) -> Any:
    """The same request in botocore's terms."""
    url = f"https://s3.kontenum.com{path}" + (f"?{wire_query(query)}" if query else "")
    return botocore.awsrequest.AWSRequest(method=method, url=url, headers=dict(told))


CREDENTIALS = botocore.credentials.Credentials(EXAMPLE.access_key, EXAMPLE.secret_key)


@given(key=keys, query=queries, told=headers, method=st.sampled_from(["GET", "PUT", "DELETE"]))
def test_sigv4_is_botocores(key: str, query: Query, told: dict[str, str], method: str) -> None:
    """Any key, query and headers: the same signature as botocore's S3SigV4Auth."""
    path = f"/bucket/{quote_key(key)}"
    request = botocore_request(method, path, query, told)
    request.context["client_config"] = None
    request.headers["X-Amz-Content-SHA256"] = EMPTY_SHA256
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        botocore.auth.S3SigV4Auth(CREDENTIALS, "s3", "us-east-1").add_auth(request)
    signable = Signable(method, path, query, {"host": "s3.kontenum.com", **told}, EMPTY_SHA256)
    ours = SigV4().sign(signable, EXAMPLE, NOW)["Authorization"]
    theirs = request.headers["Authorization"]
    assert ours.rpartition("Signature=")[2] == theirs.rpartition("Signature=")[2]


@given(key=keys, query=queries, told=headers, force=st.booleans())
def test_sigv2_is_botocores_with_our_subresources(
    key: str, query: Query, told: dict[str, str], force: bool
) -> None:
    """Any key, query and headers: as botocore's HmacV1Auth, taught Kontenum's three words."""
    path = f"/bucket/{quote_key(key)}"
    query = [*query, ("force_delete", "true")] if force else query
    request = botocore_request("PUT", path, query, told)
    date = "Fri, 24 May 2013 00:00:00 GMT"
    known = [*botocore.auth.HmacV1Auth.QSAOfInterest, "append", "compose", "force_delete"]
    with (
        mock.patch.object(botocore.auth.HmacV1Auth, "QSAOfInterest", known),
        mock.patch.object(botocore.auth.HmacV1Auth, "_get_date", return_value=date),
    ):
        botocore.auth.HmacV1Auth(CREDENTIALS).add_auth(request)
    # botocore signs the Date header, where our signer sends x-amz-date instead.
    signable = Signable("PUT", path, query, {"host": "s3.kontenum.com", "date": date, **told})
    signature = signature_v2(EXAMPLE.secret_key, string_to_sign_v2(signable))
    assert request.headers["Authorization"] == f"AWS {EXAMPLE.access_key}:{signature}"


def test_sigv2_signs_its_own_date_and_nothing_twice() -> None:
    """With x-amz-date the Date line is empty (AWS, RESTAuthentication, "Time Stamp")."""
    request = Signable("PUT", "/b/k", [("append", "")], {"host": "h", "date": "ignored"})
    dated = {**request.headers, "x-amz-date": "Fri, 24 May 2013 00:00:00 GMT"}
    text = string_to_sign_v2(Signable("PUT", "/b/k", [("append", "")], dated))
    assert text == "PUT\n\n\n\nx-amz-date:Fri, 24 May 2013 00:00:00 GMT\n/b/k?append"
    signed = SigV2().sign(request, EXAMPLE, NOW)
    assert signed["Authorization"].endswith(":" + signature_v2(EXAMPLE.secret_key, text))
