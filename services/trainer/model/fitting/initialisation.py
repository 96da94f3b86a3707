"""Item vectors before the first step: a factorisation of which items follow each other.

Word2vec with negative sampling factorises a shifted pointwise mutual information matrix (Levy & Goldberg
2014); a truncated SVD of the positive part gives vectors of that quality in seconds, so training starts from
neighbourhoods instead of noise.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from services.trainer.model.sequences import TrainingRows

_SCALE = 0.1
"""Root mean square of the first vectors' entries."""

_WINDOW = 20
"""How many events apart two items still count as company."""


def cooccurrence(rows: TrainingRows, n_items: int, window: int) -> sparse.csr_matrix:
    """Symmetric counts ``(V, V) float64`` of items at most ``window`` events apart in one user's history."""
    owner = np.repeat(np.arange(len(rows.lengths)), rows.lengths)
    counts = sparse.csr_matrix((n_items, n_items), dtype=np.float64)
    for step in range(1, min(window, max(len(rows) - 1, 0)) + 1):
        same = owner[step:] == owner[:-step]
        left, right = rows.item[:-step][same], rows.item[step:][same]
        counts = counts + sparse.csr_matrix((np.ones(len(left)), (left, right)), (n_items, n_items))
    counts = counts + counts.T
    counts.setdiag(0.0)
    counts.eliminate_zeros()
    return counts.tocsr()


def positive_pmi(counts: sparse.csr_matrix, smoothing: float = 0.75) -> sparse.csr_matrix:
    """max(0, log(p(i, j) / (p(i) q(j)))) with contexts smoothed as q ~ count^0.75 (Levy et al. 2015)."""
    total = counts.sum()
    if total == 0:
        return counts
    frequency = np.asarray(counts.sum(axis=1)).ravel()
    context = frequency**smoothing / (frequency**smoothing).sum()
    pairs = counts.tocoo()
    ratio = pairs.data / (frequency[pairs.row] * context[pairs.col])
    matrix = sparse.csr_matrix((np.maximum(np.log(ratio), 0.0), (pairs.row, pairs.col)), counts.shape)
    matrix.eliminate_zeros()
    return matrix


def truncated_svd(
    matrix: sparse.csr_matrix, rank: int, generator: np.random.Generator, iterations: int = 4
) -> np.ndarray:
    """Left factors U sqrt(S), ``(V, rank) float64``; columns past the rank of the matrix are zero.

    Randomised subspace iteration (Halko, Martinsson & Tropp 2011, algorithm 4.4).
    """
    width = min(rank + 10, matrix.shape[0])
    basis = np.linalg.qr(matrix @ generator.standard_normal((matrix.shape[1], width)))[0]
    for _ in range(iterations):
        basis = np.linalg.qr(matrix @ np.linalg.qr(matrix.T @ basis)[0])[0]
    left, singular, _ = np.linalg.svd(np.asarray(matrix.T @ basis).T, full_matrices=False)
    factors = (basis @ left) * np.sqrt(singular)
    padded = np.zeros((matrix.shape[0], rank))
    kept = min(rank, factors.shape[1])
    padded[:, :kept] = factors[:, :kept]
    return padded


def item_vectors(
    rows: TrainingRows, n_items: int, d_model: int, generator: np.random.Generator
) -> np.ndarray:
    """First item vectors.

    Args:
        rows: events to learn neighbourhoods from.
        n_items: V.
        d_model: D.
        generator: draws the SVD's start and a little noise that keeps items without company apart.

    Returns:
        ``(V, D) float32``.
    """
    factors = truncated_svd(positive_pmi(cooccurrence(rows, n_items, _WINDOW)), d_model, generator)
    spread = np.sqrt(np.mean(factors**2))
    if spread > 0:
        factors *= _SCALE / spread
    noise = generator.standard_normal((n_items, d_model)) * _SCALE * 0.1
    return (factors + noise).astype(np.float32)


def item_biases(rows: TrainingRows, n_items: int, smoothing: float = 1.0) -> np.ndarray:
    """Log share of each item among the targets, centred, ``(V,) float32``: popularity, before any history."""
    counts = np.bincount(rows.item[rows.is_target], minlength=n_items) + smoothing
    logs = np.log(counts / counts.sum())
    return (logs - logs.mean()).astype(np.float32)


def grown_vectors(rows: TrainingRows, known: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Vectors for a vocabulary that has grown: a new item starts as the mean of the company it keeps.

    Args:
        rows: events over the new vocabulary.
        known: ``(V,) bool``, which items of the new vocabulary have a vector.
        vectors: ``(known.sum(), D) float32``, in the new vocabulary's order.

    Returns:
        ``(V, D) float32``; zeros for a new item that keeps no known company.
    """
    grown = np.zeros((len(known), vectors.shape[1]), np.float32)
    grown[known] = vectors
    if known.all():
        return grown
    company = cooccurrence(rows, len(known), _WINDOW)[~known][:, known]
    total = np.asarray(company.sum(axis=1))
    grown[~known] = (company @ vectors) / np.maximum(total, 1.0)[:, None].reshape(-1, 1)
    return grown
