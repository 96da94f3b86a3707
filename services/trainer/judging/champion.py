"""The champion as its bundle serves it: scores by onnxruntime over the bundle's own items."""

from __future__ import annotations

from pathlib import Path

from services.trainer.model.answering.scoring import Scorer
from services.trainer.model.export.encoder_graph import ExportError
from services.trainer.model.export.graph_scorer import GraphScorer
from services.trainer.model.mixing.mixture import MixtureScorer
from shared.adapters.codecs.bundle import Bundle, CorruptBundleError, unpack


class BundleScorer(GraphScorer):
    """Scores by the bundle's float32 encoder over its own items."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        """Raises CorruptBundleError when onnxruntime refuses the encoder."""
        try:
            super().__init__(bundle.encoder, bundle, threads)
        except ExportError as error:
            raise CorruptBundleError(f"the encoder of {bundle.version}: {error}") from error


def champion_scorer(file: Path, threads: int) -> Scorer:
    """The scorer of a packed bundle's file, rules and all. Raises CorruptBundleError, OSError."""
    bundle = unpack(file.read_bytes())
    scorer, mixture = BundleScorer(bundle, threads), bundle.manifest.mixture
    return scorer if mixture is None else MixtureScorer(scorer, bundle.experts, mixture)
