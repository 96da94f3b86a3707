"""What happens around every RPC: timing, counting, typed errors, and a request id in the logs.

Decision: a decorator, not a gRPC interceptor. An interceptor of grpc.aio builds a new handler for every call, which
costs about as much as an empty call; this costs two microseconds.
"""

from __future__ import annotations

import asyncio
import functools
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import grpc
import structlog
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from shared.domain.violation import Violation
from shared.runtime.errors import Refusal, invalid_argument
from shared.runtime.metrics import RPC_SECONDS, RPC_TOTAL

_log = structlog.get_logger("rpc")
REQUEST_ID = "x-request-id"
EARLY_SECONDS = 0.02
"""So much before a deadline has passed here its caller may end the call for it: deadlines travel rounded up."""


class MalformedRequest(NamedTuple):
    """Stands where a request would be whose bytes are none."""

    violation: Violation


def register(server: grpc.aio.Server, service: ServiceDescriptor, servicer: object) -> None:
    """Add a servicer whose methods are all `unary` or `streaming`.

    Decision: gRPC ends a call whose request cannot be read with INTERNAL and no details, before any of our code runs.
    Here such bytes reach the handler as a MalformedRequest, so that the caller gets a typed error like any other, and
    one bad message of a stream does not end it.
    """
    handlers = {method.name: _handler(method, servicer) for method in service.methods}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))


def _handler(method: MethodDescriptor, servicer: object) -> grpc.RpcMethodHandler:
    makers = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    return makers[method.client_streaming, method.server_streaming](
        getattr(servicer, method.name),
        request_deserializer=_reader(method),
        response_serializer=message_factory.GetMessageClass(method.output_type).SerializeToString,
    )


def _reader(method: MethodDescriptor) -> Callable[[bytes], Any]:
    kind = message_factory.GetMessageClass(method.input_type)
    description = f"is no {method.input_type.full_name}: not protobuf, or a text that is not valid UTF-8"
    malformed = MalformedRequest(Violation("request", description, "MALFORMED"))

    def read(payload: bytes) -> Any:
        try:
            return kind.FromString(payload)
        except DecodeError:
            return malformed

    return read


def unary(handler: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Decorate a servicer's `async def Method(self, request, context)`. A Refusal becomes the call's status."""
    method = handler.__name__
    seconds, answered = RPC_SECONDS.labels(method), RPC_TOTAL.labels(method, "OK")

    @functools.wraps(handler)
    async def call(self: Any, request: Any, context: grpc.aio.ServicerContext) -> Any:
        started = time.perf_counter()
        try:
            if isinstance(request, MalformedRequest):
                raise invalid_argument([request.violation])
            response = await handler(self, request, context)
        except asyncio.CancelledError:
            _count_ended(method, context)
            raise
        except Exception as error:
            del request  # else the frame of this call keeps it; see `_let_go`
            await _abort(method, context, error)
            raise
        answered.inc()
        seconds.observe(time.perf_counter() - started)
        return response

    return call


def streaming(handler: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    """Decorate a servicer's async generator `Method(self, request, context)`. request: a message, or an iterator of
    messages, each of which may be a MalformedRequest."""
    method = handler.__name__

    @functools.wraps(handler)
    async def call(self: Any, request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        try:
            if isinstance(request, MalformedRequest):
                raise invalid_argument([request.violation])
            async for response in handler(self, request, context):
                yield response
        except (asyncio.CancelledError, GeneratorExit):  # it waited, or its answer was being sent
            _count_ended(method, context)
            raise
        except Exception as error:
            del request  # else the frame of this call keeps it; see `_let_go`
            await _abort(method, context, error)
            raise
        RPC_TOTAL.labels(method, "OK").inc()

    return call


def _count_ended(method: str, context: grpc.aio.ServicerContext) -> None:
    """Count a call that its caller has ended, or its deadline."""
    left = context.time_remaining()
    code = "CANCELLED" if left is None or left > EARLY_SECONDS else "DEADLINE_EXCEEDED"
    RPC_TOTAL.labels(method, code).inc()


async def _abort(method: str, context: grpc.aio.ServicerContext, error: Exception) -> None:
    """End the call with the error's status; what is not a Refusal is a defect, logged with its traceback."""
    if isinstance(error, (grpc.aio.AbortError, grpc.aio.BaseError)):
        # The handler's own, such as one that hands on another's refusal.
        if isinstance(error, grpc.aio.AbortError):
            RPC_TOTAL.labels(method, context.code().name).inc()
        return _let_go(error)
    refusal = error if isinstance(error, Refusal) else _defect(method, context, error)
    _let_go(error)
    RPC_TOTAL.labels(method, refusal.code.name).inc()
    _log.info(
        "call refused", method=method, code=refusal.code.name, reason=refusal.reason, message=refusal.message,
        request_id=request_id(context),
    )  # fmt: skip
    await context.abort_with_status(rpc_status.to_status(refusal.status()))


def _let_go(error: Exception) -> None:
    """Forget the frames that an error came through.

    gRPC keeps the exception that ends a call beside the call's context, which these frames hold: a cycle. With it stays
    all they hold, requests of up to 32 MB, until garbage is collected, which may be a hundred refusals later.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None


def _defect(method: str, context: grpc.aio.ServicerContext, error: Exception) -> Refusal:
    identity = request_id(context)
    _log.error("call failed", method=method, request_id=identity, exc_info=error)
    message = f"an error on the server's side; its log tells more under request id {identity}"
    return Refusal(grpc.StatusCode.INTERNAL, "INTERNAL", message)


def request_id(context: grpc.aio.ServicerContext) -> str:
    """The caller's `x-request-id`, or a new one."""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID:
            return str(value)
    return uuid.uuid4().hex


def remaining_seconds(context: grpc.aio.ServicerContext, most: float, margin: float | None = None) -> float:
    """How long the call may still take, less a margin to answer in; `most` when the caller set no deadline.

    margin: by default a fifth of what is left, from 0.02 to 0.5 s: on a busy machine an answer that passes two services
    takes longer than a fiftieth of a second, and a refusal that comes too late tells its caller nothing.
    """
    left = context.time_remaining()
    if left is None:
        return most
    if margin is None:
        margin = answer_margin(left)
    return max(0.0, min(most, left - margin))


def answer_margin(left: float) -> float:
    """What a call sets aside of the seconds that are ``left`` for its answer."""
    return min(0.5, max(0.02, left / 5))
