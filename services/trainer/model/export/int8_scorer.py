"""A trained encoder, answering as its int8 graph does."""

from __future__ import annotations

from services.trainer.model.answering.scoring import Scorer
from services.trainer.model.export.encoder_graph import onnx_bytes
from services.trainer.model.export.graph_scorer import GraphScorer
from services.trainer.model.export.int8 import int8_bytes
from services.trainer.model.fitting.training import TrainedModel
from services.trainer.model.mixing.mixture import MixedModel, MixtureScorer


def int8_scorer(model: TrainedModel, threads: int) -> Scorer:
    """What is served when the encoder alone is served in int8. Raises ExportError."""
    return GraphScorer(int8_bytes(onnx_bytes(model.encoder)), model, threads)


def mixed_int8_scorer(mixed: MixedModel, threads: int) -> Scorer:
    """The same with rules: they and their mixture stay. Raises ExportError."""
    return MixtureScorer(int8_scorer(mixed.model, threads), mixed.experts, mixed.mixture)
