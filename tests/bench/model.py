"""Models that were never trained: their cost is that of trained ones."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from freshet.log.v1.log_pb2 import ModelEvent
from services.trainer.model.encoders.registry import encoder_of
from services.trainer.model.export.encoder_graph import export_encoder
from services.trainer.model.fitting.training import TrainedModel
from services.trainer.model.mixing.ease import MOST_ITEMS
from services.trainer.roles import roles_of
from shared.adapters.codecs.bundle import Bundle, pack
from shared.adapters.codecs.keys import item_keys
from shared.adapters.postgres.registry import RegisteredModel
from shared.adapters.presets import load_preset
from shared.domain.models.item_rules import GEOMETRIC, ItemRules
from shared.domain.models.manifest import ENCODER_OUTPUT, Manifest, Tensor
from shared.domain.models.mixture import Experts, Mixture
from tests.bench.sizes import DIMENSION, DOMAIN, HISTORY

FOLLOWERS, MOST_RULES = 100, 2_000_000


def untrained(item_ids: Sequence[str], directory: Path) -> Bundle:
    """A bundle of random item vectors and a fresh encoder."""
    torch.manual_seed(0)
    encoder = encoder_of(d_model=DIMENSION).eval()
    model = TrainedModel(*_item_table(item_ids, seed=0), encoder, (), False)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore"):
        parity = export_encoder(model, directory / "encoder.onnx")
    golden = {**parity.golden_inputs, ENCODER_OUTPUT: parity.golden_outputs}
    graph = (directory / "encoder.onnx").read_bytes()
    manifest, table = _manifest(len(item_ids)), (model.item_keys, model.item_vectors, model.item_biases)
    return Bundle(manifest, graph, *table, golden, experts=_experts(len(item_ids), seed=0))


def with_items(bundle: Bundle, item_ids: Sequence[str], seed: int) -> Bundle:
    """The same encoder with another item table and other rules."""
    keys, vectors, biases = _item_table(item_ids, seed)
    manifest = replace(bundle.manifest, item_count=len(keys), seed=seed)
    table = {"item_keys": keys, "item_vectors": vectors, "item_biases": biases}
    return replace(bundle, manifest=manifest, experts=_experts(len(keys), seed), **table)


def packed(bundle: Bundle) -> tuple[bytes, RegisteredModel]:
    """The bundle as bytes, and its row in the registry as the champion."""
    content, whole = pack(bundle)
    row = RegisteredModel(
        model_version=whole.version,
        bundle_digest=whole.digest,
        run_id="bench",
        create_time=datetime.now(UTC),
        champion=True,
        promoted=True,
        reason="bench",
        trained_to_position=0,
        item_count=len(whole.item_keys),
        metrics={},
    )
    return content, row


def promotion(model: RegisteredModel) -> ModelEvent:
    """What is announced of a champion."""
    event = ModelEvent(model_version=model.model_version, bundle_digest=model.bundle_digest, promoted=True)
    event.decide_time.FromDatetime(model.create_time)
    return event


def _item_table(item_ids: Sequence[str], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    keys = np.sort(item_keys(item_ids))
    vectors = random.standard_normal((len(keys), DIMENSION), np.float32) / np.float32(np.sqrt(DIMENSION))
    return keys, vectors, np.zeros(len(keys), np.float32)


def _experts(items: int, seed: int) -> Experts:
    """Rules as full as they become: of many items most have few followers, and EASE has only the popular ones."""
    followers = min(FOLLOWERS, MOST_RULES // items)
    total = np.full(items, 20.0 + FOLLOWERS, np.float32)
    sequence = _rules(items, items, followers, seed)
    ease = _rules(items, min(items, MOST_ITEMS), FOLLOWERS, seed + 1)
    ones = np.ones(items, np.float32)
    return Experts(ItemRules.of_rows(*sequence, total), ItemRules.of_rows(*ease, ones, GEOMETRIC))


def _rules(items: int, rows: int, followers: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start, follower and count of the first rows' distinct random followers."""
    random = np.random.default_rng(seed)
    first = random.integers(0, items, (rows, 1))
    follower = np.sort((first + np.arange(followers) * (items // followers)) % items, axis=1)
    start = np.minimum(np.arange(items + 1), rows) * followers
    return start, follower.ravel(), random.random(rows * followers, np.float32) + np.float32(1e-3)


def _manifest(items: int) -> Manifest:
    tensors = {
        "history_vectors": Tensor("float32", (-1, -1, DIMENSION)),
        "event_type": Tensor("int64", (-1, -1)),
        "age_seconds": Tensor("float32", (-1, -1)),
        "mask": Tensor("bool", (-1, -1)),
        ENCODER_OUTPUT: Tensor("float32", (-1, DIMENSION)),
    }
    mixture = Mixture(0.4, event_types=tuple(roles_of(load_preset(DOMAIN)).target or ()), ease_weight=1.0)
    return Manifest("transformer", DIMENSION, items, HISTORY, 1, 1, 0, "bench", DOMAIN, tensors, mixture)
