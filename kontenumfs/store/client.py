# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The store over HTTP: one verb, one method."""

import ssl
from collections.abc import Sequence

import httpx

from kontenumfs.protocol import dialect, xml
from kontenumfs.protocol.errors import ConfigurationError, StoreError, UnexpectedAnswer
from kontenumfs.protocol.names import quote_key
from kontenumfs.protocol.signing import signer_for
from kontenumfs.store.api import Attributes, Body, ListPage, ObjectInfo, Part, Written
from kontenumfs.store.auth import S3Auth
from kontenumfs.store.keys import KeyRing
from kontenumfs.store.retry import Repeat, RetryPolicy
from kontenumfs.store.wire import Call, Endpoint, attribute_headers, build, described, exchange

USER_AGENT = "kontenumfs"
CONNECT_SECONDS = 10.0


def open_store(
    endpoint: Endpoint,
    bucket: str,
    keys: KeyRing,
    *,
    deadline: float = 60.0,
    connections: int = 16,
) -> "HTTPStore":
    """A store on one bucket; nothing is sent yet.

    Args:
        deadline: seconds that one operation may take, its repetitions included.
        connections: how many connections are open at most.

    Raises ConfigurationError when ca_file cannot be used.
    """
    virtual = bucket if endpoint.addressing == "virtual" else ""
    auth = S3Auth(signer_for(endpoint.signature, endpoint.region), keys, bucket_in_host=virtual)
    client = httpx.AsyncClient(
        auth=auth,
        verify=_trust(endpoint.ca_file) if endpoint.is_tls else False,
        trust_env=False,
        timeout=httpx.Timeout(deadline, connect=min(CONNECT_SECONDS, deadline)),
        limits=httpx.Limits(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=30
        ),
        headers={"user-agent": USER_AGENT, "accept-encoding": "identity"},
    )
    return HTTPStore(client, endpoint, bucket, RetryPolicy(deadline=deadline))


def _trust(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"ca_file {ca_file}: {error.strerror or error}", 8) from None


class HTTPStore:
    """One bucket of a Kontenum or S3 endpoint; see `store.api.Store` for the promises."""

    def __init__(
        self, client: httpx.AsyncClient, endpoint: Endpoint, bucket: str, retry: RetryPolicy
    ) -> None:
        self.bucket = bucket
        self._client = client
        self._endpoint = endpoint
        self._retry = retry

    async def _send(self, call: Call, repeat: Repeat = Repeat.ALWAYS) -> httpx.Response:
        async def attempt() -> httpx.Response:
            request = await build(self._client, self._endpoint, self.bucket, call)
            return await exchange(self._client, request, call)

        return await self._retry.run(attempt, repeat)

    async def head_bucket(self) -> None:
        """Return if the bucket exists and these keys may see it; tried once."""
        # GET with max-keys=0 tells the reason of a refusal; HEAD has no body to say it in.
        query = (("list-type", "2"), ("max-keys", "0"))
        await self._send(Call("ListObjectsV2", "GET", self.bucket, query=query), Repeat.NEVER)

    async def head(self, key: str) -> ObjectInfo:
        """Describe an object; raises NoSuchKey."""
        response = await self._send(Call("HeadObject", "HEAD", key, quote_key(key)))
        return described(key, response)

    async def list_page(
        self,
        prefix: str = "",
        *,
        delimiter: str = "",
        max_keys: int = 1000,
        token: str | None = None,
    ) -> ListPage:
        """One page of a listing."""
        query = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", str(max_keys))]
        query += [("prefix", prefix)] if prefix else []
        query += [("delimiter", delimiter)] if delimiter else []
        query += [("continuation-token", token)] if token else []
        response = await self._send(Call("ListObjectsV2", "GET", prefix, query=tuple(query)))
        listing = xml.parse_listing(response.content)
        objects = tuple(
            ObjectInfo(item.key, item.size, item.etag, item.last_modified)
            for item in listing.objects
        )
        return ListPage(objects, listing.prefixes, listing.next_token)

    async def put(
        self,
        key: str,
        body: Body,
        attributes: Attributes,
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
    ) -> Written:
        """Create or replace an object as a whole."""
        headers = attribute_headers(attributes) | _conditions(if_match)
        if if_none_match:
            headers["if-none-match"] = "*"
        call = Call("PutObject", "PUT", key, quote_key(key), headers=headers, body=body)
        return _receipt(await self._send(call))

    async def append(self, key: str, body: Body, *, if_match: str | None = None) -> Written:
        """Add bytes to an object's end; repeated only where nothing was done."""
        call = Call(
            "AppendObject",
            "PUT",
            key,
            quote_key(key),
            dialect.APPEND,
            _conditions(if_match),
            body,
        )
        return _receipt(await self._send(call, Repeat.UNSENT))

    async def compose(self, key: str, components: Sequence[str], attributes: Attributes) -> Written:
        """Make an object of 1 to 32 objects of this bucket, in order."""
        body = [xml.render_components(components)]
        headers = attribute_headers(attributes)
        call = Call("ComposeObject", "PUT", key, quote_key(key), dialect.COMPOSE, headers, body)
        # Where the target is among the components, doing it twice would double it.
        return _receipt(
            await self._send(call, Repeat.UNSENT if key in components else Repeat.ALWAYS)
        )

    async def copy(
        self,
        source: str,
        target: str,
        attributes: Attributes | None = None,
        *,
        if_match: str | None = None,
    ) -> Written:
        """CopyObject; with `attributes` they replace the source's."""
        headers = {"x-amz-copy-source": f"/{self.bucket}/{quote_key(source)}"}
        if attributes is not None:
            headers |= attribute_headers(attributes)
            headers["x-amz-metadata-directive"] = "REPLACE"
        if if_match:
            headers["x-amz-copy-source-if-match"] = f'"{if_match}"'
        call = Call("CopyObject", "PUT", target, quote_key(target), headers=headers)
        return _receipt_in_body(await self._send(call), call)

    async def delete(self, key: str) -> None:
        """Delete an object; a missing one is no error."""
        await self._send(Call("DeleteObject", "DELETE", key, quote_key(key)))

    async def delete_many(self, keys: Sequence[str]) -> dict[str, str]:
        """Delete any number of objects; returns the error code of each key that failed."""
        failed: dict[str, str] = {}
        for start in range(0, len(keys), dialect.MAX_DELETE_MANY):
            body = [xml.render_delete(keys[start : start + dialect.MAX_DELETE_MANY])]
            call = Call("DeleteObjects", "POST", query=(("delete", ""),), body=body, digest=True)
            answer = xml.parse((await self._send(call)).content)
            failed |= {item.get("Key"): item.get("Code") for item in answer.all("Error")}
        return failed

    async def create_multipart(self, key: str, attributes: Attributes) -> str:
        """Begin a multipart upload; returns its upload id."""
        call = Call(
            "CreateMultipartUpload",
            "POST",
            key,
            quote_key(key),
            (("uploads", ""),),
            attribute_headers(attributes),
        )
        upload_id = xml.parse((await self._send(call)).content).get("UploadId")
        if not upload_id:
            raise UnexpectedAnswer("no UploadId", operation=call.operation, resource=key)
        return upload_id

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body) -> Part:
        """Send one part; all but the last must have at least 5 MiB."""
        query = (("partNumber", str(number)), ("uploadId", upload_id))
        call = Call("UploadPart", "PUT", key, quote_key(key), query, body=body)
        return Part(number, _receipt(await self._send(call)).etag)

    async def upload_part_copy(
        self,
        key: str,
        upload_id: str,
        number: int,
        source: str,
        *,
        first: int,
        last: int,
        if_match: str | None = None,
    ) -> Part:
        """Make a part of the bytes `first` to `last` of another object."""
        headers = {
            "x-amz-copy-source": f"/{self.bucket}/{quote_key(source)}",
            "x-amz-copy-source-range": f"bytes={first}-{last}",
        }
        if if_match:
            headers["x-amz-copy-source-if-match"] = f'"{if_match}"'
        query = (("partNumber", str(number)), ("uploadId", upload_id))
        call = Call("UploadPartCopy", "PUT", key, quote_key(key), query, headers)
        return Part(number, _receipt_in_body(await self._send(call), call).etag)

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> Written:
        """Publish the upload as the object."""
        body = [xml.render_parts([(part.number, part.etag) for part in parts])]
        query = (("uploadId", upload_id),)
        call = Call("CompleteMultipartUpload", "POST", key, quote_key(key), query, body=body)
        return _receipt_in_body(await self._send(call), call)

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Drop an upload and its parts; a missing one is no error."""
        query = (("uploadId", upload_id),)
        try:
            await self._send(Call("AbortMultipartUpload", "DELETE", key, quote_key(key), query))
        except StoreError as error:
            if error.status != 404:
                raise

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()


def _conditions(if_match: str | None) -> dict[str, str]:
    return {"if-match": f'"{if_match}"'} if if_match else {}


def _receipt(response: httpx.Response) -> Written:
    headers = response.headers
    return Written(headers.get("etag", "").strip('"'), headers.get("x-amz-request-id", ""))


def _receipt_in_body(response: httpx.Response, call: Call) -> Written:
    """CopyObject and its kin answer 200 before they are done: the body may hold an error."""
    root = xml.parse(response.content)
    if root.tag == "Error":
        raise UnexpectedAnswer(
            root.get("Message"),
            code=root.get("Code"),
            status=response.status_code,
            operation=call.operation,
            resource=call.key,
        )
    return Written(root.get("ETag").strip('"'), response.headers.get("x-amz-request-id", ""))
