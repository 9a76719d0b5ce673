# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Content-MD5 and x-amz-checksum-*: computed over a body as it arrives, compared at its end."""

import base64
import hashlib
import zlib
from collections.abc import Mapping
from typing import Protocol

from kontenumfs.emulator.errors import S3Error

PREFIX = "x-amz-checksum-"


class Checksum(Protocol):
    """What hashlib's objects have of use here."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take more bytes."""

    def digest(self) -> bytes:
        """The value so far."""


class CRC32:
    """zlib's CRC-32."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        """Take more bytes."""
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        """Four bytes, big-endian."""
        return self._value.to_bytes(4, "big")


class TableCRC:
    """Any reflected CRC, a byte at a time: slow (some MB/s), for nothing in the library has it.

    Args:
        polynomial: in reflected form.
        size: bytes of the value.
    """

    def __init__(self, polynomial: int, size: int) -> None:
        self._table = []
        for byte in range(256):
            for _ in range(8):
                byte = byte >> 1 ^ (polynomial if byte & 1 else 0)
            self._table.append(byte)
        self._size = size
        self._all_ones = (1 << 8 * size) - 1
        self._value = self._all_ones

    def update(self, data: bytes | memoryview, /) -> None:
        """Take more bytes."""
        value, table = self._value, self._table
        for byte in data:
            value = table[(value ^ byte) & 255] ^ value >> 8
        self._value = value

    def digest(self) -> bytes:
        """The value, big-endian."""
        return (self._value ^ self._all_ones).to_bytes(self._size, "big")


def new_checksum(name: str) -> Checksum | None:
    """A checksum by AWS's name in lower case, or None for an unknown one."""
    match name:
        case "crc32":
            return CRC32()
        case "crc32c":
            return TableCRC(0x82F63B78, 4)
        case "crc64nvme":
            return TableCRC(0x9A6C9329AC4BC9B5, 8)
        case "sha1" | "sha256":
            return hashlib.new(name)
    return None


def announced(headers: Mapping[str, str]) -> list[str]:
    """The names of the checksum headers and trailers of a request."""
    names = [name.removeprefix(PREFIX) for name in headers if name.startswith(PREFIX)]
    trailers = headers.get("x-amz-trailer", "").lower().split(",")
    names += [name.strip().removeprefix(PREFIX) for name in trailers if name.strip()]
    return [name for name in names if name not in ("algorithm", "type", "mode")]


class Digests:
    """All that is computed over one body, but its MD5, which has a thread of its own.

    Args:
        headers: of the request.
        payload: what x-amz-content-sha256 announced.

    Raises:
        S3Error: a checksum that does not exist, or more than one.
    """

    def __init__(self, headers: Mapping[str, str], payload: str) -> None:
        self.sha256 = hashlib.sha256() if len(payload) == 64 else None
        names = announced(headers)
        if len(names) > 1:
            raise S3Error("InvalidRequest", "Expecting a single x-amz-checksum- header")
        self.checksums: dict[str, Checksum] = {}
        for name in names:
            checksum = new_checksum(name)
            if checksum is None:
                raise S3Error("InvalidRequest", "The algorithm type of the checksum is invalid.")
            self.checksums[name] = checksum

    def update(self, data: bytes | memoryview) -> None:
        """Take more bytes."""
        if self.sha256 is not None:
            self.sha256.update(data)
        for checksum in self.checksums.values():
            checksum.update(data)

    def check(self, headers: Mapping[str, str], payload: str, md5: bytes) -> dict[str, str]:
        """Compare with what the headers, and the trailers among them, say.

        Returns:
            The checksums in base64, by name.

        Raises:
            S3Error: any does not match, or a trailer did not come.
        """
        if self.sha256 is not None and self.sha256.hexdigest() != payload:
            raise S3Error("XAmzContentSHA256Mismatch")
        told_md5 = headers.get("content-md5")
        if told_md5 is not None and decoded_md5(told_md5) != md5:
            raise S3Error("BadDigest")
        found: dict[str, str] = {}
        for name, checksum in self.checksums.items():
            told = headers.get(PREFIX + name)
            if told is None:
                raise S3Error("MalformedTrailerError")
            found[name] = base64.b64encode(checksum.digest()).decode()
            if told != found[name]:
                raise S3Error("BadDigest", f"The {name.upper()} you specified did not match.")
        return found


def decoded_md5(text: str) -> bytes:
    """The 16 bytes that Content-MD5 says; raises S3Error."""
    try:
        digest = base64.b64decode(text, validate=True)
    except ValueError:
        raise S3Error("InvalidDigest") from None
    if len(digest) != 16:
        raise S3Error("InvalidDigest")
    return digest
