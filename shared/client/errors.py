"""What can go wrong, as exceptions that carry what the service said (google.rpc details).

The message of an exception is one that a person understands, such as
"InvalidArgument: user_event.items[0].item_id: must not be empty". Programs read `reason`, `violations` and
`retry_delay_seconds`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2 as details_pb2
from grpc_status import rpc_status


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One thing wrong with one field: its path, what is wrong, and a stable word for programs."""

    field: str
    description: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.description}" if self.field else self.description


@dataclass(frozen=True, slots=True)
class Details:
    """The google.rpc details of one error; empty where the service sent none. The delay is in seconds."""

    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[FieldViolation, ...] = ()
    retry_delay_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Which call failed: service, its address, the RPC, and the id under which the logs know the request."""

    service: str
    address: str
    method: str
    request_id: str


class FreshetError(Exception):
    """A call failed. `code` is the gRPC status; `origin` tells which call it was."""

    def __init__(self, code: grpc.StatusCode, text: str, details: Details, origin: Origin) -> None:
        self.code, self.text, self.details, self.origin = code, text, details, origin
        super().__init__(self._message())

    def __reduce__(self) -> tuple[Any, ...]:
        """Made anew from its parts, not from its message as other exceptions: it may have to leave a worker process."""
        return type(self), (self.code, self.text, self.details, self.origin)

    @property
    def reason(self) -> str:
        """The stable word for programs (ErrorInfo.reason); empty where the service sent none."""
        return self.details.reason

    @property
    def violations(self) -> tuple[FieldViolation, ...]:
        """The fields that are wrong."""
        return self.details.violations

    @property
    def retry_delay_seconds(self) -> float | None:
        """After how many seconds the service wants to be asked again; None if it did not say."""
        return self.details.retry_delay_seconds

    def explain(self) -> str:
        """What is wrong, without the name of the error."""
        return "; ".join(map(str, self.violations)) or self.text or f"{self.origin.method} failed"

    def _message(self) -> str:
        return f"{type(self).__name__}: {self.explain()}"


class Cancelled(FreshetError):
    """The call was cancelled."""


class ClientClosed(Cancelled):
    """The client is closed. A call that was under way then may have happened: with the same id it is safe to repeat."""


class InvalidArgument(FreshetError):
    """The request is wrong; `violations` names each bad field. Retrying is of no use."""


class NotFound(FreshetError):
    """There is no such thing."""


class AlreadyExists(FreshetError):
    """There is such a thing already."""


class PermissionDenied(FreshetError):
    """The caller may not do this."""


class Unauthenticated(FreshetError):
    """The caller did not say who it is."""


class FailedPrecondition(FreshetError):
    """Something must happen first, such as reaching a consistency token."""


class ResourceExhausted(FreshetError):
    """Too much at once; `retry_delay_seconds` says when to come back.

    Without it nothing passes by waiting: gRPC itself refuses so a message that is too large.
    """


class DeadlineExceeded(FreshetError):
    """No answer within the deadline. A write may have happened: send it again with the same id."""

    def explain(self) -> str:
        """Which service was too slow."""
        return f"{self.origin.service} at {self.origin.address} did not answer {self.origin.method} in time"


class Unavailable(FreshetError):
    """The service, or what it depends on, is away; the SDK has retried already."""

    @property
    def unreachable(self) -> bool:
        """Whether nobody answered at the address, as against a service that says that it cannot serve."""
        return not self.reason

    def explain(self) -> str:
        """Who does not answer and where, or what the service said."""
        if not self.unreachable:
            return super().explain()
        return f"nobody answers at {self.origin.address} ({self.origin.service}): {self.text}"


class Unimplemented(FreshetError):
    """The service does not know this call; it may be another one, or of another version."""

    def explain(self) -> str:
        """Who was asked, where, and what that said."""
        at = self.origin
        asked = f"{at.address} does not know {at.method} of {at.service}"
        return f"{asked}; is it that service, and of this version? {self.text}"


class Internal(FreshetError):
    """The service failed; its log knows the request id."""


CLASSES: dict[grpc.StatusCode, type[FreshetError]] = {
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
    grpc.StatusCode.INTERNAL: Internal,
}


def client_closed(origin: Origin) -> ClientClosed:
    """What a call on a closed client raises."""
    text = f"the client is closed, {origin.method} needs one that is open"
    return ClientClosed(grpc.StatusCode.CANCELLED, text, Details(), origin)


def cancelled(origin: Origin, by_close: bool) -> Cancelled:
    """What a call raises that was cancelled while it was under way, by the closing of its client or otherwise."""
    kind, cause = (ClientClosed, "the client is closed: ") if by_close else (Cancelled, "")
    text = f"{cause}{origin.method} was cancelled while it was under way"
    return kind(grpc.StatusCode.CANCELLED, text, Details(), origin)


def decode_error(error: Any, origin: Origin) -> FreshetError:
    """The typed form of what grpc raised (`grpc.RpcError` of a call, sync or async)."""
    status = rpc_status.from_call(error)
    details = decode_details(status.details) if status is not None else Details()
    return CLASSES.get(error.code(), FreshetError)(error.code(), error.details() or "", details, origin)


def decode_details(packed: Iterable[AnyMessage]) -> Details:
    """What the packed google.rpc messages say; messages of other types are left out."""
    info, bad, retry = details_pb2.ErrorInfo(), details_pb2.BadRequest(), details_pb2.RetryInfo()
    found = [
        message for any_message in packed for message in (info, bad, retry) if any_message.Unpack(message)
    ]
    return Details(
        reason=info.reason,
        metadata=dict(info.metadata),
        violations=tuple(FieldViolation(v.field, v.description, v.reason) for v in bad.field_violations),
        retry_delay_seconds=retry.retry_delay.ToTimedelta().total_seconds() if retry in found else None,
    )
