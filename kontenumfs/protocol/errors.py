# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The one exception tree: what a store, the wire or a writer can report.

::

    KontenumError
    ├── InternalError                 a defect of this program: the log has its traceback
    ├── StoreError                    the store answered with an error
    │   ├── AccessDenied              403, judged by its code
    │   │   ├── InvalidAccessKeyId
    │   │   ├── SignatureDoesNotMatch
    │   │   └── RequestTimeTooSkewed
    │   ├── NotFound                  404, the only one that means "does not exist"
    │   │   ├── NoSuchBucket
    │   │   ├── NoSuchKey
    │   │   └── NoSuchUpload
    │   ├── Conflict                  409
    │   │   └── BucketNotEmpty
    │   ├── PreconditionFailed        412
    │   ├── InvalidRequest            other 4xx: repeating it cannot help
    │   │   ├── TooManyAppends
    │   │   ├── EntityTooLarge
    │   │   └── KeyTooLong
    │   ├── Throttled                 429, 503, SlowDown: the store asks for patience
    │   ├── ServerError               other 5xx: the effect may or may not have taken place
    │   ├── NotImplementedByStore     501 and 405
    │   └── UnexpectedAnswer          an answer that is not what S3 documents
    ├── TransportError                there was no whole answer
    │   ├── NotSent                   the request never reached the store: safe to repeat
    │   │   ├── NameResolutionError
    │   │   └── TLSError
    │   ├── AnswerLost                sent, but no answer: the effect is unknown
    │   └── DeadlineExceeded
    ├── WriteError                    the write path's own verdicts
    │   ├── WriterConflict            another writer changed the object
    │   ├── OutcomeUnknown            a lost answer that cannot be decided
    │   ├── Unsupported               this store or version cannot do that
    │   └── FileTooLarge
    ├── FileError                     what POSIX says of a name or a handle
    │   ├── FileMissing
    │   ├── FileAlreadyExists
    │   ├── DirectoryNotEmpty
    │   ├── IsDirectory
    │   ├── NotDirectory
    │   ├── AttributeMissing          an extended attribute that the file lacks
    │   ├── AttributeUnsupported      one that no object can have
    │   ├── AttributesTooLarge        more of them than an object can carry
    │   ├── InvalidName               a name that cannot be a key
    │   ├── NameTooLong
    │   ├── NotPermitted
    │   ├── InvalidArgument
    │   ├── ReadDenied                reading is disabled by design
    │   └── StaleInode
    └── UserError                     a user's mistake: one line and an exit code, no traceback
        └── ConfigurationError        an option, a file of settings or a key that cannot be used

``fuse.errors`` maps each class to an errno, and a test proves that none is missing.
"""

import logging

log = logging.getLogger(__name__)


class KontenumError(Exception):
    """The root of every error that kontenumfs raises on purpose."""


class InternalError(KontenumError):
    """A defect of this program: what was being done has failed, and the mount goes on."""


def reported(error: Exception, what: str) -> KontenumError:
    """What the caller shall hear: `error` itself, where it was raised on purpose.

    Any other one is a defect: its traceback is logged with `what` failed by it, and an
    InternalError stands for it, which ends one operation and not the mount.
    """
    if isinstance(error, KontenumError):
        return error
    log.error("a defect, please report it: %s", what, exc_info=error)
    return InternalError(f"{what}: {type(error).__name__}, see the log")


class StoreError(KontenumError):
    """The store answered with an error.

    Args:
        message: the store's own words.
        code: the S3 error code, such as ``NoSuchKey``; empty where the answer had none (HEAD).
        status: the HTTP status.
        request_id: x-amz-request-id of the answer, for the vendor's support; may be empty.
        operation: the S3 name of the verb that failed, such as ``AppendObject``.
        resource: the object key or the bucket that was named.
        retry_after: seconds that the store asked to wait, or None.
    """

    def __init__(
        self,
        message: str = "",
        *,
        code: str = "",
        status: int = 0,
        request_id: str = "",
        operation: str = "",
        resource: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.request_id = request_id
        self.operation = operation
        self.resource = resource
        self.retry_after = retry_after

    def __str__(self) -> str:
        said = self.code or f"HTTP {self.status}"
        text = f"{self.operation or 'request'} {self.resource!r}: {said}"
        if self.message:
            text += f": {self.message}"
        if self.request_id:
            text += f" (request id {self.request_id})"
        return text


class AccessDenied(StoreError):
    """403: the key pair may not do this."""


class InvalidAccessKeyId(AccessDenied):
    """The access key is unknown or inactive."""


class SignatureDoesNotMatch(AccessDenied):
    """The secret key does not fit the access key (or the request was altered on its way)."""


class RequestTimeTooSkewed(AccessDenied):
    """The clocks of this machine and of the store differ by more than the store allows."""


class NotFound(StoreError):
    """404: the only answer that means "does not exist"."""


class NoSuchBucket(NotFound):
    """The bucket does not exist."""


class NoSuchKey(NotFound):
    """The object does not exist."""


class NoSuchUpload(NotFound):
    """The multipart upload does not exist: aborted, or completed."""


class Conflict(StoreError):
    """409: the state of the resource forbids it."""


class BucketNotEmpty(Conflict):
    """A bucket that holds objects is deleted only with force_delete."""


class PreconditionFailed(StoreError):
    """412: If-Match or If-None-Match did not hold."""


class InvalidRequest(StoreError):
    """4xx: the request itself is refused, and repeating it cannot help."""


class TooManyAppends(InvalidRequest):
    """The object has taken as many appends as the store allows."""


class EntityTooLarge(InvalidRequest):
    """The body or the object would be larger than the store allows."""


class KeyTooLong(InvalidRequest):
    """The key is longer than 1,024 bytes."""


class Throttled(StoreError):
    """429, 503, SlowDown: the store asks for patience; nothing was done."""


class ServerError(StoreError):
    """5xx: the effect may or may not have taken place."""


class NotImplementedByStore(StoreError):
    """501 or 405: the store does not know this verb."""


class UnexpectedAnswer(StoreError):
    """The answer is not what S3 documents, so nothing can be concluded from it."""


class TransportError(KontenumError):
    """There was no whole answer."""


class NotSent(TransportError):
    """The request never reached the store, so repeating it is safe."""


class NameResolutionError(NotSent):
    """The endpoint's host name does not resolve."""


class TLSError(NotSent):
    """The TLS handshake failed: name mismatch, unknown authority, expired certificate."""


class AnswerLost(TransportError):
    """The request was sent, at least in part, and no whole answer came: the effect is unknown."""


class DeadlineExceeded(TransportError):
    """The operation's deadline passed before an answer that settles it."""


class WriteError(KontenumError):
    """The write path's own verdicts."""


class WriterConflict(WriteError):
    """Another writer changed the object that this one was writing."""


class OutcomeUnknown(WriteError):
    """An answer was lost and the object's length does not tell whether the bytes are stored."""


class Unsupported(WriteError):
    """This store, or this version of the mount, cannot do that; nothing was changed."""


class FileTooLarge(WriteError):
    """The object would be larger than the store allows."""


class FileError(KontenumError):
    """What POSIX says of a name or a handle."""


class FileMissing(FileError):
    """There is no such name."""


class FileAlreadyExists(FileError):
    """The name is taken."""


class DirectoryNotEmpty(FileError):
    """The directory has entries."""


class IsDirectory(FileError):
    """The name is a directory, and a file is needed."""


class NotDirectory(FileError):
    """The name is a file, and a directory is needed."""


class AttributeMissing(FileError):
    """The file has no extended attribute of that name."""


class AttributeUnsupported(FileError):
    """No object can have an extended attribute of that name or value: ACLs, for one."""


class AttributesTooLarge(FileError):
    """All extended attributes together would be more than an object can carry."""


class InvalidName(FileError):
    """The name cannot be part of a key: S3 keys are UTF-8."""


class NameTooLong(FileError):
    """The name or the key that it makes is too long."""


class NotPermitted(FileError):
    """An object store has no such thing: links, devices, holes."""


class InvalidArgument(FileError):
    """The request makes no sense here."""


class ReadDenied(FileError):
    """Reading is disabled by design."""


class StaleInode(FileError):
    """The kernel names an inode that this mount does not know any more."""


class UserError(KontenumError):
    """A user's mistake: one line that names the thing and the cure, and an exit code of its own.

    Args:
        message: one line for stderr, without a secret.
        exit_code: what the process ends with.
    """

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ConfigurationError(UserError):
    """An option, a file of settings or a key that cannot be used."""
