"""The proof that onnxruntime computes the head's probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from services.trainer.model.behaviours.graph import ranker_graph
from services.trainer.model.behaviours.head import BehaviourHead
from services.trainer.model.export.encoder_graph import LARGEST_DIFFERENCE, ParityError, session_of
from services.trainer.model.fitting.training import TrainedModel
from shared.domain.presets.behaviours import RANKER_OUTPUT

_GOLDEN_SHAPE = (4, 6)
_OTHER_SHAPES = ((1, 1), (3, 50))


@dataclass(frozen=True, slots=True, eq=False)
class Ranker:
    """What goes into a bundle.

    Attributes:
        graph: ONNX, user_vector (B, D), item_vectors (B, N, D), item_bias (B, N), rule_score (B, N), all float32, to
            probabilities (B, N, O) float32.
        golden: a batch of its inputs by name, and its output.
        max_abs_difference: largest difference found, over the golden batch and batches of other shapes.
    """

    graph: bytes
    golden: dict[str, np.ndarray]
    max_abs_difference: float


def export_head(head: BehaviourHead, model: TrainedModel) -> Ranker:
    """The head as a graph with dynamic B and N, once its parity is proven; equal weights give equal bytes.

    model: whose items the golden batch is about.
    Raises ParityError when probabilities differ by more than 1e-4 or are not finite, ExportError when onnxruntime
    refuses the graph.
    """
    graph = ranker_graph(head)
    session = session_of(graph)
    worst = 0.0
    for shape in (_GOLDEN_SHAPE, *_OTHER_SHAPES):
        inputs = _inputs(model, *shape)
        (found,) = session.run([RANKER_OUTPUT], inputs)
        worst = float(np.maximum(worst, np.abs(found - _expected(head, inputs)).max()))
    if not worst <= LARGEST_DIFFERENCE:
        raise ParityError(f"probabilities differ by {worst:.2e}, allowed are {LARGEST_DIFFERENCE:.0e}")
    golden = _inputs(model, *_GOLDEN_SHAPE)
    return Ranker(graph, {**golden, RANKER_OUTPUT: _expected(head, golden)}, worst)


def _expected(head: BehaviourHead, inputs: dict[str, np.ndarray]) -> np.ndarray:
    with torch.no_grad():
        probabilities: np.ndarray = head.eval()(*map(torch.from_numpy, inputs.values())).numpy().copy()
    return probabilities


def _inputs(model: TrainedModel, batch: int, items: int) -> dict[str, np.ndarray]:
    """Items of the model before users with a taste for one of its items, by input."""
    generator = np.random.default_rng([batch, items])
    row = generator.integers(0, len(model.item_keys), (batch, items))
    inputs = {
        "user_vector": model.item_vectors[row[:, 0]] * 2,
        "item_vectors": model.item_vectors[row],
        "item_bias": model.item_biases[row],
        "rule_score": generator.exponential(1.0, (batch, items)).astype(np.float32),
    }
    return {name: np.ascontiguousarray(column, np.float32) for name, column in inputs.items()}
