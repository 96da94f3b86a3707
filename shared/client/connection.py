"""What both clients share: stubs, channel options, and what goes with every call."""

import asyncio
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from freshet.feature.v1.feature_pb2_grpc import FeatureServiceStub
from freshet.ingestion.v1.ingestion_pb2_grpc import IngestionServiceStub
from freshet.ranking.v1.ranking_pb2_grpc import RankingServiceStub
from freshet.trainer.v1.trainer_pb2_grpc import TrainerServiceStub
from shared.client.calls import Call
from shared.client.errors import FreshetError, Origin, cancelled, client_closed, decode_error

STUBS: dict[str, Any] = {
    "ingestion": IngestionServiceStub,
    "feature": FeatureServiceStub,
    "ranking": RankingServiceStub,
    "trainer": TrainerServiceStub,
}
REQUEST_ID_KEY = "x-request-id"
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""The largest answer that the services give, and the largest request that they take."""
MAX_TIMEOUT_SECONDS = 365 * 86_400.0
"""gRPC cannot count much further."""

# Every call is safe to repeat: events, items and training runs carry ids, the rest only reads. CANCELLED is what gRPC's
# core says for a service that has more calls waiting than it can take up; what the caller cancels is not asked again.
SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        },
        # A stream of events is taken up again by the SDK itself, which knows what has an outcome.
        {"name": [{"service": "freshet.ingestion.v1.IngestionService", "method": "StreamUserEvents"}]},
    ]
}

Loop = asyncio.AbstractEventLoop
CHANNEL_OPTIONS = (
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # gRPC keeps a request to send it again; what goes beyond 256 KiB, as batches do, it would send once.
    ("grpc.per_rpc_retry_buffer_size", 2 * MAX_MESSAGE_BYTES),
    # A service that comes back is found again within two seconds.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A stream to a machine that is gone, which no packet tells of, ends within 20 seconds.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),
)


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What a caller can choose for calls; None: each call's own deadline, a fresh id for each request.

    Raises ValueError for what gRPC cannot carry.
    """

    timeout_seconds: float | None = None
    request_id: str | None = None

    def __post_init__(self) -> None:
        seconds, request_id = self.timeout_seconds, self.request_id or ""
        if seconds is not None and not 0 < seconds <= MAX_TIMEOUT_SECONDS:
            rule = f"must be finite, above 0 and at most {MAX_TIMEOUT_SECONDS:.0f} (a year)"
            raise ValueError(f"timeout_seconds {rule}, got {seconds!r}")
        if not (request_id.isascii() and request_id.isprintable()):
            raise ValueError(f"request_id must be printable ASCII, got {request_id!r}")

    def timeout_of(self, call: Call[Any]) -> float | None:
        """The deadline of a call, in seconds from now; None: it has none."""
        return call.timeout_seconds if self.timeout_seconds is None else self.timeout_seconds

    def origin_of(self, call: Call[Any], address: str) -> Origin:
        """Who is asked what, with the id that the request goes under."""
        return Origin(call.service, address, call.method, self.request_id or uuid.uuid4().hex)


class Connections:
    """The channels of a client and of all its views, one for each service, opened at the first use.

    connect: opens a channel to an address, sync or async. Any thread may use it. loop: gives the event loop that a
    channel would belong to; each has its own, so that one client can be used in one `asyncio.run` after the other.
    """

    def __init__(self, connect: Callable[[str], Any], loop: Callable[[], Loop | None]) -> None:
        self._connect, self._loop, self._lock = connect, loop, threading.Lock()
        self._channels: dict[tuple[str, Loop | None], Any] = {}
        self.closed = False

    def to(self, origin: Origin) -> Any:
        """The channel to a service. Raises ClientClosed."""
        with self._lock:
            if self.closed:
                raise client_closed(origin)
            place = origin.service, self._loop()
            if place not in self._channels:
                self._drop_those_of_closed_loops()
                self._channels[place] = self._connect(origin.address)
            return self._channels[place]

    def close(self) -> list[Any]:
        """Hands out no channel any more. Returns the open ones of this loop: closing them is left to the client."""
        with self._lock:
            self.closed = True
            channels = [channel for (_, loop), channel in self._channels.items() if loop is self._loop()]
            self._channels.clear()
            return channels

    def _drop_those_of_closed_loops(self) -> None:
        for place in [each for each in self._channels if each[1] is not None and each[1].is_closed()]:
            del self._channels[place]

    def failure(self, error: Any, origin: Origin) -> FreshetError:
        """The typed form of what grpc raised."""
        if self.closed and error.code() is grpc.StatusCode.CANCELLED:
            return cancelled(origin, by_close=True)
        return decode_error(error, origin)

    @contextmanager
    def typed(self, origin: Origin) -> Iterator[None]:
        """Gives what grpc raises within its type."""
        try:
            with self.cancellation_typed(origin):
                yield
        except grpc.RpcError as error:
            raise self.failure(error, origin) from error
        except ValueError as error:
            # What grpc says of a channel that another thread closed after it was handed out.
            if not self.closed:
                raise
            raise client_closed(origin) from error

    @contextmanager
    def cancellation_typed(self, origin: Origin) -> Iterator[None]:
        """Gives grpc's cancellation of a call its type; the cancellation of the running task stays what it is."""
        try:
            yield
        except asyncio.CancelledError as error:
            if _task_is_cancelled():
                raise
            raise cancelled(origin, by_close=self.closed) from error


def running_loop() -> Loop | None:
    """The event loop of this thread, while it runs."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _task_is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def prepare(channel: Any, call: Call[Any], origin: Origin, options: CallOptions) -> Callable[[], Any]:
    """The call on a channel, sync or async, ready to be made."""
    method = getattr(STUBS[call.service](channel), call.method)
    metadata = ((REQUEST_ID_KEY, origin.request_id),)
    return lambda: method(call.request, timeout=options.timeout_of(call), metadata=metadata)


def open_stream(channel: Any, call: Call[Any], origin: Origin) -> Callable[[Any, float | None], Any]:
    """A call that sends a stream, sync or async: hand it the requests, and the seconds it may take, to start it."""
    method = getattr(STUBS[call.service](channel), call.method)
    metadata = ((REQUEST_ID_KEY, origin.request_id),)
    return lambda requests, timeout: method(requests, timeout=timeout, metadata=metadata)
