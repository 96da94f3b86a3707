"""A linear map from vectors of texts to vectors of items, which says how well it does on what it has not seen. Pure.

Ridge regression with an intercept (Hoerl & Kennard 1970). How strongly it is regularised is chosen by generalised
cross-validation (Golub, Heath & Wahba 1979, "Generalized cross-validation as a method for choosing a good ridge
parameter"); what it says of an item when it learns from all others follows without learning again (Allen 1974, PRESS;
Hastie, Tibshirani & Friedman 2009, equation 7.52).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

RIDGES = 10.0 ** np.arange(2.0, -4.5, -0.5)
"""What is tried, as shares of the texts' summed squares; the strongest first, which wins where all do equally well."""
LEAST_RIDGE = 1e-12
"""Where all texts are the same."""


@dataclass(frozen=True, slots=True, eq=False)
class TextMap:
    """text_mean (E,), vector_mean (D,) and weights (E, D), all float64."""

    text_mean: np.ndarray
    vector_mean: np.ndarray
    weights: np.ndarray

    def vectors(self, texts: np.ndarray) -> np.ndarray:
        """What items with these texts, (..., E), are expected to look like: (..., D) float64."""
        return self.vector_mean + (texts - self.text_mean) @ self.weights


class Fitted(NamedTuple):
    """A map that was learned from N items. ridge: how strongly it is regularised, beside the texts' summed squares.
    left_out (N, D) float64: of each item what a map says which learned, with this ridge, from the N - 1 others."""

    map: TextMap
    ridge: float
    left_out: np.ndarray


class _Spectrum(NamedTuple):
    """Centred texts along their principal axes: their summed squares (E,), the vectors' part along each (E, D), the
    vectors' summed squares, and the number of items."""

    squares: np.ndarray
    along: np.ndarray
    wanted: float
    items: int

    def cross_validation(self, ridge: float) -> float:
        """The mean squared error to expect of an item that is left out, by generalised cross-validation."""
        shrunk = 1.0 / (self.squares + ridge)
        explained = (self.along**2).sum(axis=1)
        errors = self.wanted - float(explained @ (2.0 * shrunk - self.squares * shrunk**2))
        free = self.items - 1.0 - float(self.squares @ shrunk)
        return self.items * max(errors, 0.0) / free**2

    def best_ridge(self) -> float:
        ridges = np.maximum(RIDGES * self.squares.sum(), LEAST_RIDGE)
        return float(min(ridges, key=self.cross_validation))


def fit_text_map(texts: np.ndarray, vectors: np.ndarray) -> Fitted:
    """The map from texts (N, E) to vectors (N, D), of the same N items. In float64; takes O(N E (E + D)) steps.

    Raises ValueError for fewer than 2 items.
    """
    if len(texts) < 2:
        raise ValueError(f"a map needs 2 items or more, not {len(texts)}")
    text_mean, vector_mean = texts.mean(axis=0, dtype=np.float64), vectors.mean(axis=0, dtype=np.float64)
    centred, wanted = texts - text_mean, vectors - vector_mean
    squares, axes = np.linalg.eigh(centred.T @ centred)
    along = axes.T @ (centred.T @ wanted)
    spectrum = _Spectrum(np.maximum(squares, 0.0), along, float((wanted**2).sum()), len(texts))
    ridge = spectrum.best_ridge()
    shrunk = 1.0 / (spectrum.squares + ridge)
    weights = axes @ (along * shrunk[:, None])
    own_share = 1.0 / len(texts) + (centred @ axes) ** 2 @ shrunk
    left_out = vectors - (wanted - centred @ weights) / (1.0 - own_share)[:, None]
    return Fitted(TextMap(text_mean, vector_mean, weights), ridge, left_out)
