"""Scores by an exported graph and an item table: what serving computes."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from services.trainer.model.answering.scoring import Histories, encoder_inputs
from services.trainer.model.export.encoder_graph import OUTPUT_NAME, session_of


class Table(Protocol):
    """What has item rows: a trained model, a bundle."""

    @property
    def item_keys(self) -> np.ndarray:
        """``(V,) uint64``, sorted ascending."""

    @property
    def item_vectors(self) -> np.ndarray:
        """``(V, D) float32``."""

    @property
    def item_biases(self) -> np.ndarray:
        """``(V,) float32``."""


class GraphScorer:
    """Scores = user_vector . item_vectors' + item_biases."""

    def __init__(self, graph: bytes, table: Table, threads: int = 1) -> None:
        """Raises ExportError when onnxruntime refuses the graph."""
        self._table = table
        self._session = session_of(graph, threads)

    @property
    def item_keys(self) -> np.ndarray:
        """``(V,) uint64``, sorted ascending."""
        return self._table.item_keys

    def __deepcopy__(self, _: dict[int, object]) -> GraphScorer:
        """Itself: nothing about it changes."""
        return self

    def __call__(self, histories: Histories) -> np.ndarray:
        """Scores ``(B, V) float32``; events on items the table does not know are left out of the history."""
        table = self._table
        inputs = encoder_inputs(histories, table.item_keys, table.item_vectors)
        (users,) = self._session.run([OUTPUT_NAME], inputs)
        return users @ table.item_vectors.T + table.item_biases
