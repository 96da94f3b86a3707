"""Settings of a service process, read from environment variables that start with FRESHET_."""

from __future__ import annotations

import re
import sys
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.domain.owners import DEFAULT_PARTITIONS
from shared.domain.retention import Limit, Retention
from shared.domain.stream_settings import StreamSettings

PREFIX = "FRESHET_"
LEAST_AGE_SECONDS, MOST_SECONDS, MOST_BYTES = 0.1, 1e9, 1 << 60
"""What NATS takes, with room to spare."""
_PASSWORD = re.compile(r"(//[^/:@\s]*:)[^\s]*@")


class ServiceSettings(BaseSettings):
    """What every service reads."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore")

    namespace: str = Field(
        "", pattern=r"^[a-z0-9_]{0,32}$", description="prefix of streams, subjects and the schema"
    )
    nats_url: str = Field(
        "nats://127.0.0.1:4222", description="addresses of the NATS servers, separated by commas"
    )
    replicas: int = Field(
        1, ge=1, le=5, description="servers of a NATS cluster that hold each stream and bucket"
    )
    database_url: str = Field(
        "postgresql://postgres@127.0.0.1:5432/postgres", description="PostgreSQL database"
    )
    grpc_address: str = Field("127.0.0.1:50050", description="where the service listens, host:port")
    metrics_port: int = Field(0, ge=0, le=65535, description="port of /metrics; 0 for none")
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="least level that is logged"
    )
    domain: str = Field("e-commerce", description="domain preset, a shipped name or a .yaml file")
    partitions: int = Field(
        DEFAULT_PARTITIONS, ge=1, le=65535, description="partitions of the log, fixed at its creation"
    )
    duplicate_window_seconds: float = Field(
        120.0, ge=0.1, le=MOST_SECONDS, description="how long NATS itself knows event ids"
    )
    rejected_max_bytes: int = Field(
        Retention().rejected.max_bytes,
        ge=0,
        le=MOST_BYTES,
        description="bytes of dead letters kept, 0: no limit; the oldest go",
    )
    rejected_max_age_seconds: float = Field(
        Retention().rejected.max_age_seconds,
        ge=0,
        le=MOST_SECONDS,
        description="how long dead letters are kept, 0: for ever",
    )
    exposures_max_bytes: int = Field(
        Retention().exposures.max_bytes,
        ge=0,
        le=MOST_BYTES,
        description="bytes of exposures kept, 0: no limit; the oldest go",
    )
    exposures_max_age_seconds: float = Field(
        Retention().exposures.max_age_seconds,
        ge=0,
        le=MOST_SECONDS,
        description="how long exposures are kept, 0: for ever",
    )
    deltas_max_bytes: int = Field(
        Retention().deltas.max_bytes,
        ge=0,
        le=MOST_BYTES,
        description="bytes of deltas of models kept, 0: no limit; the oldest go",
    )
    deltas_max_age_seconds: float = Field(
        Retention().deltas.max_age_seconds,
        ge=0,
        le=MOST_SECONDS,
        description="how long deltas of models are kept, 0: for ever",
    )
    drain_notice_seconds: float = Field(0.5, ge=0, description="from NOT_SERVING to refusing calls")
    drain_grace_seconds: float = Field(10.0, ge=0, description="time that calls in flight have to end")

    @field_validator("grpc_address")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError("must be host:port, for example 127.0.0.1:50051")
        return value

    @field_validator("nats_url")
    @classmethod
    def _nats_urls(cls, value: str) -> str:
        urls = [url.strip() for url in value.split(",")]
        for url in urls:
            if not _is_nats_url(url):
                raise ValueError(f"{url!r} must be nats://host:port or tls://host:port")
        return ",".join(urls)

    @field_validator("database_url")
    @classmethod
    def _database_location(cls, value: str) -> str:
        if not _is_url(value, ("postgresql", "postgresql+asyncpg")):
            raise ValueError(
                "must be postgresql://user:password@host:port/database; a special character of the password is "
                "written as in %40 for @"
            )
        return value

    @field_validator("rejected_max_age_seconds", "exposures_max_age_seconds", "deltas_max_age_seconds")
    @classmethod
    def _age(cls, value: float) -> float:
        if 0 < value < LEAST_AGE_SECONDS:
            raise ValueError(f"must be 0, or at least {LEAST_AGE_SECONDS}")
        return value

    @property
    def streams(self) -> StreamSettings:
        """How the streams are made."""
        kept = Retention(
            Limit(self.rejected_max_bytes, self.rejected_max_age_seconds),
            Limit(self.exposures_max_bytes, self.exposures_max_age_seconds),
            Limit(self.deltas_max_bytes, self.deltas_max_age_seconds),
        )
        return StreamSettings(self.duplicate_window_seconds, self.replicas, kept, self.partitions)

    @property
    def host(self) -> str:
        """The host part of `grpc_address`; of IPv6 without its brackets, as sockets take it."""
        return self.grpc_address.rpartition(":")[0].removeprefix("[").removesuffix("]")


def _is_nats_url(url: str) -> bool:
    return _is_url(url, ("nats", "tls")) and bool(urlsplit(url).hostname)


def _is_url(url: str, schemes: tuple[str, ...]) -> bool:
    parts = urlsplit(url)
    try:
        return parts.scheme in schemes and parts.port != 0
    except ValueError:  # the port is no number, or too large
        return False


Settings = TypeVar("Settings", bound=ServiceSettings)


def read_settings(kind: type[Settings]) -> Settings:
    """Settings from the environment. Bad ones are all listed on stderr and end the process with code 2."""
    try:
        return kind()
    except ValidationError as error:
        for problem in error.errors():
            variable = PREFIX + ".".join(str(part) for part in problem["loc"]).upper()
            # A rule about several variables has no place, and names them itself.
            place = f"{variable}={problem['input']!r}: " if problem["loc"] else ""
            print(_PASSWORD.sub(r"\1***@", f"{place}{problem['msg']}"), file=sys.stderr)
        raise SystemExit(2) from None
