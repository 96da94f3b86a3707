"""What can be chosen about a local run, in code or by environment variables."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from deploy.local.errors import SettingsError
from deploy.local.nats_server import MONITOR_PORT_VARIABLE
from deploy.local.nats_server import PORT_VARIABLE as NATS_PORT_VARIABLE
from deploy.local.postgres_server import PORT_VARIABLE as POSTGRES_PORT_VARIABLE
from deploy.local.process import Starter, executed
from shared.domain.owners import DEFAULT_PARTITIONS

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICES = ("ingestion", "feature", "ranking", "trainer")
FEATURE = "feature"
GRPC_PORTS = {"ingestion": 50051, "feature": 50052, "ranking": 50053, "trainer": 50054}
METRICS_PORTS = {"ingestion": 9101, "feature": 9102, "ranking": 9103, "trainer": 9104}
# What a service may be told by environment, here and in containers.
NEEDED_VARIABLES = (
    "FRESHET_NATS_URL",
    "FRESHET_DATABASE_URL",
    "FRESHET_GRPC_ADDRESS",
    "FRESHET_METRICS_PORT",
)
OTHER_VARIABLES = (
    "FRESHET_NAMESPACE",
    "FRESHET_PARTITIONS",
    "FRESHET_FEATURE_ADDRESS",
    "FRESHET_OWNED_PARTITIONS",
    "FRESHET_DOMAIN",
    "FRESHET_TRAIN_DIRECTORY",
    "FRESHET_LOG_LEVEL",
)
DEFAULT_DIRECTORY, DEFAULT_NATS_PORT, DEFAULT_POSTGRES_PORT = REPOSITORY / ".freshet", 4222, 15432
HIGHEST_PORT = 65_535
INSTANCES_VARIABLE = "FRESHET_FEATURE_INSTANCES"


def grpc_port_variable(service: str) -> str:
    """The variable that moves a service's gRPC port, such as FRESHET_RANKING_PORT."""
    return f"FRESHET_{service.upper()}_PORT"


def metrics_port_variable(service: str) -> str:
    """The variable that moves a service's metrics port, such as FRESHET_RANKING_METRICS_PORT."""
    return f"FRESHET_{service.upper()}_METRICS_PORT"


def service_command(service: str) -> list[str]:
    """How a service is started: its package as a module of this interpreter."""
    return [sys.executable, "-m", f"services.{service}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """Where brokers keep their data and listen (port 0: a free one), or the URLs of brokers that run already.

    `nats_monitor_port` None means no monitoring port.
    """

    directory: Path = DEFAULT_DIRECTORY
    nats_port: int = 0
    nats_monitor_port: int | None = None
    postgres_port: int = 0
    nats_url: str | None = None
    database_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteSettings(BrokerSettings):
    """Brokers and services. Ports not given are the documented ones; `on_free_ports` gives others.

    `feature_instances` share the `partitions` of the log. `environment` holds extra variables by service, or by
    instance such as "feature-1"; they win over those the suite sets. `domain` and `log_level` None leave the choice to
    the services. `command` and `starter` say how services are started. Times are in seconds. Raises SettingsError when
    there are more instances than partitions.
    """

    namespace: str = ""
    partitions: int = DEFAULT_PARTITIONS
    feature_instances: int = 1
    domain: str | None = None
    log_level: str | None = None
    services: tuple[str, ...] = SERVICES
    grpc_ports: Mapping[str, int] = field(default_factory=lambda: GRPC_PORTS)
    metrics_ports: Mapping[str, int] = field(default_factory=lambda: METRICS_PORTS)
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    command: Callable[[str], list[str]] = service_command
    starter: Starter = executed
    ready_seconds: float = 60.0
    drain_seconds: float = 20.0

    def __post_init__(self) -> None:
        if not 1 <= self.feature_instances <= self.partitions:
            raise SettingsError(
                f"{self.feature_instances} feature instances cannot share {self.partitions} partitions: set "
                f"--feature-instances or {INSTANCES_VARIABLE} to a number from 1 to {self.partitions}"
            )

    @classmethod
    def on_free_ports(cls, **chosen: object) -> Self:
        """Settings that collide with nobody: every port that is not in `chosen` is a free one."""
        free = dict.fromkeys(SERVICES, 0)
        return cls(**{"grpc_ports": free, "metrics_ports": free, **chosen})  # type: ignore[arg-type]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """What FRESHET_* variables say, defaults for the rest. Raises SettingsError listing all bad ones."""
        numbers = _Numbers(environ)
        settings = cls(
            directory=Path(environ.get("FRESHET_DIRECTORY") or DEFAULT_DIRECTORY).absolute(),
            nats_port=numbers.read(NATS_PORT_VARIABLE, DEFAULT_NATS_PORT),
            nats_monitor_port=numbers.read_optional(MONITOR_PORT_VARIABLE),
            postgres_port=numbers.read(POSTGRES_PORT_VARIABLE, DEFAULT_POSTGRES_PORT),
            nats_url=environ.get("FRESHET_NATS_URL") or None,
            database_url=environ.get("FRESHET_DATABASE_URL") or None,
            namespace=environ.get("FRESHET_NAMESPACE") or "",
            partitions=numbers.read("FRESHET_PARTITIONS", DEFAULT_PARTITIONS, 1),
            feature_instances=numbers.read(INSTANCES_VARIABLE, 1, 1),
            domain=environ.get("FRESHET_DOMAIN") or None,
            log_level=environ.get("FRESHET_LOG_LEVEL") or None,
            grpc_ports={name: numbers.read(grpc_port_variable(name), GRPC_PORTS[name]) for name in SERVICES},
            metrics_ports={
                name: numbers.read(metrics_port_variable(name), METRICS_PORTS[name]) for name in SERVICES
            },
        )
        numbers.complain()
        return settings


class _Numbers:
    """Reads variables that hold whole numbers, most of them ports, and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._wrong: list[str] = []

    def read(self, variable: str, default: int, least: int = 0) -> int:
        text = self._environ.get(variable) or str(default)
        if text.isascii() and text.isdigit() and least <= int(text) <= HIGHEST_PORT:
            return int(text)
        self._wrong.append(f"{variable}={text!r} is not a number from {least} to {HIGHEST_PORT}")
        return default

    def read_optional(self, variable: str) -> int | None:
        return self.read(variable, 0) if self._environ.get(variable) else None

    def complain(self) -> None:
        if self._wrong:
            raise SettingsError("; ".join(self._wrong))
