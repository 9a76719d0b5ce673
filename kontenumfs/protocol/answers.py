# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""From the store's error answers to the exception tree: by code first, by status second."""

from kontenumfs.protocol import errors as e

BY_CODE: dict[str, type[e.StoreError]] = {
    "AccessDenied": e.AccessDenied,
    "AllAccessDisabled": e.AccessDenied,
    "AccountProblem": e.AccessDenied,
    "InvalidAccessKeyId": e.InvalidAccessKeyId,
    "SignatureDoesNotMatch": e.SignatureDoesNotMatch,
    "RequestTimeTooSkewed": e.RequestTimeTooSkewed,
    "NoSuchBucket": e.NoSuchBucket,
    "NoSuchKey": e.NoSuchKey,
    "NoSuchUpload": e.NoSuchUpload,
    "BucketNotEmpty": e.BucketNotEmpty,
    "PreconditionFailed": e.PreconditionFailed,
    "TooManyAppends": e.TooManyAppends,
    "EntityTooLarge": e.EntityTooLarge,
    "KeyTooLongError": e.KeyTooLong,
    "SlowDown": e.Throttled,
    "Throttling": e.Throttled,
    "ThrottlingException": e.Throttled,
    "TooManyRequests": e.Throttled,
    "RequestLimitExceeded": e.Throttled,
    "BandwidthLimitExceeded": e.Throttled,
    "ServiceUnavailable": e.Throttled,
    "InternalError": e.ServerError,
    "RequestTimeout": e.ServerError,
    "OperationAborted": e.ServerError,
    "NotImplemented": e.NotImplementedByStore,
    "MethodNotAllowed": e.NotImplementedByStore,
}

BY_STATUS: dict[int, type[e.StoreError]] = {
    401: e.AccessDenied,
    403: e.AccessDenied,
    404: e.NotFound,
    405: e.NotImplementedByStore,
    # A proxy between did not hear all of the request, or would not take it this early.
    408: e.ServerError,
    409: e.Conflict,
    412: e.PreconditionFailed,
    413: e.EntityTooLarge,
    425: e.ServerError,
    429: e.Throttled,
    501: e.NotImplementedByStore,
    503: e.Throttled,
}


def error_from_answer(
    status: int,
    code: str,
    message: str,
    *,
    request_id: str = "",
    operation: str = "",
    resource: str = "",
    retry_after: float | None = None,
) -> e.StoreError:
    """The exception for an error answer.

    A HEAD's answer has no body and so no code: then its status is all there is.
    """
    kind = BY_CODE.get(code) or BY_STATUS.get(status)
    if kind is None:
        if 400 <= status < 500:
            kind = e.InvalidRequest
        else:
            kind = e.ServerError if status >= 500 else e.UnexpectedAnswer
    return kind(
        message,
        code=code,
        status=status,
        request_id=request_id,
        operation=operation,
        resource=resource,
        retry_after=retry_after,
    )
