"""Where the services answer."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

SERVICES = ("ingestion", "feature", "ranking", "trainer")
DEFAULTS = {
    "ingestion": "127.0.0.1:50051",
    "feature": "127.0.0.1:50052",
    "ranking": "127.0.0.1:50053",
    "trainer": "127.0.0.1:50054",
}


def address_variable(service: str) -> str:
    """The environment variable that tells where a service is, such as FRESHET_RANKING_ADDRESS."""
    return f"FRESHET_{service.upper()}_ADDRESS"


def address_from(environ: Mapping[str, str], service: str) -> str:
    """The address that the environment gives a service, or its default."""
    return environ.get(address_variable(service), "").strip() or DEFAULTS[service]


def addresses_of(service: str, environ: Mapping[str, str] = os.environ) -> list[str]:
    """The addresses of all instances of a service: FRESHET_FEATURE_ADDRESS may name several, "0-7=host:port,..."."""
    parts = address_from(environ, service).split(",")
    named = dict.fromkeys(part.rpartition("=")[2].strip() for part in parts)
    return [address for address in named if address] or [DEFAULTS[service]]


def _default(service: str) -> Callable[[], str]:
    """The first instance: any of them answers for all."""
    return lambda: addresses_of(service, os.environ)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """One gRPC target (host:port) for each service; those not given come from the environment.

    Raises ValueError for one that is empty.
    """

    ingestion: str = field(default_factory=_default("ingestion"))
    feature: str = field(default_factory=_default("feature"))
    ranking: str = field(default_factory=_default("ranking"))
    trainer: str = field(default_factory=_default("trainer"))

    def __post_init__(self) -> None:
        for service in SERVICES:
            if not getattr(self, service):
                raise ValueError(f"{service} must not be empty: give host:port, or leave it out")

    def of(self, service: str) -> str:
        """The target of a service. Raises ValueError for a name that is none of `SERVICES`."""
        if service not in SERVICES:
            raise ValueError(f"no service {service!r}; there are: {', '.join(SERVICES)}")
        return str(getattr(self, service))
