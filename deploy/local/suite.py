"""The whole of Freshet on one machine: brokers, and each service as a process of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deploy.local.brokers import Brokers, local_brokers
from deploy.local.errors import LauncherError
from deploy.local.instances import environment_of, feature_owners, instances_of
from deploy.local.ports import LOOPBACK
from deploy.local.server import Death
from deploy.local.service import Service
from deploy.local.settings import (
    DEFAULT_DIRECTORY,
    DEFAULT_NATS_PORT,
    DEFAULT_POSTGRES_PORT,
    FEATURE,
    SuiteSettings,
)
from deploy.local.together import all_or_error
from shared.client.addresses import address_variable
from shared.domain.owners import DEFAULT_PARTITIONS

__all__ = ["Death", "Suite", "SuiteSettings", "local_suite"]


class Suite:
    """The running services by name, and the faults that tests inject. Made by `local_suite`.

    A name is that of a service, or of one of several instances, such as "feature-1". `owners` tells which feature
    instance owns which partitions, None where there is none.
    """

    def __init__(self, settings: SuiteSettings, brokers: Brokers) -> None:
        self.settings, self.brokers = settings, brokers
        self.instances = instances_of(settings)
        self.owners = feature_owners(self.instances, settings.partitions)
        self._services = {
            each.name: Service(each, settings, environment_of(each, settings, brokers, self.owners))
            for each in self.instances
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
        """The gRPC address of a service as host:port; it stays the same over restarts.

        Of several instances that of the first: any of them answers for all. Raises LauncherError.
        """
        first = next((each.address for each in self.instances if each.service == name), None)
        return first or self.service(name).address

    @property
    def variables(self) -> dict[str, str]:
        """What the command and the SDK are to be told in their environment to find the services.

        The log, the database and the namespace are among it where they are not those that are found unaided.
        """
        found = {
            address_variable(service): self.address(service)
            for service in dict.fromkeys(each.service for each in self.instances)
        }
        if self.owners is not None:
            found[address_variable(FEATURE)] = self.owners.text
        if self.settings.partitions != DEFAULT_PARTITIONS:
            found["FRESHET_PARTITIONS"] = str(self.settings.partitions)
        return found | self._stores()

    def _stores(self) -> dict[str, str]:
        found = {}
        if self.nats_url != f"nats://{LOOPBACK}:{DEFAULT_NATS_PORT}":
            found["FRESHET_NATS_URL"] = self.nats_url
        if not _has_usual_database(self.settings):
            found["FRESHET_DATABASE_URL"] = self.database_url
        if self.settings.namespace:
            found["FRESHET_NAMESPACE"] = self.settings.namespace
        return found

    async def start(self, name: str) -> None:
        """Starts a service and returns when it is SERVING. Raises PortTaken, PortForbidden, StartFailed."""
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


def _has_usual_database(settings: SuiteSettings) -> bool:
    """Whether the command finds the database unaided: it reads the password in the directory of a run by default."""
    place = (settings.database_url, settings.directory.absolute(), settings.postgres_port)
    return place == (None, DEFAULT_DIRECTORY, DEFAULT_POSTGRES_PORT)


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
