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
from services.trainer.model.export import export_encoder
from services.trainer.model.training import TrainedModel
from shared.adapters.bundle import Bundle, pack
from shared.adapters.keys import item_keys
from shared.adapters.registry import RegisteredModel
from shared.domain.manifest import ENCODER_OUTPUT, Manifest, Tensor
from tests.bench.sizes import DIMENSION, DOMAIN, HISTORY


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
    return Bundle(
        _manifest(len(item_ids)), graph, model.item_keys, model.item_vectors, model.item_biases, golden
    )


def with_items(bundle: Bundle, item_ids: Sequence[str], seed: int) -> Bundle:
    """The same encoder with another item table."""
    keys, vectors, biases = _item_table(item_ids, seed)
    manifest = replace(bundle.manifest, item_count=len(keys), seed=seed)
    return replace(bundle, manifest=manifest, item_keys=keys, item_vectors=vectors, item_biases=biases)


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


def _manifest(items: int) -> Manifest:
    tensors = {
        "history_vectors": Tensor("float32", (-1, -1, DIMENSION)),
        "event_type": Tensor("int64", (-1, -1)),
        "age_seconds": Tensor("float32", (-1, -1)),
        "mask": Tensor("bool", (-1, -1)),
        ENCODER_OUTPUT: Tensor("float32", (-1, DIMENSION)),
    }
    return Manifest("transformer", DIMENSION, items, HISTORY, 1, 1, 0, "bench", DOMAIN, tensors)
