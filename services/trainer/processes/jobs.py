"""What the trainer's settings say about every job."""

from __future__ import annotations

from services.trainer.processes.reports import Job
from services.trainer.settings import TrainerSettings


def job_of(settings: TrainerSettings) -> Job:
    """A job as the settings have it: of no run yet, in no directory, up to no position."""
    return Job(
        database_url=settings.database_url,
        namespace=settings.namespace,
        domain=settings.domain,
        directory="",
        to_position=0,
        max_minutes=settings.train_max_minutes,
        seed=settings.train_seed,
        threads=settings.train_threads,
        niceness=settings.train_niceness,
        hold_out_share=settings.train_hold_out_share,
        hold_out_rows=settings.train_hold_out_rows,
        min_users=settings.train_min_judged_users,
        history_length=settings.history_length,
        code_revision=settings.code_revision,
        log_level=settings.log_level,
        encoder=settings.train_encoder,
        preset=settings.train_preset,
        loss=settings.train_loss,
        trim_share=settings.train_trim_share,
        checkpoint_seconds=settings.train_checkpoint_seconds,
        device=settings.train_device,
    )
