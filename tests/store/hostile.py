# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A hostile store: for each kind of broken answer what it says, and what may come of it.

docs/reliability.md has a table of these, and a test holds it to them.
"""

import gzip
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from kontenumfs.protocol import errors as e
from kontenumfs.store.api import Attributes, Part
from kontenumfs.store.beliefs import UNKNOWN, Version
from kontenumfs.store.client import HTTPStore
from tests.store.loopback import Peer

ETAG = b'ETag: "0123456789abcdef0123456789abcdef"\r\n'
MODIFIED = b"Last-Modified: Wed, 01 Jul 2026 00:00:00 GMT\r\n"
UNEXPECTED = (e.UnexpectedAnswer,)
LOST = (e.AnswerLost, e.DeadlineExceeded)
"""Framing that cannot be read: a safe request is tried again until the deadline."""
PREFIX = "mine/"
FOREIGN = "theirs/precious"

Verb = Callable[[HTTPStore], Awaitable[object]]


async def put(store: HTTPStore) -> object:
    """PutObject."""
    return await store.put(PREFIX + "k", [b"data"], Attributes())


async def put_large(store: HTTPStore) -> object:
    """PutObject of more than a socket takes."""
    return await store.put(PREFIX + "k", [bytes(32 << 20)], Attributes())


async def append(store: HTTPStore) -> object:
    """AppendObject."""
    return await store.append(PREFIX + "k", [b"data"])


async def compose(store: HTTPStore) -> object:
    """ComposeObject."""
    return await store.compose(PREFIX + "k", [PREFIX + "a"], Attributes())


async def copy(store: HTTPStore) -> object:
    """CopyObject."""
    return await store.copy(PREFIX + "a", PREFIX + "k")


async def begin(store: HTTPStore) -> object:
    """CreateMultipartUpload."""
    return await store.create_multipart(PREFIX + "k", Attributes())


async def part(store: HTTPStore) -> object:
    """UploadPart."""
    return await store.upload_part(PREFIX + "k", "u", 1, [b"data"])


async def part_copy(store: HTTPStore) -> object:
    """UploadPartCopy."""
    return await store.upload_part_copy(PREFIX + "k", "u", 1, PREFIX + "a", first=0, last=9)


async def complete(store: HTTPStore) -> object:
    """CompleteMultipartUpload."""
    return await store.complete_multipart(PREFIX + "k", "u", [Part(1, "x")])


async def abort(store: HTTPStore) -> object:
    """AbortMultipartUpload."""
    await store.abort_multipart(PREFIX + "k", "u")
    return None


async def delete(store: HTTPStore) -> object:
    """DeleteObject."""
    await store.delete(PREFIX + "k")
    return None


async def delete_if(store: HTTPStore) -> object:
    """DeleteObject of what is believed to be there: False where it had gone before."""
    return await store.delete(PREFIX + "k", expected=Version("e", 7))


async def delete_many(store: HTTPStore) -> object:
    """DeleteObjects."""
    return await store.delete_many({PREFIX + "k": UNKNOWN})


async def head(store: HTTPStore) -> object:
    """HeadObject."""
    return await store.head(PREFIX + "k")


async def listing(store: HTTPStore) -> object:
    """ListObjectsV2, all pages."""
    found: list[str] = []
    token: str | None = None
    while True:
        page = await store.list_page(PREFIX, delimiter="/", token=token)
        found += [info.key for info in page.objects] + list(page.prefixes)
        token = page.next_token
        if token is None:
            return found


async def exists(store: HTTPStore) -> object:
    """ListObjectsV2 of one key."""
    return await store.list_page(PREFIX, max_keys=1)


async def uploads(store: HTTPStore) -> object:
    """ListMultipartUploads."""
    return await store.list_uploads(PREFIX)


RECEIVING: tuple[Verb, ...] = (put, append, compose, part)
"""Requests whose receipt is an ETag in the head."""
VERBS: tuple[Verb, ...] = (
    *RECEIVING,
    *(copy, begin, part_copy, complete, abort),
    *(delete, delete_if, delete_many, head, listing, exists, uploads),
)
"""Every kind of request."""
ONCE = (append, delete_if)
"""Those that are never sent a second time, once the store may have heard them."""


def answer(status: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    """An answer whose length is right."""
    length = b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + b"".join(headers) + length + b"\r\n" + body


def page(*entries: bytes, token: bytes = b"", more: bytes = b"") -> bytes:
    """A page of a listing."""
    next_token = (
        b"<IsTruncated>true</IsTruncated><NextContinuationToken>%s</NextContinuationToken>" % token
    )
    inside = (next_token if token else b"") + more + b"".join(entries)
    body = b"<ListBucketResult>" + inside + b"</ListBucketResult>"
    return answer(b"200 OK", body=body)


def entry(key: bytes, *, size: bytes = b"7", modified: bytes = b"2026-07-01T00:00:00Z") -> bytes:
    """One entry of a listing."""
    return (
        b"<Contents><Key>%s</Key><Size>%s</Size><LastModified>%s</LastModified>"
        b"<ETag>&quot;e&quot;</ETag></Contents>" % (key, size, modified)
    )


def common(prefix: bytes) -> bytes:
    """A common prefix of a listing."""
    return b"<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>" % prefix


GOOD = entry(b"mine/good")


@dataclass(frozen=True)
class Kind:
    """One kind of broken answer.

    Args:
        group: where it stands in the table.
        name: what the store does.
        verb: the request that it is tried on.
        said: the answers, one a request; the last one repeats. A callable is a script.
        errors: what the caller may get; nothing where the outcome is right.
        outcome: what the table says of it.
        result: what a right outcome is, as far as it can be said.
        also: other requests to which the answer is a good one.
    """

    group: str
    name: str
    verb: Verb
    said: Sequence[bytes] | Callable[[Peer], Awaitable[None]]
    errors: tuple[type[e.KontenumError], ...] = UNEXPECTED
    outcome: str = "refused"
    result: object = None
    also: tuple[Verb, ...] = ()

    def fits(self, verb: Verb) -> bool:
        """Whether the answer is a good one to such a request."""
        return verb in self.also or (verb is self.verb and not self.errors)

    @property
    def says_missing(self) -> bool:
        """Whether S3 itself says so that something is not there."""
        said = () if callable(self.said) else self.said
        return any(b"NoSuch" in one or (b" 404 " in one and b"x-amz-" in one) for one in said)

    @property
    def is_slow(self) -> bool:
        """Whether it ends at the deadline, for it is tried again until then."""
        return e.DeadlineExceeded in self.errors

    async def play(self, peer: Peer, asked: list[bytes]) -> None:
        """Be the store on one connection; `asked` has the requests' heads so far."""
        if callable(self.said):
            await self.said(peer)
            return
        while head := await peer.request():
            await peer.say(self.said[min(len(asked), len(self.said) - 1)])
            asked.append(head)
            if self.is_slow:
                return  # what is half ends there


def lost(group: str, name: str, verb: Verb, *said: bytes) -> Kind:
    """A kind whose answer is as good as none."""
    return Kind(group, name, verb, said, LOST, "as a lost answer")


def right(
    name: str,
    verb: Verb,
    *said: bytes,
    group: str,
    result: object = None,
    also: tuple[Verb, ...] = (),
) -> Kind:
    """A kind that does no harm."""
    return Kind(group, name, verb, said, (), "the rest is used", result, also)


async def dripping(peer: Peer) -> None:
    """A body that comes a byte at a time, and never ends."""
    await peer.request()
    await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
    while True:
        await peer.say(b" ")
        await trio.sleep(0.05)


async def dripping_head(peer: Peer) -> None:
    """A head that comes a byte at a time, and never ends."""
    await peer.request()
    await peer.say(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        await peer.say(b"a")
        await trio.sleep(0.05)


async def silent(peer: Peer) -> None:
    """No answer."""
    await peer.request()
    await trio.sleep_forever()


async def endless(peer: Peer) -> None:
    """A body without end."""
    await peer.request()
    await peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await peer.say(b"10000\r\n" + b" " * 65536 + b"\r\n")


async def half(peer: Peer) -> None:
    """A success to half of a body, and the end."""
    await peer.head()
    await peer.say(answer(b"200 OK", ETAG))


async def endless_tokens(peer: Peer) -> None:
    """Pages that are all the same, each with a new token."""
    number = 0
    while await peer.request():
        number += 1
        await peer.say(page(GOOD, token=b"t%d" % number))


async def old_pages(peer: Peer) -> None:
    """Three pages in turn, each with a new token."""
    number = 0
    while await peer.request():
        number += 1
        await peer.say(page(entry(b"mine/%d" % (number % 3)), token=b"t%d" % number))


async def endless_empty(peer: Peer) -> None:
    """Empty pages, each with a new token."""
    number = 0
    while await peer.request():
        number += 1
        await peer.say(page(token=b"t%d" % number))


FRAMING = "Framing"
LENGTHS = "Length and time"
ENCODING = "Encoding"
LISTINGS = "Listings"
DATES = "Sizes, dates, ETags"
RECEIPTS = "Receipts"
ERRORS = "Errors and redirects"
BOTH = b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"
FLOOD = b"HTTP/1.1 102 Processing\r\n\r\n" * 100
NESTED = b"<a>" * 5000 + b"</a>" * 5000
MANY = b"<ListBucketResult>" + b"<a/>" * 400_000 + b"</ListBucketResult>"
WIDE = b"<ListBucketResult %s/>" % b" ".join(b"a%d=''" % n for n in range(400_000))
ENTITIES = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><ListBucketResult>&a;</ListBucketResult>'
BOMB = gzip.compress(bytes(256 << 20), 1)
UTF7 = b'<?xml version="1.0" encoding="utf-7"?><ListBucketResult/>'
LATE = b"<Error><Code>InternalError</Code><Message>no</Message></Error>"
UPLOAD = b"<Upload><Key>%s</Key><UploadId>%s</UploadId></Upload>"
UPLOADS = b"<ListMultipartUploadsResult>%s</ListMultipartUploadsResult>"
DIRTY = (
    b"<Error><Code>AccessDenied</Code><Message>a\nb\xc2\x9b31m\xe2\x80\xae"
    + b"x" * 5000
    + b"</Message></Error>"
)
HTML = b"<html><body>please log in</body></html>"
PAGE = b"Content-Type: text/html; charset=utf-8\r\n"
BEGUN = (
    b"<InitiateMultipartUploadResult><Key>%s</Key><UploadId>%s</UploadId>"
    b"</InitiateMultipartUploadResult>"
)
DONE = b"<CompleteMultipartUploadResult><Key>%s</Key><ETag>e</ETag></CompleteMultipartUploadResult>"
DELETED = b"<DeleteResult><Deleted><Key>%s</Key></Deleted></DeleteResult>"
COPIED = b"<CopyPartResult><ETag>%s</ETag></CopyPartResult>"


def headed(*changes: bytes, without: bytes = b"") -> bytes:
    """A HEAD's answer with lines in place of its usual ones."""
    lines = [b"Content-Length: 7\r\n", ETAG, MODIFIED]
    kept = [line for line in lines if line.split(b":")[0] not in without.split(b",")]
    return b"HTTP/1.1 200 OK\r\n" + b"".join(kept) + b"".join(changes) + b"\r\n"


KINDS = [
    # Framing
    lost(FRAMING, "something else than HTTP", put, b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    lost(FRAMING, "nothing at all, and the end", append, b""),
    lost(FRAMING, "half a head", put, b"HTTP/1.1 200 OK\r\nContent-"),
    lost(FRAMING, "half a body", listing, page(GOOD)[:-20]),
    lost(
        FRAMING,
        "half a chunk",
        copy,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nx",
    ),
    lost(
        FRAMING,
        "a chunk without a size",
        copy,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ),
    lost(
        FRAMING,
        "two different Content-Length",
        put,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
    ),
    lost(
        FRAMING,
        "Content-Length and Transfer-Encoding",
        put,
        b"HTTP/1.1 200 OK\r\n" + ETAG + BOTH + b"\r\n2\r\nok\r\n0\r\n\r\n",
    ),
    lost(
        FRAMING,
        "an unknown Transfer-Encoding",
        put,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    ),
    lost(
        FRAMING,
        "a Content-Length that is no number",
        put,
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    ),
    lost(
        FRAMING,
        "a Content-Length of 30 digits",
        put,
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n",
    ),
    lost(FRAMING, "a status of four digits", put, b"HTTP/1.1 2000 OK\r\n\r\n"),
    lost(
        FRAMING,
        "101 Switching Protocols",
        put,
        b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ),
    lost(FRAMING, "interim answers without end", put, FLOOD + answer(b"200 OK", ETAG)),
    lost(
        FRAMING,
        "a thousand header lines",
        put,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + ETAG + b"Content-Length: 0\r\n\r\n",
    ),
    lost(
        FRAMING,
        "a head of a mebibyte",
        put,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * (1 << 20) + b"\r\n\r\n",
    ),
    lost(
        FRAMING,
        "a NUL in a header",
        put,
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    ),
    Kind(
        FRAMING,
        "a success to half of a request",
        put_large,
        half,
        LOST,
        "as a lost answer",
        also=RECEIVING,
    ),
    right(
        "bytes left over after an answer",
        put,
        answer(b"200 OK", ETAG) + answer(b"200 OK", ETAG),
        group=FRAMING,
        also=RECEIVING,
    ),
    right("a body in the answer to a HEAD", head, headed() + b"overrun", group=FRAMING),
    # Length and time
    Kind(LENGTHS, "no answer", put, silent, LOST, "ends at the deadline"),
    Kind(LENGTHS, "a body that drips", listing, dripping, LOST, "ends at the deadline"),
    Kind(LENGTHS, "a head that drips", head, dripping_head, LOST, "ends at the deadline"),
    Kind(LENGTHS, "a body without end", listing, endless),
    Kind(
        LENGTHS,
        "a receipt of ten gigabytes",
        put,
        [b"HTTP/1.1 200 OK\r\n" + ETAG + b"Content-Length: 10000000000\r\n\r\n"],
    ),
    Kind(
        LENGTHS,
        "a listing of a hundred megabytes",
        listing,
        [b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"],
    ),
    Kind(
        LENGTHS,
        "an error page of a gigabyte",
        delete,
        [b"HTTP/1.1 403 No\r\nContent-Length: 1000000000\r\n\r\n"],
        (e.AccessDenied,),
        "judged by its status",
    ),
    Kind(LENGTHS, "elements 5,000 deep", listing, [answer(b"200 OK", body=NESTED)]),
    Kind(LENGTHS, "400,000 elements", listing, [answer(b"200 OK", body=MANY)]),
    Kind(LENGTHS, "400,000 attributes", listing, [answer(b"200 OK", body=WIDE)]),
    # Encoding
    Kind(
        ENCODING,
        "a gzip bomb",
        listing,
        [answer(b"200 OK", b"Content-Encoding: gzip\r\n", body=BOMB)],
    ),
    Kind(
        ENCODING,
        "an honest gzip of a listing",
        listing,
        [
            answer(
                b"200 OK", b"Content-Encoding: gzip\r\n", body=gzip.compress(b"<ListBucketResult/>")
            )
        ],
    ),
    Kind(
        ENCODING,
        "a deflated error",
        delete,
        [answer(b"403 No", b"Content-Encoding: deflate\r\n", body=b"x\x9c\x03\0")],
        (e.AccessDenied,),
        "judged by its status",
    ),
    Kind(ENCODING, "a document type with entities", listing, [answer(b"200 OK", body=ENTITIES)]),
    Kind(ENCODING, "UTF-7", listing, [answer(b"200 OK", body=UTF7)]),
    Kind(ENCODING, "bytes that are no UTF-8", listing, [page(entry(b"mine/\xff"))]),
    Kind(ENCODING, "a web page", listing, [answer(b"200 OK", body=HTML)]),
    Kind(ENCODING, "JSON", copy, [answer(b"200 OK", body=b'{"ok": true}')]),
    right(
        "a charset of metadata that nobody knows",
        head,
        headed(b"x-amz-meta-a: =?undefined?Q?x?=\r\n"),
        group=ENCODING,
    ),
    right(
        "a lone surrogate in metadata",
        head,
        headed(b"x-amz-meta-a: =?unicode_escape?Q?=5Cud800?=\r\n"),
        group=ENCODING,
    ),
    # Listings
    Kind(LISTINGS, "keys outside of the prefix", listing, [page(GOOD, entry(FOREIGN.encode()))]),
    Kind(
        LISTINGS,
        "the answer to another prefix, and empty",
        listing,
        [page(more=b"<Prefix>theirs/</Prefix>")],
    ),
    Kind(LISTINGS, "prefixes outside of the prefix", listing, [page(common(b"theirs/"))]),
    Kind(LISTINGS, "prefixes without the delimiter", listing, [page(common(b"mine/dir"))]),
    Kind(
        LISTINGS, "keys behind the delimiter", listing, [page(entry(b"mine/a/b/c"))], also=(exists,)
    ),
    Kind(
        LISTINGS,
        "more entries than asked for",
        exists,
        [page(GOOD, entry(b"mine/h"))],
        also=(listing,),
    ),
    Kind(
        LISTINGS, "a page that leads to itself", listing, [page(GOOD, token=b"t")], also=(exists,)
    ),
    Kind(
        LISTINGS,
        "pages in a circle",
        listing,
        [
            page(GOOD, token=b"a"),
            *[page(entry(b"mine/x"), token=b"b"), page(GOOD, token=b"a")] * 20,
        ],
        also=(exists,),
    ),
    Kind(
        LISTINGS,
        "new tokens and no new key",
        listing,
        endless_tokens,
        outcome="refused after 32 pages",
        also=(exists,),
    ),
    Kind(
        LISTINGS,
        "old pages in turn, with new tokens",
        listing,
        old_pages,
        outcome="refused after 32 pages",
        also=(exists,),
    ),
    Kind(
        LISTINGS,
        "empty pages without end",
        listing,
        endless_empty,
        outcome="refused after 32 pages",
        also=(exists,),
    ),
    Kind(
        LISTINGS,
        "truncated, and no way to go on",
        listing,
        [page(GOOD, more=b"<IsTruncated>true</IsTruncated>")],
    ),
    Kind(LISTINGS, "a token of a mebibyte", listing, [page(GOOD, token=b"t" * (1 << 20))]),
    Kind(
        LISTINGS,
        "uploads of other keys",
        uploads,
        [answer(b"200 OK", body=UPLOADS % (UPLOAD % (FOREIGN.encode(), b"u")))],
    ),
    Kind(
        LISTINGS,
        "an upload without an id",
        uploads,
        [answer(b"200 OK", body=UPLOADS % (UPLOAD % (b"mine/k", b"")))],
    ),
    right("one key twice", listing, page(GOOD, GOOD), group=LISTINGS, result=["mine/good"]),
    # Sizes, dates, ETags
    right(
        "one entry of a negative size",
        listing,
        page(GOOD, entry(b"mine/b", size=b"-1")),
        group=DATES,
        result=["mine/good"],
    ),
    right(
        "one entry without a size",
        listing,
        page(GOOD, entry(b"mine/b", size=b"")),
        group=DATES,
        result=["mine/good"],
    ),
    right(
        "one entry larger than any object",
        listing,
        page(GOOD, entry(b"mine/b", size=b"9" * 15)),
        group=DATES,
        result=["mine/good"],
    ),
    right(
        "one entry changed on no day",
        listing,
        page(GOOD, entry(b"mine/b", modified=b"31 June")),
        group=DATES,
        result=["mine/good", "mine/b"],
    ),
    Kind(DATES, "nothing but entries without a size", listing, [page(entry(b"mine/b", size=b"x"))]),
    Kind(
        DATES, "the one key asked for, without a size", exists, [page(entry(b"mine/b", size=b"x"))]
    ),
    Kind(DATES, "a HEAD without a length", head, [headed(without=b"Content-Length")]),
    Kind(
        DATES,
        "a HEAD of nine petabytes",
        head,
        [headed(b"Content-Length: 9000000000000000\r\n", without=b"Content-Length")],
    ),
    Kind(
        DATES,
        "a HEAD changed in 9999",
        head,
        [headed(b"Last-Modified: Fri, 31 Dec 9999 23:59:59 GMT\r\n", without=b"Last-Modified")],
    ),
    Kind(
        DATES,
        "a HEAD changed on no day",
        head,
        [headed(b"Last-Modified: yesterday\r\n", without=b"Last-Modified")],
    ),
    Kind(
        DATES,
        "an ETag of four kilobytes",
        head,
        [headed(b'ETag: "' + b"e" * 4096 + b'"\r\n', without=b"ETag")],
    ),
    Kind(
        DATES,
        "a 403 of the year 9999",
        head,
        [answer(b"403 No", b"Date: Fri, 31 Dec 9999 23:59:59 GMT\r\n")],
        (e.AccessDenied,),
        "told; our clock stays",
    ),
    Kind(
        DATES,
        "a refused time of the year 2030",
        put,
        [
            answer(
                b"403 No",
                b"Date: Tue, 01 Jan 2030 00:00:00 GMT\r\n",
                body=b"<Error><Code>RequestTimeTooSkewed</Code></Error>",
            )
        ],
        (e.RequestTimeTooSkewed,),
        "told; our clock stays",
    ),
    right(
        "a Date that is none",
        put,
        answer(b"200 OK", ETAG, b"Date: -99999999999\r\n"),
        group=DATES,
        also=RECEIVING,
    ),
    # Receipts
    Kind(RECEIPTS, "an empty 200 to a put", put, [answer(b"200 OK")]),
    Kind(RECEIPTS, "an empty 200 to an append", append, [answer(b"200 OK")]),
    Kind(RECEIPTS, "an empty 200 to a compose", compose, [answer(b"200 OK")]),
    Kind(RECEIPTS, "an empty 200 to a part", part, [answer(b"200 OK")]),
    Kind(RECEIPTS, "an empty 200 to a copied part", part_copy, [answer(b"200 OK")]),
    Kind(RECEIPTS, "an empty 200 to a copy", copy, [answer(b"200 OK")]),
    Kind(RECEIPTS, "an empty 200 to a beginning upload", begin, [answer(b"200 OK")]),
    Kind(RECEIPTS, "an empty 200 to a completed upload", complete, [answer(b"200 OK")]),
    Kind(RECEIPTS, "an empty 200 to deletions", delete_many, [answer(b"200 OK")]),
    Kind(RECEIPTS, "an empty 200 to a deletion", delete, [answer(b"200 OK")]),
    Kind(RECEIPTS, "a page to a deletion", delete, [answer(b"200 OK", body=HTML)]),
    Kind(
        RECEIPTS,
        "204 to a put",
        put,
        [b"HTTP/1.1 204 No Content\r\n" + ETAG + b"\r\n"],
        also=(abort, delete, delete_if),
    ),
    Kind(RECEIPTS, "206 to a HEAD", head, [headed().replace(b"200 OK", b"206 Partial")]),
    Kind(RECEIPTS, "202 to a deletion", delete, [answer(b"202 Accepted")]),
    Kind(RECEIPTS, "an ETag that is none", put, [answer(b"200 OK", b"ETag: <b>no</b> x\r\n")]),
    Kind(
        RECEIPTS,
        "the receipt of another verb",
        copy,
        [answer(b"200 OK", body=b"<DeleteResult/>")],
        also=(delete_many,),
    ),
    Kind(
        RECEIPTS,
        "a deletion of what was not to be deleted",
        delete_many,
        [
            answer(
                b"200 OK",
                body=b"<DeleteResult><Error><Key>theirs/precious</Key><Code>X</Code></Error></DeleteResult>",
            )
        ],
    ),
    Kind(RECEIPTS, "a page with an ETag", put, [answer(b"200 OK", ETAG, PAGE, body=HTML)]),
    Kind(RECEIPTS, "an error with an ETag", part, [answer(b"200 OK", ETAG, body=LATE)]),
    Kind(RECEIPTS, "two ETags", put, [answer(b"200 OK", ETAG, b'ETag: "other"\r\n')]),
    Kind(
        RECEIPTS,
        "an empty ETag of a part",
        part,
        [answer(b"200 OK", b'ETag: ""\r\n')],
        also=(put, append, compose),
    ),
    Kind(RECEIPTS, "no ETag of a copied part", part_copy, [answer(b"200 OK", body=COPIED % b"")]),
    Kind(RECEIPTS, "an empty 200 to an aborted upload", abort, [answer(b"200 OK")]),
    Kind(
        RECEIPTS,
        "an upload of another key begins",
        begin,
        [answer(b"200 OK", body=BEGUN % (FOREIGN.encode(), b"u"))],
    ),
    Kind(
        RECEIPTS,
        "an upload's id in two lines",
        begin,
        [answer(b"200 OK", body=BEGUN % (b"mine/k", b"a\nb"))],
    ),
    Kind(
        RECEIPTS,
        "an upload of another key is complete",
        complete,
        [answer(b"200 OK", body=DONE % FOREIGN.encode())],
    ),
    right(
        "an upload whose key is escaped is complete",
        complete,
        answer(b"200 OK", body=DONE % b"/mine%2Fk"),
        group=RECEIPTS,
    ),
    right(
        "a deletion that is told although it is as asked for",
        delete_many,
        answer(b"200 OK", body=DELETED % b"mine/k"),
        group=RECEIPTS,
    ),
    Kind(
        RECEIPTS,
        "a deletion that was not asked for",
        delete_many,
        [answer(b"200 OK", body=DELETED % FOREIGN.encode())],
    ),
    right(
        "a weak ETag", put, answer(b"200 OK", b'ETag: W/"abc"\r\n'), group=RECEIPTS, also=RECEIVING
    ),
    # Errors and redirects
    Kind(
        ERRORS,
        "an error in a 200",
        complete,
        [answer(b"200 OK", body=LATE)],
        (e.ServerError,),
        "an error",
    ),
    Kind(
        ERRORS,
        "a redirect to another host",
        put,
        [answer(b"307 Go", b"Location: http://127.0.0.1:1/x\r\n")],
        outcome="refused, not followed",
    ),
    Kind(
        ERRORS,
        "a redirect without a place",
        head,
        [answer(b"301 Moved")],
        outcome="refused, not followed",
    ),
    Kind(
        ERRORS,
        "a message that writes on terminals",
        delete,
        [answer(b"403 No", body=DIRTY)],
        (e.AccessDenied,),
        "one clean line",
    ),
    Kind(
        ERRORS, "a proxy's 404 page for a listing", listing, [answer(b"404 Not Found", body=HTML)]
    ),
    Kind(
        ERRORS,
        "a proxy's 404 page for an aborted upload",
        abort,
        [answer(b"404 Not Found", PAGE, body=HTML)],
    ),
    Kind(
        ERRORS,
        "a proxy's 404 page for a HEAD",
        head,
        [b"HTTP/1.1 404 Not Found\r\n" + PAGE + b"Content-Length: 900\r\n\r\n"],
    ),
    right(
        "an empty 404 of S3 to an aborted upload",
        abort,
        answer(b"404 Not Found", b"x-amz-request-id: 1\r\n"),
        group=ERRORS,
        also=(delete_if,),
    ),
    Kind(ERRORS, "an empty 404 to a deletion", delete_if, [answer(b"404 Not Found")]),
    Kind(
        ERRORS,
        "a wait of a thousand years",
        copy,
        [answer(b"503 Slow", b"Retry-After: 31536000000\r\n")],
        (e.Throttled,),
        "told at once",
    ),
    Kind(
        ERRORS,
        "NoSuchKey for a listing",
        listing,
        [answer(b"404 Not Found", body=b"<Error><Code>NoSuchKey</Code></Error>")],
        also=(abort, delete_if),
    ),
    Kind(
        ERRORS,
        "SlowDown to an append",
        append,
        [answer(b"503 Slow", body=b"<Error><Code>SlowDown</Code></Error>")],
        (e.Throttled,),
        "not repeated; the object is asked",
    ),
    right(
        "408 once",
        put,
        answer(b"408 Timeout"),
        answer(b"200 OK", ETAG),
        group=ERRORS,
        also=(part, compose),
    ),
    right("425 once", head, answer(b"425 Too Early"), headed(), group=ERRORS),
    right(
        "502 once, as a page",
        listing,
        answer(b"502 Bad", body=HTML),
        page(GOOD),
        group=ERRORS,
        result=["mine/good"],
        also=(exists,),
    ),
]


def table() -> str:
    """The kinds as docs/reliability.md has them."""
    lines = ["| | the store's answer | what comes of it |", "|---|---|---|"]
    last = ""
    for kind in KINDS:
        lines.append(
            f"| {'' if kind.group == last else kind.group} | {kind.name} | {kind.outcome} |"
        )
        last = kind.group
    return "\n".join(lines)
