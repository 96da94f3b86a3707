"""A model in service: the encoder in onnxruntime, the item table and the rules in numpy. Items are for good: deltas
change numbers in place, and more items make another scorer.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from mmap import mmap
from typing import Any

import numpy as np

from services.ranking.model.item_table import UNKNOWN, ItemTable
from services.ranking.model.precision import FLOAT32, GOLDEN_TOLERANCE, open_encoder
from services.ranking.model.ranker import ItemInputs, Ranker
from services.ranking.model.sessions import Session
from shared.adapters.codecs.bundle import Bundle
from shared.domain.models.delta import Delta, DeltaRefusedError
from shared.domain.models.live_rules import LiveRules
from shared.domain.models.manifest import ENCODER_INPUTS, ENCODER_OUTPUT, model_version
from shared.domain.models.mixture import Experts, Mixture

SPARE_ROWS, SPARE_SHARE = 256, 20
"""Room for new items from the start, and for one more for each so many that a bundle has. To copy a table of 100,000
into a larger one holds up every call for a third of a second, and the first new item would ask for that."""
__all__ = ["GOLDEN_TOLERANCE", "UNKNOWN", "Scorer", "aligned"]


class Scorer:
    """Scores the whole item table for a batch of histories. Raises CorruptBundleError when a check fails. It travels to
    another process whole, arrays as buffers of their own.

    manifest, digest: of the bundle. precision: which of its encoders serves, and why it is not the one that was wanted.
    memory: what its arrays lie in, when another process has made it.
    """

    def __init__(self, bundle: Bundle, threads: int = 1, precision: str = FLOAT32) -> None:
        self.manifest, self.digest = bundle.manifest, bundle.digest
        self.dimension = bundle.manifest.dimension
        self.memory: mmap | None = None
        opened = open_encoder(
            bundle, precision, partial(Session, what="encoder", inputs=ENCODER_INPUTS, threads=threads)
        )
        self._session, self.precision = opened.session, opened.precision
        spare = SPARE_ROWS + len(bundle.item_keys) // SPARE_SHARE
        self._table = ItemTable(bundle.item_keys, bundle.item_vectors, bundle.item_biases, spare)
        self._mixture = bundle.manifest.mixture or Mixture()
        sequence = bundle.experts.sequence if self._mixture.weight > 0 else None
        self._live = LiveRules(sequence, spare=spare) if sequence is not None else None
        self._experts = Experts(self._live.view if self._live is not None else None, bundle.experts.ease)
        self.ranker = Ranker(bundle, threads) if bundle.ranker else None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_experts": replace(self._experts, sequence=None)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The rules that are served are a view of those that learn, as before the journey."""
        self.__dict__.update(state)
        if self._live is not None:
            self._experts = replace(self._experts, sequence=self._live.view)

    @property
    def version(self) -> str:
        """The model version."""
        return model_version(self.digest)

    @property
    def item_keys(self) -> np.ndarray:
        """Keys (V,) uint64 of the item table, the bundle's ascending, then those of its deltas."""
        return self._table.keys

    def rows(self, keys: np.ndarray) -> np.ndarray:
        """Rows in the item table of `keys` uint64, of any shape; UNKNOWN (-1) where the table lacks one."""
        return self._table.rows(keys)

    def user_vectors(self, rows: np.ndarray, event_type: np.ndarray, age_seconds: np.ndarray) -> np.ndarray:
        """Vectors (B, D) float32 of users. Arguments as `aligned` gives them.

        rows (B, T) int64 of the item table, UNKNOWN where there is no event or its item has no vector;
        event_type (B, T) int64; age_seconds (B, T) float32, of which differences count only.
        """
        known = rows >= 0
        inputs = {
            "history_vectors": self._table.vectors(rows),
            "event_type": np.where(known, event_type, 0),
            "age_seconds": np.where(known, age_seconds, 0).astype(np.float32),
            "mask": known,
        }
        return self._session.run(ENCODER_OUTPUT, inputs)

    def scores(self, user_vectors: np.ndarray) -> np.ndarray:
        """Scores (B, V) float32 of every item of the table, the caller's to change."""
        scores = user_vectors @ self._table.columns
        scores += self._table.biases
        return scores

    def add_rules(self, scores: np.ndarray, rows: np.ndarray, event_type: np.ndarray) -> None:
        """Add to `scores` (B, V), in place, what the bundle's rules call for. rows, event_type: as `user_vectors`."""
        if any(self._mixture.voices(self._experts)):
            self._mixture.add(scores, self._experts, self._mixture.firing(rows, event_type))

    def item_inputs(
        self, user_vectors: np.ndarray, rows: np.ndarray, event_type: np.ndarray, items: np.ndarray
    ) -> ItemInputs:
        """What some items (B, N) int64, rows of the table or UNKNOWN, are scored by. rows, event_type: as
        `user_vectors`."""
        biases = np.where(items >= 0, self._table.biases[items], np.float32(0))
        fired = self._mixture.firing(rows, event_type)
        rules = self._mixture.candidate_gains(self._experts, fired, items)
        return ItemInputs(user_vectors, self._table.vectors(items), biases, rules)

    def warm_up(self) -> None:
        """What a first request would wait for."""
        nobody = np.full((1, 1), UNKNOWN, np.int64)
        self.scores(self.user_vectors(nobody, np.zeros_like(nobody), np.zeros(nobody.shape, np.float32)))

    def learned(self, delta: Delta) -> Scorer:
        """The scorer after a checked delta, which it takes in place; another one when there are more items, and this
        one then serves its own on. Raises DeltaRefusedError, and is as it was, when rules name items without a row."""
        named = np.concatenate([delta.rule_keys, delta.follower_keys])
        known = np.isin(named, delta.item_keys) | (self.rows(named) >= 0)
        if not known.all():
            raise DeltaRefusedError(f"{(~known).sum()} of its rules name items without a row")
        scorer = self._with_rows(delta)
        if scorer._live is not None:
            rows, followers = scorer.rows(delta.rule_keys), scorer.rows(delta.follower_keys)
            scorer._live.add(rows, followers, delta.counts)
        return scorer

    def _with_rows(self, delta: Delta) -> Scorer:
        table = self._table.with_rows(delta.item_keys, delta.vectors, delta.biases)
        if table is self._table:
            return self
        scorer = copy.copy(self)
        scorer._table = table
        if scorer._live is not None:
            scorer._live.grow(len(table))
            scorer._experts = replace(scorer._experts, sequence=scorer._live.view)
        return scorer


def aligned(rows: np.ndarray, *columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """Histories (B, T) with the events on known items at the right, in order, and no wider than the longest of them
    needs; the columns in the same order."""
    known = rows >= 0
    if known.all():
        return (rows, *columns)
    order = np.argsort(known, axis=1, kind="stable")
    width = max(1, int(known.sum(axis=1).max(initial=0)))
    order = order[:, -width:]
    return tuple(np.take_along_axis(each, order, 1) for each in (rows, *columns))
