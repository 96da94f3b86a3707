"""A model in service: the encoder in onnxruntime, the item table in numpy. Immutable but for the catalogue's view.

The only file of the service that touches onnxruntime.
"""

from __future__ import annotations

import numpy as np
import onnxruntime

from shared.adapters.bundle import Bundle, CorruptBundleError
from shared.domain.manifest import ENCODER_INPUTS, ENCODER_OUTPUT
from shared.domain.sequence_rules import Mixture

GOLDEN_TOLERANCE = 1e-4
"""Largest difference allowed between the golden output and what the encoder gives here."""
UNKNOWN = -1


class Scorer:
    """Scores the whole item table for a batch of histories. Raises CorruptBundleError when a check fails."""

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.bundle = bundle
        self.item_keys = bundle.item_keys
        self.dimension = bundle.manifest.dimension
        self._session = _session(bundle.encoder, threads)
        self._vectors = np.vstack([bundle.item_vectors, np.zeros((1, self.dimension), np.float32)])
        self._items = np.ascontiguousarray(bundle.item_vectors.T)
        self._biases = bundle.item_biases
        self._mixture = bundle.manifest.mixture or Mixture()
        self._check_golden()

    def rows(self, keys: np.ndarray) -> np.ndarray:
        """Rows in the item table of `keys` uint64, of any shape; UNKNOWN (-1) where the table lacks one."""
        places = np.searchsorted(self.item_keys, keys)
        places[places == len(self.item_keys)] = 0
        return np.where(self.item_keys[places] == keys, places, UNKNOWN)

    def user_vectors(self, rows: np.ndarray, event_type: np.ndarray, age_seconds: np.ndarray) -> np.ndarray:
        """Vectors (B, D) float32 of users. Arguments as `aligned` gives them.

        rows (B, T) int64 of the item table, UNKNOWN where there is no event or its item has no vector;
        event_type (B, T) int64; age_seconds (B, T) float32, from event to now.
        """
        known = rows >= 0
        inputs = {
            "history_vectors": self._vectors[rows],
            "event_type": np.where(known, event_type, 0),
            "age_seconds": np.where(known, age_seconds, 0).astype(np.float32),
            "mask": known,
        }
        return self._session.run([ENCODER_OUTPUT], inputs)[0]

    def scores(self, user_vectors: np.ndarray) -> np.ndarray:
        """Scores (B, V) float32 of every item of the table, the caller's to change."""
        scores = user_vectors @ self._items
        scores += self._biases
        return scores

    def add_rules(self, scores: np.ndarray, rows: np.ndarray, event_type: np.ndarray) -> None:
        """Add to `scores` (B, V), in place, what the bundle's rules call for. rows, event_type: as `user_vectors`."""
        if self.bundle.rules is not None and self._mixture.weight:
            self._mixture.add(scores, self.bundle.rules, self._mixture.firing(rows, event_type))

    def _check_golden(self) -> None:
        golden = self.bundle.golden
        try:
            actual = self._session.run([ENCODER_OUTPUT], {name: golden[name] for name in ENCODER_INPUTS})[0]
        except Exception as error:  # as above
            raise CorruptBundleError(f"the encoder fails on the golden inputs: {error!r}") from error
        expected = golden.get(ENCODER_OUTPUT, np.empty(0, np.float32))
        if actual.shape != expected.shape or actual.shape[1:] != (self.dimension,):
            shapes = f"the encoder gives {actual.shape}, the golden output has {expected.shape}"
            raise CorruptBundleError(f"{shapes}, the item table has {self.dimension} dimensions")
        difference = float(np.abs(actual - expected).max(initial=0.0))
        if not difference <= GOLDEN_TOLERANCE:
            raise CorruptBundleError(
                f"golden outputs differ by {difference:.2g}, more than {GOLDEN_TOLERANCE}"
            )


def aligned(rows: np.ndarray, *columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """Histories (B, T) with the events on known items at the right, in order, and no wider than the longest of them
    needs; the columns in the same order."""
    known = rows >= 0
    order = np.argsort(known, axis=1, kind="stable")
    width = max(1, int(known.sum(axis=1).max(initial=0)))
    order = order[:, -width:]
    return tuple(np.take_along_axis(each, order, 1) for each in (rows, *columns))


def _session(encoder: bytes, threads: int) -> onnxruntime.InferenceSession:
    """A session whose memory goes back when it is dropped: without the arena, which keeps what it once had."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(encoder, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own for each kind of bad graph
        raise CorruptBundleError(f"onnxruntime refuses the encoder: {error}") from error
    names = {tensor.name for tensor in session.get_inputs()}
    if names != set(ENCODER_INPUTS):
        raise CorruptBundleError(f"the encoder takes {sorted(names)}, not {sorted(ENCODER_INPUTS)}")
    return session
