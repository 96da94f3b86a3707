"""How services reach each other."""

from __future__ import annotations

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
NO_PROXY = (("grpc.enable_http_proxy", 0),)
"""For every channel to a service: gRPC heeds `http_proxy` even for loopback, and a proxy knows nothing of services."""

CHANNEL_OPTIONS = [
    *NO_PROXY,
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # A service that comes back is found within a second: gRPC's own pauses grow to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
