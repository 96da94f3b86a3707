"""One of the services as a child process, ready when its gRPC health says SERVING."""

from collections.abc import Mapping

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.local.instances import Instance
from deploy.local.process import Launch
from deploy.local.server import Server
from deploy.local.settings import REPOSITORY, SuiteSettings
from shared.runtime.channels import NO_PROXY

PROBE_SECONDS = 1.0
CHANNEL_OPTIONS = (*NO_PROXY, ("grpc.use_local_subchannel_pool", 1))


class Service(Server):
    """An instance of a service with fixed ports; `environment` is what it is told."""

    def __init__(self, instance: Instance, settings: SuiteSettings, environment: Mapping[str, str]) -> None:
        super().__init__(instance.name, settings.starter)
        self._instance, self._settings, self._environment = instance, settings, environment

    @property
    def address(self) -> str:
        """Where it serves gRPC, as host:port."""
        return self._instance.address

    async def prepare(self) -> Launch:
        """Checks that its ports are free. Raises PortTaken, PortForbidden."""
        self._instance.check_ports()
        return Launch(
            self.name,
            self._settings.command(self._instance.service),
            self._settings.directory.absolute() / "logs" / f"{self.name}.log",
            cwd=REPOSITORY,
            env={"PYTHONUNBUFFERED": "1", **self._environment},
            ready_seconds=self._settings.ready_seconds,
            grace_seconds=self._settings.drain_seconds,
        )

    async def probe(self) -> bool:
        """Whether the server's health is SERVING; a fresh channel each time, so no backoff delays it."""
        async with grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS) as channel:
            request = health_pb2.HealthCheckRequest(service="")
            try:
                answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=PROBE_SECONDS)
            except grpc.aio.AioRpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
