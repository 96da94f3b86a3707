"""The whole of Freshet on one machine: brokers, and each service as a process of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deploy.local.brokers import Brokers, local_brokers
from deploy.local.errors import LauncherError
from deploy.local.ports import PortRequest, free_ports
from deploy.local.server import Death
from deploy.local.service import Service, ServicePorts, address_of
from deploy.local.settings import SuiteSettings, grpc_port_variable, metrics_port_variable
from deploy.local.together import all_or_error

__all__ = ["Death", "Suite", "SuiteSettings", "local_suite"]


class Suite:
    """The running services by name, and the faults that tests inject. Made by `local_suite`."""

    def __init__(self, settings: SuiteSettings, brokers: Brokers) -> None:
        self.settings, self.brokers = settings, brokers
        ports = _ports(settings)
        self._services = {
            name: Service(name, settings, ports[name], _environment(name, settings, brokers, ports))
            for name in settings.services
        }
        self._deaths: asyncio.Queue[Death] = asyncio.Queue()
        for server in (brokers.nats, brokers.postgres, *self._services.values()):
            if server:
                server.on_death = self._deaths.put_nowait

    @property
    def nats_url(self) -> str:
        """Where the log is, as nats://host:port."""
        return self.brokers.nats_url

    @property
    def database_url(self) -> str:
        """Where the database is, as postgresql://..."""
        return self.brokers.database_url

    def service(self, name: str) -> Service:
        """The process of a service: pid, pause, resume. Raises LauncherError for an unknown name."""
        if name not in self._services:
            raise LauncherError(f"no service {name!r} here; there are: {', '.join(self._services)}")
        return self._services[name]

    def address(self, name: str) -> str:
        """The gRPC address of a service as host:port; it stays the same over restarts."""
        return self.service(name).address

    async def start(self, name: str) -> None:
        """Starts a service and returns when it is SERVING. Raises PortTaken, StartFailed."""
        await self.service(name).start()

    async def stop(self, name: str) -> None:
        """Stops a service politely and waits for its drain."""
        await self.service(name).stop()

    async def restart(self, name: str) -> None:
        """Stops a service politely and starts it again on the same ports."""
        await self.stop(name)
        await self.start(name)

    async def kill(self, name: str) -> None:
        """Kills a service (SIGKILL) and returns when it is gone."""
        await self.service(name).sigkill()

    async def death(self) -> Death:
        """Waits for the next service or broker that ends without being told to; one answer for each death."""
        return await self._deaths.get()

    async def start_all(self) -> None:
        """Starts all services side by side. Raises the first error, once every start has an outcome."""
        await all_or_error(*(self.start(name) for name in self._services))

    async def stop_all(self) -> None:
        """Stops all services side by side."""
        await all_or_error(*(service.stop() for service in self._services.values()))


@asynccontextmanager
async def local_suite(settings: SuiteSettings) -> AsyncIterator[Suite]:
    """Runs brokers and services; at the end services drain, then brokers stop. Raises LauncherError."""
    async with local_brokers(settings) as brokers:
        suite = Suite(settings, brokers)
        try:
            await suite.start_all()
            yield suite
        finally:
            await suite.stop_all()


def _ports(settings: SuiteSettings) -> dict[str, ServicePorts]:
    """The ports of every service, known before any starts: they are told each other's. Raises PortTaken."""
    free = iter(free_ports(2 * len(settings.services)))
    return {
        name: ServicePorts(
            PortRequest(settings.grpc_ports[name] or next(free), grpc_port_variable(name)),
            PortRequest(settings.metrics_ports[name] or next(free), metrics_port_variable(name)),
        )
        for name in settings.services
    }


def _environment(
    name: str, settings: SuiteSettings, brokers: Brokers, ports: dict[str, ServicePorts]
) -> dict[str, str]:
    """All that a service is told by environment; what the settings give for it wins."""
    told = {
        "FRESHET_NAMESPACE": settings.namespace,
        "FRESHET_NATS_URL": brokers.nats_url,
        "FRESHET_DATABASE_URL": brokers.database_url,
        "FRESHET_GRPC_ADDRESS": address_of(ports[name]),
        "FRESHET_METRICS_PORT": str(ports[name].metrics.number),
        "FRESHET_DOMAIN": settings.domain,
        "FRESHET_LOG_LEVEL": settings.log_level,
        "FRESHET_FEATURE_ADDRESS": _feature_address(ports) if name == "ranking" else None,
    }
    told_and_known = {key: value for key, value in told.items() if value is not None}
    return {**told_and_known, **settings.environment.get(name, {})}


def _feature_address(ports: dict[str, ServicePorts]) -> str | None:
    return address_of(ports["feature"]) if "feature" in ports else None
