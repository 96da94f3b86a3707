"""How the streams of a namespace are made."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.domain.retention import Retention


class UnfitSettingError(ValueError):
    """A setting does not fit what is there already; the message says which one, and what to set."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What every service must agree on.

    duplicate_window_seconds: how long NATS itself knows event ids. replicas: servers of a cluster that hold each
    stream and bucket. retention: how much the streams keep. partitions: of the log, fixed for good by the first who
    says how many; None says nothing.
    """

    duplicate_window_seconds: float = 120.0
    replicas: int = 1
    retention: Retention = field(default_factory=Retention)
    partitions: int | None = None
