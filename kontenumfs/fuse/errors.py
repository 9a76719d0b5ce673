# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The one table from exceptions to errno."""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pyfuse3

from kontenumfs.protocol import errors as e
from kontenumfs.store.operation import operation as one_operation

ERRNO: dict[type[e.KontenumError], int] = {
    e.KontenumError: errno.EIO,
    e.InternalError: errno.EIO,
    e.StoreError: errno.EIO,
    e.AccessDenied: errno.EACCES,
    e.InvalidAccessKeyId: errno.EACCES,
    e.SignatureDoesNotMatch: errno.EACCES,
    e.RequestTimeTooSkewed: errno.EACCES,
    # 404 alone is ENOENT; a bucket that has gone is a fault of the mount, not of the name.
    e.NotFound: errno.ENOENT,
    e.NoSuchBucket: errno.EIO,
    e.NoSuchKey: errno.ENOENT,
    e.NoSuchUpload: errno.EIO,
    e.Conflict: errno.EIO,
    e.BucketNotEmpty: errno.ENOTEMPTY,
    e.PreconditionFailed: errno.ESTALE,
    e.ObjectVanished: errno.ESTALE,
    e.InvalidRequest: errno.EIO,
    e.TooManyAppends: errno.EFBIG,
    e.EntityTooLarge: errno.EFBIG,
    e.KeyTooLong: errno.ENAMETOOLONG,
    e.Throttled: errno.EAGAIN,
    e.ServerError: errno.EIO,
    e.NotImplementedByStore: errno.EOPNOTSUPP,
    e.UnexpectedAnswer: errno.EIO,
    e.TransportError: errno.EIO,
    e.NotSent: errno.EIO,
    e.NameResolutionError: errno.EIO,
    e.TLSError: errno.EIO,
    e.NotPrivate: errno.EIO,
    e.AnswerLost: errno.EIO,
    e.DeadlineExceeded: errno.ETIMEDOUT,
    e.WriteError: errno.EIO,
    e.WriterConflict: errno.ESTALE,
    e.RenameConflict: errno.EBUSY,
    e.OutcomeUnknown: errno.EIO,
    e.NotClosed: errno.EIO,
    e.Unsupported: errno.EOPNOTSUPP,
    e.FileTooLarge: errno.EFBIG,
    e.SpoolFull: errno.ENOSPC,
    e.SpoolFailed: errno.EIO,
    e.Parked: errno.EIO,
    e.FileError: errno.EIO,
    e.FileMissing: errno.ENOENT,
    e.FileAlreadyExists: errno.EEXIST,
    e.DirectoryNotEmpty: errno.ENOTEMPTY,
    e.IsDirectory: errno.EISDIR,
    e.NotDirectory: errno.ENOTDIR,
    e.AttributeMissing: pyfuse3.ENOATTR,
    e.AttributeUnsupported: errno.EOPNOTSUPP,
    e.AttributesTooLarge: errno.E2BIG,
    e.InvalidName: errno.EILSEQ,
    e.NameTooLong: errno.ENAMETOOLONG,
    e.NotPermitted: errno.EPERM,
    e.InvalidArgument: errno.EINVAL,
    e.ReadDenied: errno.EACCES,
    e.StaleInode: errno.ESTALE,
    e.UserError: errno.EINVAL,
    e.ConfigurationError: errno.EINVAL,
    e.SpoolRefused: errno.EINVAL,
}
"""Every class of the tree, so that a new one is a decision and not an accident."""

QUIET = (e.FileError,)
"""What programs provoke all day and nobody needs to read in a log."""


@asynccontextmanager
async def translated(operation: str) -> AsyncIterator[None]:
    """Raise FUSEError, with its errno, from whatever the block raises.

    A defect of ours is EIO to one program; pyfuse3 would end the mount of all. What the store is
    asked for in the block is one operation, with one deadline.
    """
    try:
        with one_operation():
            yield
    except pyfuse3.FUSEError:
        raise
    except Exception as error:
        failure = e.reported(error, operation)
        raise pyfuse3.FUSEError(ERRNO[type(failure)]) from failure
