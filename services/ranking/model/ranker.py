"""A bundle's ranker in onnxruntime: how probable each behaviour of a user with an item is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.ranking.model.precision import GOLDEN_TOLERANCE
from services.ranking.model.sessions import Session
from shared.adapters.codecs.bundle import Bundle, CorruptBundleError
from shared.domain.presets.behaviours import RANKER_INPUTS, RANKER_OUTPUT


class ItemInputs(NamedTuple):
    """What N items are scored by for each of B users, all float32: user_vector (B, D), item_vectors (B, N, D),
    item_bias (B, N), rule_score (B, N), what rules add."""

    user_vector: np.ndarray
    item_vectors: np.ndarray
    item_bias: np.ndarray
    rule_score: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """Scores (B, N) float32, the same as the scorer's of the whole table but for rounding."""
        scores: np.ndarray = (self.item_vectors @ self.user_vector[:, :, None])[:, :, 0]
        return scores + self.item_bias + self.rule_score


class Ranker:
    """objectives: names of the behaviours, in the order of the output. given: what a probability is of."""

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        """Raises CorruptBundleError when a check fails."""
        behaviours = bundle.manifest.behaviours
        if behaviours is None:
            raise CorruptBundleError("the ranker's behaviours are not in the manifest")
        self.objectives, self.given = behaviours.objectives, behaviours.given
        self._session = Session(bundle.ranker, "ranker", RANKER_INPUTS, threads)
        self._check_golden(bundle)

    def probabilities(self, inputs: ItemInputs) -> np.ndarray:
        """Probabilities (B, N, O) float32 in [0, 1]."""
        return self._session.run(RANKER_OUTPUT, inputs._asdict())

    def _check_golden(self, bundle: Bundle) -> None:
        golden = bundle.ranker_golden
        try:
            actual = self.probabilities(ItemInputs(*(golden[name] for name in RANKER_INPUTS)))
            expected = golden[RANKER_OUTPUT]
        except Exception as error:  # onnxruntime raises classes of its own for each kind of bad graph
            raise CorruptBundleError(f"the ranker fails on the golden inputs: {error!r}") from error
        shape = (*golden["item_bias"].shape, len(self.objectives))
        if not actual.shape == expected.shape == shape:
            raise CorruptBundleError(
                f"the ranker gives {actual.shape}, golden is {expected.shape}, not {shape}"
            )
        if golden["user_vector"].shape[1:] != (bundle.manifest.dimension,):
            raise CorruptBundleError(
                f"the ranker's vectors are not of {bundle.manifest.dimension} dimensions"
            )
        difference = float(np.abs(actual - expected).max(initial=0.0))
        if not difference <= GOLDEN_TOLERANCE:
            raise CorruptBundleError(
                f"golden probabilities differ by {difference:.2g}, more than {GOLDEN_TOLERANCE}"
            )
