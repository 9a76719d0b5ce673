# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The store over HTTP: one verb, one method."""

import ssl
from collections.abc import Mapping, Sequence
from itertools import count
from time import perf_counter

import httpx
from cachetools import LRUCache

from kontenumfs.protocol import dialect, xml
from kontenumfs.protocol.errors import (
    ConfigurationError,
    NoSuchBucket,
    NoSuchUpload,
    NotFound,
    StoreError,
)
from kontenumfs.protocol.exits import Exit
from kontenumfs.protocol.names import quote_key
from kontenumfs.protocol.signing import signer_for
from kontenumfs.store.api import Attributes, Body, ListPage, ObjectInfo, Part, Upload, Written
from kontenumfs.store.auth import Clock, S3Auth
from kontenumfs.store.beliefs import UNKNOWN, Belief, vanished
from kontenumfs.store.calls import (
    append_call,
    complete_call,
    compose_call,
    copy_call,
    create_multipart_call,
    delete_call,
    delete_many_call,
    etag_of,
    multipart_etag,
    part_copy_call,
    put_call,
)
from kontenumfs.store.gate import (
    described,
    exchange,
    failed_keys,
    part_etag,
    receipt,
    receipt_in_body,
    root_of,
    upload_id,
)
from kontenumfs.store.gate import request_id as id_of
from kontenumfs.store.keys import KeyRing
from kontenumfs.store.observer import RESENT, Attempt, NoObserver, Observer
from kontenumfs.store.operation import progress
from kontenumfs.store.pages import Pages, Question, judge_uploads
from kontenumfs.store.retry import Repeat, RetryPolicy
from kontenumfs.store.transport import CONNECT_SECONDS, OriginTransport
from kontenumfs.store.wire import Call, Endpoint, Prepared, prepare


def open_store(
    endpoint: Endpoint,
    bucket: str,
    keys: KeyRing,
    *,
    deadline: float = 60.0,
    connections: int = 16,
    clock: Clock | None = None,
    observer: Observer | None = None,
) -> "HTTPStore":
    """A store on one bucket; nothing is sent yet.

    Args:
        deadline: seconds that one operation may take, its repetitions included.
        connections: how many connections are open at most.
        clock: is told what the answers say of the store's.
        observer: is told of each request.

    Raises ConfigurationError when ca_file cannot be used.
    """
    client = open_client(
        endpoint, bucket, keys, deadline=deadline, connections=connections, clock=clock
    )
    return HTTPStore(client, endpoint, bucket, RetryPolicy(deadline=deadline), observer)


def open_client(
    endpoint: Endpoint,
    bucket: str,
    keys: KeyRing,
    *,
    deadline: float,
    connections: int,
    clock: Clock | None = None,
) -> httpx.AsyncClient:
    """What signs requests and sends them to the origin of `bucket` (or of the service: empty)."""
    virtual = bucket if endpoint.addressing == "virtual" else ""
    transport = OriginTransport(
        endpoint.origin(bucket),
        trust=trust(endpoint.ca_file) if endpoint.is_tls else None,
        connections=connections,
        connect_seconds=min(CONNECT_SECONDS, deadline),
        # The secret itself goes over the line: to this machine, whatever its name resolves to.
        local_only=endpoint.signature == "plain" and not endpoint.is_tls,
    )
    return httpx.AsyncClient(
        auth=S3Auth(
            signer_for(endpoint.signature, endpoint.region),
            keys,
            bucket_in_host=virtual,
            clock=clock,
        ),
        transport=transport,
        trust_env=False,
    )


def trust(ca_file: str | None) -> ssl.SSLContext:
    """Whose certificates count; raises ConfigurationError when `ca_file` cannot be used."""
    try:
        made = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"ca_file {ca_file}: {error.strerror or error}", Exit.TLS
        ) from None
    made.hostname_checks_common_name = False  # what no authority has vouched for (RFC 9110, 4.3.4)
    return made


REQUEST_IDS = 4096
"""Objects whose last request's id is remembered."""


class HTTPStore:
    """One bucket of a Kontenum or S3 endpoint; see `store.api.Store` for the promises."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        endpoint: Endpoint,
        bucket: str,
        retry: RetryPolicy,
        observer: Observer | None = None,
    ) -> None:
        self.bucket = bucket
        self._client = client
        self._endpoint = endpoint
        self._origin = endpoint.origin(bucket)
        self._retry = retry
        self._observer = observer or NoObserver()
        self._pages = Pages()
        self._request_ids: LRUCache[str, str] = LRUCache(REQUEST_IDS)

    async def _send(self, call: Call, repeat: Repeat = Repeat.ALWAYS) -> httpx.Response:
        prepared = await prepare(self._endpoint, self._origin, self.bucket, call)
        if call.once:
            repeat = Repeat.UNSENT
        attempts = count(1 + RESENT.get())
        response = await self._retry.run(
            lambda: self._attempt(call, prepared, next(attempts)), repeat
        )
        if call.method == "PUT" or call.method == "POST":
            self._request_ids[call.key] = id_of(response)
        return response

    async def _attempt(self, call: Call, prepared: Prepared, number: int) -> httpx.Response:
        began = perf_counter()
        status = received = 0
        request_id = ""
        try:
            response = await exchange(self._client, prepared.request(), call)
            status, received = response.status_code, len(response.content)
            request_id = id_of(response)
            return response
        except StoreError as error:
            status, request_id = error.status, error.request_id
            raise
        finally:
            seconds = perf_counter() - began
            self._observer.attempted(
                Attempt(
                    call.operation,
                    call.key,
                    number,
                    status,
                    seconds,
                    prepared.length,
                    received,
                    request_id,
                )
            )

    async def _write(self, call: Call, expected: Belief = UNKNOWN) -> Written:
        return await receipt(await self._send_believing(call, expected), call)

    async def _send_believing(self, call: Call, expected: Belief) -> httpx.Response:
        """Send; a 404 where an object is expected says that the belief is wrong."""
        try:
            return await self._send(call)
        except NotFound as error:
            raise vanished(error, expected) from None

    def request_id(self, key: str) -> str:
        """Of the last request that wrote `key`, while it is remembered; else empty."""
        return str(self._request_ids.get(key, ""))

    async def head_bucket(self) -> None:
        """Return if the bucket exists and these keys may see it; tried once."""
        # GET with max-keys=0 tells the reason of a refusal; HEAD has no body to say it in.
        query = (("list-type", "2"), ("max-keys", "0"))
        call = Call("ListObjectsV2", "GET", self.bucket, query=query)
        await root_of(await self._send(call, Repeat.NEVER), call)

    async def head(self, key: str) -> ObjectInfo:
        """Describe an object; raises NoSuchKey."""
        call = Call("HeadObject", "HEAD", key, quote_key(key))
        return described(await self._send(call), call)

    async def list_page(
        self,
        prefix: str = "",
        *,
        delimiter: str = "",
        max_keys: int = 1000,
        token: str | None = None,
        start_after: str = "",
    ) -> ListPage:
        """One page of a listing."""
        query = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", str(max_keys))]
        query += [("prefix", prefix)] if prefix else []
        query += [("delimiter", delimiter)] if delimiter else []
        query += [("continuation-token", token)] if token else []
        query += [("start-after", start_after)] if start_after and not token else []
        call = Call("ListObjectsV2", "GET", prefix, query=tuple(query))
        asked = Question(prefix, delimiter, max_keys, token)
        page = await self._pages.judge(await self._send(call), call, asked)
        progress()
        return page

    async def put(
        self,
        key: str,
        body: Body,
        attributes: Attributes,
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """Create or replace an object as a whole."""
        return await self._write(put_call(key, body, attributes, expected), expected)

    async def append(
        self,
        key: str,
        body: Body,
        *,
        expected: Belief = UNKNOWN,
        attributes: Attributes | None = None,
    ) -> Written:
        """Add bytes to an object's end; repeated only where nothing was done."""
        return await self._write(append_call(key, body, expected, attributes), expected)

    async def compose(self, key: str, components: Sequence[str], attributes: Attributes) -> Written:
        """Make an object of 1 to 32 objects of this bucket, in order."""
        return await self._write(compose_call(key, components, attributes))

    async def copy(
        self,
        source: str,
        target: str,
        attributes: Attributes | None = None,
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """CopyObject; with `attributes` they replace the source's."""
        call = copy_call(self.bucket, source, target, attributes, expected)
        return (await receipt_in_body(await self._send_believing(call, expected), call))[1]

    async def delete(self, key: str, *, expected: Belief = UNKNOWN) -> bool:
        """Delete an object; a missing one is no error."""
        try:
            await self._send(delete_call(key, expected))
        except NoSuchBucket:
            raise
        except NotFound:
            if expected is UNKNOWN:
                raise
            return False
        return True

    async def delete_many(self, keys: Mapping[str, Belief]) -> dict[str, str]:
        """Delete any number of objects; returns the error code of each key that failed."""
        failed: dict[str, str] = {}
        plain = [(key, etag_of(belief)) for key, belief in keys.items() if xml.is_text(key)]
        for start in range(0, len(plain), dialect.MAX_DELETE_MANY):
            call = delete_many_call(plain[start : start + dialect.MAX_DELETE_MANY])
            answer, _ = await receipt_in_body(await self._send(call), call)
            failed |= failed_keys(answer, keys, call)
            progress()
        # With a condition, what is gone already is told as an error; it is none.
        failed = {key: code for key, code in failed.items() if code != "NoSuchKey"}
        for key, belief in keys.items() if len(plain) < len(keys) else ():
            if not xml.is_text(key):
                try:
                    await self.delete(key, expected=belief)
                except StoreError as error:
                    failed[key] = error.code or str(error.status)
        return failed

    async def create_multipart(self, key: str, attributes: Attributes) -> str:
        """Begin a multipart upload; returns its upload id."""
        call = create_multipart_call(key, attributes)
        root, _ = await receipt_in_body(await self._send(call), call)
        return upload_id(root, call)

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body) -> Part:
        """Send one part; all but the last must have at least 5 MiB."""
        query = (("partNumber", str(number)), ("uploadId", upload_id))
        call = Call("UploadPart", "PUT", key, quote_key(key), query, body=body)
        return Part(number, part_etag(await receipt(await self._send(call), call), call))

    async def upload_part_copy(
        self,
        key: str,
        upload_id: str,
        number: int,
        source: str,
        *,
        first: int,
        last: int,
        expected: Belief = UNKNOWN,
    ) -> Part:
        """Make a part of the bytes `first` to `last` of another object."""
        call = part_copy_call(
            self.bucket, key, (upload_id, number), source, (first, last), expected
        )
        _, written = await receipt_in_body(await self._send_believing(call, expected), call)
        return Part(number, part_etag(written, call))

    async def complete_multipart(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[Part],
        *,
        expected: Belief = UNKNOWN,
    ) -> Written:
        """Publish the upload as the object."""
        call = complete_call(key, upload_id, parts, expected)
        try:
            return (await receipt_in_body(await self._send_believing(call, expected), call))[1]
        except NoSuchUpload:
            if call.once:
                raise
            # An earlier attempt whose answer was lost may have published it.
            etag = multipart_etag(parts)
            if etag and (await self.head(key)).etag == etag:
                return Written(etag, "")
            raise

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Drop an upload and its parts; a missing one is no error."""
        query = (("uploadId", upload_id),)
        try:
            await self._send(Call("AbortMultipartUpload", "DELETE", key, quote_key(key), query))
        except NotFound:
            return

    async def list_uploads(self, prefix: str) -> list[Upload]:
        """Up to 1,000 uploads that are neither completed nor aborted, of keys below `prefix`."""
        query = (("uploads", ""), ("encoding-type", "url"), ("prefix", prefix))
        call = Call("ListMultipartUploads", "GET", prefix, query=query)
        return await judge_uploads(await self._send(call), call, prefix)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()
