# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Somebody else at the store: boto3 beside the mount, below the same prefix."""

import hashlib
import warnings
from base64 import b64encode
from collections.abc import Sequence
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

import boto3
from botocore.config import Config

from tests.harness.emulator import ACCESS, BUCKET, SECRET


def s3_client(
    url: str,
    *,
    access: str = ACCESS,
    secret: str = SECRET,
    verify: str | None = None,
    **settings: Any,
) -> Any:
    """A boto3 client for an endpoint, with no settings from this machine."""
    given: dict[str, Any] = {"s3": {"addressing_style": "path"}, "retries": {"mode": "standard"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # boto3's own deprecations are not ours to fix
        session = boto3.session.Session(
            aws_access_key_id=access, aws_secret_access_key=secret, region_name="us-east-1"
        )
        return session.client(
            "s3", endpoint_url=url, verify=verify, config=Config(**(given | settings))
        )


class ObjectStore:
    """The bucket as another program sees it, keys below `prefix`."""

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._client = s3_client(url)
        self._prefix = f"{prefix}/" if prefix else ""

    def put(self, key: str, body: bytes, **settings: Any) -> None:
        """Make an object."""
        self._client.put_object(Bucket=BUCKET, Key=self._prefix + key, Body=body, **settings)

    def append(self, key: str, body: bytes) -> None:
        """Append to an object, which S3's own clients cannot: by the plain form of authorization.

        It is one request, as of another host that asks nobody and believes nothing.
        """
        connection = HTTPConnection(self._url.removeprefix("http://"))
        path = f"/{BUCKET}/{quote(self._prefix + key)}?append"
        digest = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        headers = {"Authorization": f"{ACCESS}:{SECRET}", "Content-MD5": digest}
        connection.request("PUT", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        connection.close()

    def delete(self, key: str) -> None:
        """Delete an object."""
        self._client.delete_object(Bucket=BUCKET, Key=self._prefix + key)

    def put_many(self, keys: Sequence[str]) -> None:
        """Make many empty objects, quickly: by the plain form of authorization."""
        connection = HTTPConnection(self._url.removeprefix("http://"))
        for key in keys:
            path = f"/{BUCKET}/{quote(self._prefix + key)}"
            connection.request("PUT", path, headers={"Authorization": f"{ACCESS}:{SECRET}"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
        connection.close()

    def head(self, key: str) -> dict[str, Any]:
        """HeadObject, as boto3 shows it."""
        answer: dict[str, Any] = self._client.head_object(Bucket=BUCKET, Key=self._prefix + key)
        return answer

    def keys(self) -> list[str]:
        """All keys, in order."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=self._prefix
        )
        found = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return [key.removeprefix(self._prefix) for key in found]

    def uploads(self) -> list[str]:
        """Keys with an unfinished multipart upload."""
        answer = self._client.list_multipart_uploads(Bucket=BUCKET, Prefix=self._prefix)
        return [item["Key"].removeprefix(self._prefix) for item in answer.get("Uploads", [])]

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
