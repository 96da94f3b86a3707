"""The processes of a suite: how they are named, where they listen, and what each is told.

Every service is one process, except for the feature service, of which there may be several: `feature-0`, `feature-1`
and so on, each with its share of the partitions. One alone is `feature`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.brokers import Brokers
from deploy.local.errors import SettingsError
from deploy.local.ports import LOOPBACK, PortRequest, free_ports, settle
from deploy.local.settings import (
    FEATURE,
    HIGHEST_PORT,
    SuiteSettings,
    grpc_port_variable,
    metrics_port_variable,
)
from shared.domain.owners import Owners, divided, ranges

PORT_STEP = 100
"""Between the ports of one feature instance and the next: those right behind the first are other services'."""
PRESET_FILES = (".yaml", ".yml")
"""How the names of presets end that are files and not shipped."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One process of a service: its name, also that of its log, and its ports with the variables that move them."""

    name: str
    service: str
    grpc: PortRequest
    metrics: PortRequest

    @property
    def address(self) -> str:
        """Where it serves gRPC, as host:port."""
        return f"{LOOPBACK}:{self.grpc.number}"

    def check_ports(self) -> None:
        """Raises PortTaken, PortForbidden."""
        for port in (self.grpc, self.metrics):
            settle(port)


def instances_of(settings: SuiteSettings) -> list[Instance]:
    """All processes, with their ports known before any starts: they are told each other's. Raises SettingsError, also
    for a port that two are to listen on: the one that comes late would be taken for the other."""
    numbered = [
        (service, number) for service in settings.services for number in range(_count(service, settings))
    ]
    free = iter(free_ports(2 * len(numbered)))
    instances = [
        Instance(
            _name(service, number, settings),
            service,
            _port(grpc_port_variable(service), settings.grpc_ports[service], number, free),
            _port(metrics_port_variable(service), settings.metrics_ports[service], number, free),
        )
        for service, number in numbered
    ]
    _check_apart(instances)
    return instances


def _count(service: str, settings: SuiteSettings) -> int:
    return settings.feature_instances if service == FEATURE else 1


def _name(service: str, number: int, settings: SuiteSettings) -> str:
    return service if _count(service, settings) == 1 else f"{service}-{number}"


def _port(variable: str, first: int, number: int, free: Iterator[int]) -> PortRequest:
    """The port of one instance, where `first` is that of the first one, or 0 for free ones."""
    port = first + PORT_STEP * number if first else next(free)
    if port > HIGHEST_PORT:
        raise SettingsError(f"{variable}={first} leaves no port for instance {number}: set a lower one, or 0")
    return PortRequest(port, variable)


def _check_apart(instances: Sequence[Instance]) -> None:
    variables: dict[int, str] = {}
    for port in (port for each in instances for port in (each.grpc, each.metrics)):
        if port.number in variables:
            raise SettingsError(
                f"{variables[port.number]} and {port.variable} lead to the same port {port.number}: "
                "set one of them to another port (0: a free one)"
            )
        variables[port.number] = port.variable


def feature_owners(instances: Sequence[Instance], partitions: int) -> Owners | None:
    """Which feature instance owns which partitions; None where there is none."""
    addresses = [instance.address for instance in instances if instance.service == FEATURE]
    return divided(partitions, addresses) if addresses else None


def environment_of(
    instance: Instance, settings: SuiteSettings, brokers: Brokers, owners: Owners | None
) -> dict[str, str]:
    """All that a process is told by environment; what the settings give for its service, or for it alone, wins."""
    told = {
        "FRESHET_NAMESPACE": settings.namespace,
        "FRESHET_PARTITIONS": str(settings.partitions),
        "FRESHET_NATS_URL": brokers.nats_url,
        "FRESHET_DATABASE_URL": brokers.database_url,
        "FRESHET_GRPC_ADDRESS": instance.address,
        "FRESHET_METRICS_PORT": str(instance.metrics.number),
        "FRESHET_DOMAIN": _from_anywhere(settings.domain),
        "FRESHET_LOG_LEVEL": settings.log_level,
        "FRESHET_TRAIN_DIRECTORY": str(settings.directory.absolute() / "training"),
        **_about_features(instance, owners),
    }
    told_and_known = {key: value for key, value in told.items() if value is not None}
    given = settings.environment
    return {**told_and_known, **given.get(instance.service, {}), **given.get(instance.name, {})}


def _from_anywhere(domain: str | None) -> str | None:
    """A preset's own file by its absolute path: services do not run in the directory of whoever names it."""
    return str(Path(domain).absolute()) if domain and domain.endswith(PRESET_FILES) else domain


def _about_features(instance: Instance, owners: Owners | None) -> dict[str, str]:
    """Ranking is told who owns which partitions, and so is each of several owners, with its own."""
    if owners is None or instance.service not in ("ranking", FEATURE):
        return {}
    told = {"FRESHET_FEATURE_ADDRESS": owners.text}
    if instance.service == "ranking":
        return told
    if len(owners.instances) == 1:
        return {}
    (owned,) = ranges(owners.partitions_of(instance.address))
    return {**told, "FRESHET_OWNED_PARTITIONS": owned}
