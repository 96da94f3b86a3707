"""What both clients share: stubs, channel options, and what goes with every call."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from freshet.feature.v1.feature_pb2_grpc import FeatureServiceStub
from freshet.ingestion.v1.ingestion_pb2_grpc import IngestionServiceStub
from freshet.ranking.v1.ranking_pb2_grpc import RankingServiceStub
from freshet.trainer.v1.trainer_pb2_grpc import TrainerServiceStub
from shared.client.calls import Call
from shared.client.errors import Origin

STUBS: dict[str, Any] = {
    "ingestion": IngestionServiceStub,
    "feature": FeatureServiceStub,
    "ranking": RankingServiceStub,
    "trainer": TrainerServiceStub,
}
REQUEST_ID_KEY = "x-request-id"

# Every call is safe to repeat: events, items and training runs carry ids, the rest only reads.
SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        },
        # A stream of events is taken up again by the SDK itself, which knows what has an outcome.
        {"name": [{"service": "freshet.ingestion.v1.IngestionService", "method": "StreamUserEvents"}]},
    ]
}

CHANNEL_OPTIONS = (
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    # A service that comes back is found again within two seconds.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_http_proxy", 0),
)


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What a caller can choose for calls; None: each call's own deadline, a fresh id for each request."""

    timeout_seconds: float | None = None
    request_id: str | None = None

    def timeout_of(self, call: Call[Any]) -> float:
        """The deadline of a call, in seconds from now."""
        return call.timeout_seconds if self.timeout_seconds is None else self.timeout_seconds

    def origin_of(self, call: Call[Any], address: str) -> Origin:
        """Who is asked what, with the id that the request goes under."""
        return Origin(call.service, address, call.method, self.request_id or uuid.uuid4().hex)


def prepare(channel: Any, call: Call[Any], origin: Origin, options: CallOptions) -> Callable[[], Any]:
    """The call on a channel, sync or async, ready to be made."""
    method = getattr(STUBS[call.service](channel), call.method)
    metadata = ((REQUEST_ID_KEY, origin.request_id),)
    return lambda: method(call.request, timeout=options.timeout_of(call), metadata=metadata)


def open_stream(channel: Any, call: Call[Any], origin: Origin, options: CallOptions) -> Callable[[Any], Any]:
    """A call that sends a stream, sync or async: hand it the requests to start it."""
    method = getattr(STUBS[call.service](channel), call.method)
    metadata = ((REQUEST_ID_KEY, origin.request_id),)
    return lambda requests: method(requests, timeout=options.timeout_of(call), metadata=metadata)
