"""Settings of the feature service."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from shared.domain.owners import Owners, parse_owners
from shared.runtime.settings import ServiceSettings


class FeatureSettings(ServiceSettings):
    """FRESHET_... variables that only the feature service reads."""

    grpc_address: str = Field("127.0.0.1:50052", description="where the service listens, host:port")
    history_length: int = Field(50, ge=1, le=1000, description="events kept in a user's history")
    owned_partitions: str = Field(
        "all", description='partitions of this instance: "all", or for example "0-7"'
    )
    feature_address: str = Field(
        "", description='all instances, "0-7=host:port,8-15=host:port"; with it, each answers for all'
    )
    users_in_memory: int = Field(
        2_000_000,
        ge=1,
        description="users kept in memory, about 1.5 KB each; the others are read when needed",
    )
    checkpoint_seconds: float = Field(
        10.0, gt=0, description="time between checkpoints; what came since is folded again after a crash"
    )

    @field_validator("owned_partitions")
    @classmethod
    def _range(cls, value: str) -> str:
        first, dash, last = value.partition("-")
        if value != "all" and not (
            first.isdigit() and (not dash or (last.isdigit() and int(first) <= int(last)))
        ):
            raise ValueError('must be "all", one partition such as "3", or a range such as "0-7"')
        return value

    @model_validator(mode="after")
    def _known_partitions(self) -> Self:
        if self.partition_list()[-1] >= self.partitions:
            raise ValueError(
                f"FRESHET_OWNED_PARTITIONS: {self.owned_partitions} is not within 0-{self.partitions - 1}, the "
                "partitions of FRESHET_PARTITIONS"
            )
        return self

    @model_validator(mode="after")
    def _readable_owners(self) -> Self:
        self.owners()
        return self

    def owners(self) -> Owners | None:
        """Who owns which partitions; None when this instance is not told. Raises ValueError."""
        if not self.feature_address:
            return None
        try:
            return parse_owners(self.feature_address, self.partitions)
        except ValueError as error:
            raise ValueError(f"FRESHET_FEATURE_ADDRESS: {error}") from error

    def partition_list(self) -> list[int]:
        """The partitions of this instance, ascending."""
        if self.owned_partitions == "all":
            return list(range(self.partitions))
        first, _, last = self.owned_partitions.partition("-")
        return list(range(int(first), int(last or first) + 1))
