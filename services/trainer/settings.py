"""Settings of the trainer."""

from __future__ import annotations

from pydantic import Field, field_validator

from services.trainer.model.encoders.names import (
    DEFAULT_KIND,
    DEFAULT_LOSS,
    DEFAULT_PRESET,
    DEVICES,
    KINDS,
    LOSSES,
    PRESET_NAMES,
)
from services.trainer.text_embedding import NO_EMBEDDING, TEXT_EMBEDDINGS, check_installed
from shared.adapters.presets import load_preset
from shared.domain.presets.preset import PresetError
from shared.runtime.settings import ServiceSettings

DELTA_MESSAGES = 1_000
"""Of the log, that deltas take in together."""
MOST = (1 << 63) - 1
"""Of what a job or a statement holds."""


class TrainerSettings(ServiceSettings):
    """FRESHET_... variables that only the trainer reads."""

    grpc_address: str = Field("127.0.0.1:50054", description="where the service listens, host:port")
    drain_grace_seconds: float = Field(2.0, ge=0, description="time that calls in flight have to end")
    train_interval_seconds: float = Field(
        3600.0, ge=0, description="from one run to the scheduled next; 0 for none"
    )
    train_full_every: int = Field(
        24,
        ge=1,
        le=MOST,
        description="models after which one is trained anew, not on from the champion; 1: every one",
    )
    train_every_events: int = Field(50_000, ge=0, description="new events that start a run; 0 for none")
    train_drift_psi: float = Field(
        0.25, ge=0, description="drift of new events, a stability index, that starts a run; 0 for none"
    )
    train_drift_events: int = Field(
        2_000, ge=1, description="new events without which there is no saying whether traffic drifts"
    )
    train_drift_seconds: float = Field(30.0, gt=0, description="how often drift is measured")
    train_retry_seconds: float = Field(
        600.0, ge=0, description="pause of the triggers after a run that failed; of drift after any run"
    )
    train_check_seconds: float = Field(2.0, gt=0, description="how often the triggers are checked")
    train_archive_wait_seconds: float = Field(
        300.0, gt=0, description="how long a run waits for the archive to hold the log"
    )
    train_publish_wait_seconds: float = Field(
        600.0, gt=0, description="how long a finished model waits for NATS or PostgreSQL to be back"
    )
    train_max_minutes: float = Field(
        5.0, gt=0, le=1440, description="most time for a run, judging and all, in minutes"
    )
    train_encoder: str = Field(
        DEFAULT_KIND, pattern=f"^({'|'.join(KINDS)})$", description=f"what is trained: {', '.join(KINDS)}"
    )
    train_preset: str = Field(
        DEFAULT_PRESET,
        pattern=f"^({'|'.join(PRESET_NAMES)})$",
        description=f"its size: {', '.join(PRESET_NAMES)}",
    )
    train_loss: str = Field(
        DEFAULT_LOSS,
        pattern=f"^({'|'.join(LOSSES)})$",
        description="softmax, or gbce for very large catalogues",
    )
    train_trim_share: float = Field(
        0.0, ge=0, lt=1, description="share of the least likely events left out, against noisy feedback"
    )
    delta_seconds: float = Field(
        2.0, ge=0, description="from one delta of the champion to the next; 0 for no deltas"
    )
    delta_users: int = Field(
        100_000,
        ge=DELTA_MESSAGES,
        description="users whose newest events the deltas' fold keeps at hand; at least those of the messages that it "
        "takes in together",
    )
    text_embeddings: str = Field(
        NO_EMBEDDING,
        pattern=f"^({'|'.join(TEXT_EMBEDDINGS)})$",
        description="what makes vectors of items' texts, for rows of items that nobody has touched: none, or wordllama "
        "(the extra text)",
    )
    train_seed: int = Field(0, ge=0, le=MOST, description="seed of initialisation, order and dropout")
    train_threads: int = Field(2, ge=1, le=256, description="threads that learn")
    train_device: str = Field(
        "auto",
        pattern=f"^({'|'.join(DEVICES)})$",
        description="where learning is done: cpu, cuda (a GPU), or auto: a GPU where there is one",
    )
    train_checkpoint_seconds: float = Field(
        15.0,
        ge=0,
        description="from one checkpoint of a run to the next, from which it goes on when it is cut off; 0 for none",
    )
    train_directory: str = Field(
        "",
        description="where checkpoints of the run that goes on lie; empty: freshet-training-UID in the system's "
        "directory for temporary files",
    )
    bundles_kept: int = Field(
        20,
        ge=0,
        le=MOST,
        description="bundles kept of the newest models, and as many of champions before; others are deleted; 0: none",
    )
    train_niceness: int = Field(
        5,
        ge=0,
        le=19,
        description="priority of learning; 19 gives way to all others, 5 leaves it about a quarter of a processor that "
        "others want, too",
    )
    train_hold_out_share: float = Field(0.05, gt=0, lt=1, description="newest share of the log that judges")
    train_hold_out_rows: int = Field(200_000, ge=1, le=MOST, description="most rows that judge")
    train_min_judged_users: int = Field(
        30, ge=1, le=MOST, description="users with later traffic that a verdict needs"
    )
    rollback_check_seconds: float = Field(
        300.0,
        ge=0,
        description="how often the champion is compared with its predecessor on later traffic; 0 for never",
    )
    rollback_min_judged_users: int = Field(
        100, ge=1, le=MOST, description="users with later traffic that an automatic rollback needs"
    )
    history_length: int = Field(
        50, ge=1, le=1000, description="events of a user's history that models are served"
    )
    bundle_store: str = Field(
        "nats", min_length=1, description='where bundles are put: "nats", or a directory'
    )
    code_revision: str = Field("", description="revision of the code, for manifests; found out when empty")

    @field_validator("text_embeddings")
    @classmethod
    def _installed(cls, value: str) -> str:
        check_installed(value)
        return value

    @field_validator("domain")
    @classmethod
    def _known_preset(cls, value: str) -> str:
        try:
            load_preset(value)
        except PresetError as error:
            raise ValueError(str(error)) from error
        return value
