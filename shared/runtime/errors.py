"""Errors that cross the wire: a gRPC status with google.rpc details."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from shared.domain.violation import Violation

DOMAIN = "freshet"
VIOLATIONS_BYTES = 4096
"""Details travel as metadata, of which clients take 8 KiB, encoded: beyond it, they see another error instead."""


@dataclass(eq=False)
class Refusal(Exception):
    """A call that ends with an error. reason: a stable word for programs, the `reason` of ErrorInfo.

    Not frozen: Python sets the traceback of an exception that leaves a `@contextmanager`.
    """

    code: grpc.StatusCode
    reason: str
    message: str
    details: tuple[Message, ...] = ()

    def status(self) -> status_pb2.Status:
        """The google.rpc.Status: ErrorInfo first, then the other details."""
        details = [error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN), *self.details]
        return status_pb2.Status(
            code=self.code.value[0], message=self.message, details=[_any(detail) for detail in details]
        )


def invalid_argument(violations: Sequence[Violation]) -> Refusal:
    """INVALID_ARGUMENT with a BadRequest field violation for each bad field, as many as fit; the first one is also the
    message, which tells how many there are."""
    fields = [
        error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.description, reason=v.reason)
        for v in violations
    ]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    message = f"{violations[0].field}: {violations[0].description}{more}"
    details = (error_details_pb2.BadRequest(field_violations=_fitting(fields)),)
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS", message, details)


def _fitting(fields: Sequence[Message]) -> Sequence[Message]:
    """The first ones, at least one."""
    ends = accumulate(field.ByteSize() for field in fields)
    return [field for field, end in zip(fields, ends, strict=True) if end <= VIOLATIONS_BYTES] or fields[:1]


def unavailable(reason: str, message: str, retry_seconds: float = 1.0) -> Refusal:
    """UNAVAILABLE with RetryInfo: the same call may go through later."""
    return Refusal(grpc.StatusCode.UNAVAILABLE, reason, message, (_retry(retry_seconds),))


def overloaded(message: str, retry_seconds: float = 0.5) -> Refusal:
    """RESOURCE_EXHAUSTED with RetryInfo: refused early, nothing was done."""
    return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", message, (_retry(retry_seconds),))


def token_not_reached(message: str) -> Refusal:
    """FAILED_PRECONDITION: the state does not yet reflect the consistency token."""
    return _not_yet("CONSISTENCY_TOKEN_NOT_REACHED", "CONSISTENCY_TOKEN", "min_consistency_token", message)


def archive_behind(message: str) -> Refusal:
    """FAILED_PRECONDITION: the archive does not yet hold the position that was asked for."""
    return _not_yet("ARCHIVE_BEHIND", "POSITION", "as_of_position", message)


def _not_yet(reason: str, kind: str, field: str, message: str) -> Refusal:
    violation = error_details_pb2.PreconditionFailure.Violation(type=kind, subject=field, description=message)
    details = (error_details_pb2.PreconditionFailure(violations=[violation]), _retry(0.1))
    return Refusal(grpc.StatusCode.FAILED_PRECONDITION, reason, message, details)


def not_found(field: str, message: str) -> Refusal:
    """NOT_FOUND with ResourceInfo naming what was asked for."""
    detail = error_details_pb2.ResourceInfo(resource_type=field, description=message)
    return Refusal(grpc.StatusCode.NOT_FOUND, "NOT_FOUND", message, (detail,))


def _retry(seconds: float) -> error_details_pb2.RetryInfo:
    delay = duration_pb2.Duration()
    delay.FromNanoseconds(int(seconds * 1e9))
    return error_details_pb2.RetryInfo(retry_delay=delay)


def _any(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
