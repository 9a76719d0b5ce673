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
    │   ├── PreconditionFailed        412: what was believed of the key is wrong
    │   │   └── ObjectVanished        404 where an object was expected
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
    │   │       └── NotPrivate        a secret would go over an open line
    │   ├── AnswerLost                sent, but no answer: the effect is unknown
    │   └── DeadlineExceeded
    ├── WriteError                    the write path's own verdicts
    │   ├── WriterConflict            another writer changed the object
    │   ├── RenameConflict            the same, of what was being renamed
    │   ├── OutcomeUnknown            a lost answer that cannot be decided
    │   ├── NotClosed                 what replaces an object waits for its writer's close
    │   ├── Unsupported               this store or version cannot do that
    │   ├── FileTooLarge
    │   ├── SpoolFull                 the spool has no room, and got none in time
    │   ├── SpoolFailed               the local disk cannot keep a promise
    │   └── Parked                    the store has refused what was acknowledged before
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
        ├── ConfigurationError        an option, a file of settings or a key that cannot be used
        └── SpoolRefused              a spool that is not this mount's, or cannot be used

``fuse.errors`` maps each class to an errno, and a test proves that none is missing.
"""

from kontenumfs.protocol.exits import Exit
from kontenumfs.protocol.incidents import Incident, report

MESSAGE_LENGTH = 200
"""Characters that are kept of what a store says of an error."""
NAME_LENGTH = 64
"""The same of a code or an id."""
REASON_LENGTH = 1500
"""The same of a failed transport, whose message has a key of ours in it."""


class KontenumError(Exception):
    """The root of every error that kontenumfs raises on purpose."""

    incident: Incident | None = None
    """The report that was made of it (protocol.incidents)."""


class InternalError(KontenumError):
    """A defect of this program: what was being done has failed, and the mount goes on."""


def reported(error: Exception, what: str) -> KontenumError:
    """What the caller shall hear: `error` itself, where it was raised on purpose.

    Any other one is a defect: its traceback is logged with `what` failed by it, and an
    InternalError stands for it, which ends one operation and not the mount.
    """
    if isinstance(error, KontenumError):
        return error
    incident = Incident("defect", f"a defect, please report it: {what}", error)
    report(incident)
    failure = InternalError(f"{what}: {type(error).__name__}, see the log")
    failure.incident = incident
    return failure


def cleaned(text: str, length: int = MESSAGE_LENGTH) -> str:
    """Foreign text as one short line for logs and terminals.

    Line ends, control characters (C0, C1), marks that turn the direction of writing and lone
    surrogates become spaces; what is longer than `length` is cut.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * length]).split())
    return line if len(line) <= length and len(text) <= 4 * length else line[: length - 1] + "…"


class StoreError(KontenumError):
    """The store answered with an error.

    What it says is cleaned here, once for all who show it.

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
        message = cleaned(message)
        super().__init__(message)
        self.message = message
        self.code = cleaned(code, NAME_LENGTH)
        self.status = status
        self.request_id = cleaned(request_id, NAME_LENGTH)
        self.operation = operation
        self.resource = resource
        self.retry_after = retry_after

    def __str__(self) -> str:
        said = self.code or (f"HTTP {self.status}" if self.status else "unexpected")
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
    """412: If-Match or If-None-Match did not hold: the key has something else than believed.

    `found` is the ETag and the size of what is there instead, where somebody has looked. `lost` is
    how an earlier answer to the same request was lost: what is there may have come of that.
    """

    found: tuple[str, int] | None = None
    lost: KontenumError | None = None


class ObjectVanished(PreconditionFailed):
    """404 where If-Match meets no object: what was believed to be there is there no more."""


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

    def __init__(self, message: str = "") -> None:
        super().__init__(cleaned(message, REASON_LENGTH))


class NotSent(TransportError):
    """The request never reached the store, so repeating it is safe."""


class NameResolutionError(NotSent):
    """The endpoint's host name does not resolve."""


class TLSError(NotSent):
    """The TLS handshake failed: name mismatch, unknown authority, expired certificate."""


class NotPrivate(TLSError):
    """The request would have carried a secret over a line that others can hear."""


class AnswerLost(TransportError):
    """The request was sent, at least in part, and no whole answer came: the effect is unknown."""


class DeadlineExceeded(TransportError):
    """The operation's deadline passed before an answer that settles it."""


class WriteError(KontenumError):
    """The write path's own verdicts."""


class WriterConflict(WriteError):
    """Another writer changed the object that this one was writing."""


class RenameConflict(WriteError):
    """Others have changed what was being renamed, or what has the new name; both names are there.

    It is no WriterConflict, for Linux repeats a rename that is told ESTALE, and would then put the
    old name over what others have added to the new one.
    """


class OutcomeUnknown(WriteError):
    """An answer was lost and the object's length does not tell whether the bytes are stored."""


class NotClosed(WriteError):
    """The writer has not said that the file is whole: the object that it replaces stays."""


class Unsupported(WriteError):
    """This store, or this version of the mount, cannot do that; nothing was changed."""


class FileTooLarge(WriteError):
    """The object would be larger than the store allows."""


class SpoolFull(WriteError):
    """The spool has no room, and the store has taken nothing out of it within the deadline."""


class SpoolFailed(WriteError):
    """The local disk has failed: nothing can be acknowledged; what was, is kept."""


class Parked(WriteError):
    """The store has refused what was acknowledged for this name before: an operator must decide."""


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
        exit_code: the code that the process ends with.
    """

    def __init__(self, message: str, exit_code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ConfigurationError(UserError):
    """An option, a file of settings or a key that cannot be used."""


class SpoolRefused(UserError):
    """A spool that is not this mount's, or that cannot be used: missing, open to others, newer."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Exit.SPOOL)
