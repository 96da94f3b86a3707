"""Settings of the ingestion service."""

from __future__ import annotations

from pydantic import Field

from shared.runtime.settings import ServiceSettings


class IngestionSettings(ServiceSettings):
    """FRESHET_... variables that only ingestion reads."""

    grpc_address: str = Field("127.0.0.1:50051", description="where the service listens, host:port")
    earliest_event_year: int = Field(
        1990, ge=1970, le=9999, description="events before this year are refused"
    )
    latest_event_skew_seconds: float = Field(
        3600.0, ge=0, description="how far in the future an event may lie"
    )
    archive_batch_events: int = Field(2000, ge=1, description="most events of one archive transaction")
    erasure_settle_seconds: float = Field(
        1.0, ge=0, description="time that exposures on their way have before an erasure looks for them"
    )
