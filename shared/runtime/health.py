"""Health as gRPC asks for it, by Check and by Watch.

Decision: not the servicer of grpcio-health-checking. Its watches never end by themselves, so that one open watch held
up a drain by all the time that calls in flight are given.
"""

from __future__ import annotations

import asyncio

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


class Health(health_pb2_grpc.HealthServicer):
    """The status of each service of this process, by its full name; "" stands for the process."""

    def __init__(self) -> None:
        self._statuses: dict[str, health_pb2.HealthCheckResponse.ServingStatus] = {}
        self._changed = asyncio.Event()
        self._over = False

    def set(self, service: str, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        """What is told from now on; watchers hear of it."""
        self._statuses[service] = status
        self._wake()

    def end_watches(self) -> None:
        """Every watch ends, now and from now on, once it has told the status of now."""
        self._over = True
        self._wake()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """The status of now; NOT_FOUND for a service that is not here."""
        if request.service not in self._statuses:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r} here")
        return health_pb2.HealthCheckResponse(status=self._statuses[request.service])

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext) -> None:
        """The status of now and what becomes of it, SERVICE_UNKNOWN for a service that is not here."""
        told = None
        while True:
            changed = self._changed  # before the look: what changes while it is told wakes this watch too
            status = self._statuses.get(request.service, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
            if status != told:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                told = status
            elif self._over:
                return
            else:
                await changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
