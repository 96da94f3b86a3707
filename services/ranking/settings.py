"""Settings of the ranking service."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from shared.domain.owners import parse_owners
from shared.runtime.settings import ServiceSettings


class RankingSettings(ServiceSettings):
    """FRESHET_... variables that only ranking reads."""

    grpc_address: str = Field("127.0.0.1:50053", description="where the service listens, host:port")
    feature_address: str = Field(
        "127.0.0.1:50052",
        description='the feature service, host:port, or its instances, "0-7=host:port,8-15=host:port"',
    )
    bundle_store: str = Field("nats", description='where bundles are: "nats" or a directory')
    max_waiting: int = Field(1024, ge=1, description="calls that may wait; more are refused")
    calls_per_connection: int = Field(
        100,
        ge=0,
        le=1 << 20,
        description="calls of one connection at once: clients keep others back, where they cost nothing when their "
        "deadlines pass; 0 for no limit",
    )
    batch_size: int = Field(32, ge=1, le=512, description="most calls that are scored together")
    feature_timeout_seconds: float = Field(0.5, gt=0, description="then the last known state is used")
    trending_refresh_seconds: float = Field(1.0, gt=0, description="time between reads of what is trending")
    scorer_threads: int = Field(1, ge=1, description="threads of one onnxruntime call")
    load_share: float = Field(
        0.25,
        gt=0,
        le=1,
        description="of the time, for loading a model beside one that serves: calls go first; 1 where there are "
        "processors to spare",
    )
    ranking_precision: Literal["float32", "int8", "auto"] = Field(
        "float32",
        description="which encoder of a bundle serves: float32; int8, or float32 with a reason where it cannot; "
        "auto, int8 where the bundle carries it",
    )

    @model_validator(mode="after")
    def _owners(self) -> Self:
        try:
            parse_owners(self.feature_address, self.partitions)
        except ValueError as error:
            raise ValueError(f"FRESHET_FEATURE_ADDRESS: {error}") from error
        return self
