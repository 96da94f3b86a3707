"""A trained encoder, answering as its int8 graph does."""

from __future__ import annotations

from services.trainer.model.encoder_learners import EncoderLearner
from services.trainer.model.export import onnx_bytes
from services.trainer.model.graph_scorer import GraphScorer
from services.trainer.model.int8 import int8_bytes
from services.trainer.model.mixture import MixedModel, MixtureScorer
from services.trainer.model.scoring import Scorer
from services.trainer.model.training import TrainedModel


def int8_scorer(mixed: MixedModel, threads: int) -> Scorer:
    """What is served when the encoder is served in int8: the rules and their mixture stay. Raises ExportError."""
    return MixtureScorer(_quantised(mixed.model, threads), mixed.experts, mixed.mixture)


class Int8Learner(EncoderLearner):
    """Learns as `EncoderLearner` does, and is quantised whenever it has learned."""

    _quantised: tuple[TrainedModel, Scorer] | None = None

    def scorer(self) -> Scorer:
        """The int8 graph of the model as it was trained last. Raises ExportError."""
        assert self._model is not None, "a scorer is asked for after the first events"
        if self._quantised is None or self._quantised[0] is not self._model:
            self._quantised = self._model, _quantised(self._model, self._plan.threads)
        return self._quantised[1]


def _quantised(model: TrainedModel, threads: int) -> Scorer:
    return GraphScorer(int8_bytes(onnx_bytes(model.encoder)), model, threads)
