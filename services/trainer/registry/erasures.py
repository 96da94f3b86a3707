"""Follows the erasures in the log and marks the models that may have learned from an erased user."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import structlog
from nats.aio.client import Client

from services.trainer.patience import patiently
from shared.adapters.jetstream.erasures import ErasureStep, follow_erasures
from shared.adapters.jetstream.streams import Names
from shared.adapters.postgres.database import UNAVAILABLE
from shared.adapters.postgres.model_erasures import ModelErasures

_log = structlog.get_logger("erasures")


async def follow(connection: Client, names: Names, models: ModelErasures) -> None:
    """Take in erasures until cancelled; while PostgreSQL is away, wait for it. The tables must be there."""
    position = await patiently(models.position, UNAVAILABLE, math.inf)
    async for steps in follow_erasures(connection, names, position + 1):
        await patiently(partial(models.note, steps), UNAVAILABLE, math.inf)
        await _log_marked(models, steps)


async def _log_marked(models: ModelErasures, steps: Sequence[ErasureStep]) -> None:
    for step in steps:
        receipt_id = step.receipt.receipt_id
        if not step.complete:
            continue
        marked = await patiently(partial(models.marked_by, receipt_id), UNAVAILABLE, math.inf)
        if marked:
            _log.warning("models hold events of an erased user", receipt_id=receipt_id, model_versions=marked)
