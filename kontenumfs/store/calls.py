# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The requests that write, before they are signed: which headers and body each verb has."""

import hashlib
from collections.abc import Sequence

from kontenumfs.protocol import dialect, xml
from kontenumfs.protocol.errors import InvalidRequest
from kontenumfs.protocol.names import quote_key
from kontenumfs.store.api import Attributes, Body, Part
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, Version, plain_etag
from kontenumfs.store.wire import Call, attribute_headers


def put_call(key: str, body: Body, attributes: Attributes, expected: Belief) -> Call:
    """PutObject."""
    return Call(
        "PutObject",
        "PUT",
        key,
        quote_key(key),
        headers=attribute_headers(attributes) | condition(expected),
        body=body,
        # A condition would refuse the repetition of its own success.
        once=expected is not UNKNOWN,
    )


def append_call(key: str, body: Body, expected: Belief, attributes: Attributes | None) -> Call:
    """AppendObject, which must never be repeated."""
    return Call(
        "AppendObject",
        "PUT",
        key,
        quote_key(key),
        dialect.APPEND,
        condition(expected) | attribute_headers(attributes or Attributes()),
        body,
        once=True,
    )


def compose_call(key: str, components: Sequence[str], attributes: Attributes) -> Call:
    """ComposeObject; raises InvalidRequest for what its XML cannot say."""
    operation = "ComposeObject"
    try:
        body = [xml.render_components(components)]
    except ValueError as error:
        raise InvalidRequest(str(error), operation=operation, resource=key) from None
    if unsayable := [name for name in components if not xml.is_text(name)]:
        raise InvalidRequest("not a name for XML", operation=operation, resource=unsayable[0])
    return Call(
        operation,
        "PUT",
        key,
        quote_key(key),
        dialect.COMPOSE,
        attribute_headers(attributes),
        body,
        # Where the target is among the components, doing it twice would double it.
        once=key in components,
        late_error=True,
    )


def copy_call(
    bucket: str, source: str, target: str, attributes: Attributes | None, expected: Belief
) -> Call:
    """CopyObject."""
    headers = _copied(bucket, source, expected)
    if attributes is not None:
        headers |= attribute_headers(attributes)
        headers["x-amz-metadata-directive"] = "REPLACE"
    return Call("CopyObject", "PUT", target, quote_key(target), headers=headers, late_error=True)


def delete_call(key: str, expected: Belief) -> Call:
    """DeleteObject; with a belief, who asks needs to know whether it was this that deleted it."""
    headers, once = condition(expected), expected is not UNKNOWN
    return Call("DeleteObject", "DELETE", key, quote_key(key), headers=headers, once=once)


def delete_many_call(keys: Sequence[tuple[str, str]]) -> Call:
    """DeleteObjects, of keys with the ETag that each must have, or nothing."""
    return Call(
        "DeleteObjects",
        "POST",
        query=(("delete", ""),),
        body=[xml.render_delete(keys)],
        digest=True,
        late_error=True,
    )


def create_multipart_call(key: str, attributes: Attributes) -> Call:
    """CreateMultipartUpload; each that arrives is an upload of its own."""
    return Call(
        "CreateMultipartUpload",
        "POST",
        key,
        quote_key(key),
        (("uploads", ""),),
        attribute_headers(attributes),
        once=True,
    )


def part_copy_call(
    bucket: str,
    key: str,
    upload: tuple[str, int],
    source: str,
    byte_range: tuple[int, int],
    expected: Belief,
) -> Call:
    """UploadPartCopy, to the upload and the number that `upload` has."""
    headers = _copied(bucket, source, expected)
    headers["x-amz-copy-source-range"] = "bytes={}-{}".format(*byte_range)
    query = (("partNumber", str(upload[1])), ("uploadId", upload[0]))
    return Call("UploadPartCopy", "PUT", key, quote_key(key), query, headers, late_error=True)


def complete_call(key: str, upload_id: str, parts: Sequence[Part], expected: Belief) -> Call:
    """CompleteMultipartUpload."""
    return Call(
        "CompleteMultipartUpload",
        "POST",
        key,
        quote_key(key),
        (("uploadId", upload_id),),
        condition(expected),
        [xml.render_parts([(part.number, part.etag) for part in parts])],
        # A condition would refuse the repetition of its own success.
        once=expected is not UNKNOWN,
        late_error=True,
    )


def condition(expected: Belief) -> dict[str, str]:
    """The condition on the target that says what is believed of it."""
    if expected is ABSENT:
        return {"if-none-match": "*"}
    return {"if-match": f'"{etag}"'} if (etag := etag_of(expected)) else {}


def _copied(bucket: str, source: str, expected: Belief) -> dict[str, str]:
    """What names the source of a copy, and what is believed of it."""
    headers = {"x-amz-copy-source": f"/{bucket}/{quote_key(source)}"}
    if etag := etag_of(expected):
        headers["x-amz-copy-source-if-match"] = f'"{etag}"'
    return headers


def etag_of(belief: Belief) -> str:
    """The ETag that an object must have; empty where it may have any."""
    return plain_etag(belief.etag) if isinstance(belief, Version) else ""


def multipart_etag(parts: Sequence[Part]) -> str:
    """The ETag that S3 gives to an object of these parts; empty where theirs are no MD5."""
    try:
        digests = b"".join(bytes.fromhex(part.etag) for part in parts)
    except ValueError:
        return ""
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
