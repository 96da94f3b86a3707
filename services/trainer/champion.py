"""The champion as its bundle serves it: scores by onnxruntime over the bundle's own items."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from services.trainer.model.mixture import MixtureScorer
from services.trainer.model.scoring import Histories, Scorer, encoder_inputs
from shared.adapters.bundle import Bundle, CorruptBundleError, unpack
from shared.domain.manifest import ENCODER_OUTPUT


class BundleScorer:
    """Scores = user_vector . item_vectors' + item_biases."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        """Raises CorruptBundleError when onnxruntime refuses the encoder."""
        self._bundle = bundle
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                bundle.encoder, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own errors share no narrower base
            raise CorruptBundleError(f"onnxruntime refuses the encoder: {error}") from error

    @property
    def item_keys(self) -> np.ndarray:
        """``(V,) uint64``, sorted ascending."""
        return self._bundle.item_keys

    def __call__(self, histories: Histories) -> np.ndarray:
        """Scores ``(B, V) float32``; events on items the bundle does not know are left out of the history."""
        bundle = self._bundle
        inputs = encoder_inputs(histories, bundle.item_keys, bundle.item_vectors)
        (users,) = self._session.run([ENCODER_OUTPUT], inputs)
        return users @ bundle.item_vectors.T + bundle.item_biases


def champion_scorer(file: Path, threads: int) -> Scorer:
    """The scorer of a packed bundle's file, rules and all. Raises CorruptBundleError, OSError."""
    bundle = unpack(file.read_bytes())
    scorer, mixture = BundleScorer(bundle, threads), bundle.manifest.mixture
    if bundle.rules is None or mixture is None:
        return scorer
    return MixtureScorer(scorer, bundle.rules, mixture)
