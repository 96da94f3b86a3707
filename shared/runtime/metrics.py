"""Prometheus metrics that every service has. A service's own metrics stand beside what they count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram, start_http_server

from shared.domain.stream_settings import UnfitSettingError

LATENCY_BUCKETS_SECONDS = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip

RPC_SECONDS = Histogram(
    "freshet_rpc_seconds",
    "Time from a call's arrival to its answer.",
    ["method"],
    buckets=LATENCY_BUCKETS_SECONDS,
)
RPC_TOTAL = Counter("freshet_rpc_total", "Calls that have ended, by status code.", ["method", "code"])


@contextmanager
def metrics_endpoint(host: str, port: int) -> Iterator[None]:
    """Serve /metrics on host:port while the context lasts; port 0 serves none. Raises UnfitSettingError when it cannot
    listen there."""
    if port == 0:
        yield
        return
    try:
        server, thread = start_http_server(port, host)
    except OSError as error:
        reason = f"cannot listen on {host}: {error.strerror or error}"
        raise UnfitSettingError(
            f"FRESHET_METRICS_PORT={port}: {reason}; set it to another port, or 0 for none"
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
