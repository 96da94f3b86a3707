"""Small worlds of events for the trainer's tests."""

from __future__ import annotations

import numpy as np
import torch

from services.trainer.model.encoders.signature import EncoderConfig, UserEncoder
from services.trainer.model.encoders.transformer import TransformerConfig
from services.trainer.model.fitting.plan import TrainingPlan
from services.trainer.model.fitting.training import TrainedModel
from shared.domain.events.event_columns import EventColumns

VIEW, DISLIKE, PURCHASE = 2, 5, 11
TINY = TransformerConfig(d_model=8, heads=2, feed_forward=16, blocks=2, dropout=0.1)
PLAN = TrainingPlan(encoder=TINY, epochs=2, batch_tokens=64, window=6, threads=1)


def events(*rows: tuple[int, int], event_type: int | list[int] = VIEW) -> EventColumns:
    """One event per (user, item), a second apart."""
    users, items = np.array(rows, np.uint64).reshape(-1, 2).T
    order = np.arange(len(rows), dtype=np.int64)
    kinds = np.broadcast_to(np.asarray(event_type, np.int64), len(rows)).copy()
    return EventColumns(order + 1, users, items, kinds, order * 1000, np.full(len(rows), np.nan, np.float32))


def walks(n_users: int = 30, n_items: int = 20, length: int = 8, seed: int = 0) -> EventColumns:
    """Users who walk round a ring of items, each from a place of their own; taking turns in the log."""
    start = np.random.default_rng(seed).integers(0, n_items, n_users)
    return events(*((u + 1, (start[u] + i) % n_items + 1) for i in range(length) for u in range(n_users)))


def random_encoder(config: EncoderConfig = TINY) -> UserEncoder:
    """An encoder in evaluation mode in which no parameter is zero."""
    torch.manual_seed(0)
    encoder = config.build()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return encoder.eval()


def random_model(config: EncoderConfig = TINY, n_items: int = 12) -> TrainedModel:
    """A model that has learned nothing."""
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((n_items, config.d_model)).astype(np.float32)
    keys = np.arange(1, n_items + 1, dtype=np.uint64)
    return TrainedModel(keys, vectors, np.zeros(n_items, np.float32), random_encoder(config), (), False)
