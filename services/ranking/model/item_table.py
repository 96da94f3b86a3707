"""The item table in service: a bundle's rows, and behind them those of its deltas.

A table is a view of arrays with room for more: rows that come later lie beyond it, so a request that holds it is not
disturbed. Vectors of rows that are there change in place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

UNKNOWN = -1
_GROWTH = 1.25


@dataclass(frozen=True, slots=True)
class _Room:
    """Arrays for R rows. vectors (R + 1, D) float32 holds row i at i + 1 and zeros at 0, which UNKNOWN reads; columns
    (D, R) float32 is the same for products; keys (R,) uint64; biases (R,) float32."""

    vectors: np.ndarray
    columns: np.ndarray
    keys: np.ndarray
    biases: np.ndarray

    @classmethod
    def of(cls, rows: int, dimension: int) -> _Room:
        return cls(
            np.zeros((rows + 1, dimension), np.float32),
            np.zeros((dimension, rows), np.float32),
            np.zeros(rows, np.uint64),
            np.zeros(rows, np.float32),
        )

    def write(self, rows: np.ndarray, vectors: np.ndarray, biases: np.ndarray) -> None:
        self.vectors[rows + 1], self.columns[:, rows], self.biases[rows] = vectors, vectors.T, biases


class ItemTable:
    """V rows. keys: (V,) uint64, ascending up to where the bundle's rows end. spare: rows for new items that there is
    room for from the start."""

    def __init__(
        self, item_keys: np.ndarray, vectors: np.ndarray, biases: np.ndarray, spare: int = 0
    ) -> None:
        room = _Room.of(len(item_keys) + spare, vectors.shape[1])
        room.keys[: len(item_keys)] = item_keys
        room.write(np.arange(len(item_keys)), vectors, biases)
        self._set(room, len(item_keys), len(item_keys))

    def _set(self, room: _Room, of_bundle: int, rows: int) -> None:
        self._room, self._of_bundle = room, of_bundle
        self.keys, self.biases = room.keys[:rows], room.biases[:rows]
        self.columns = room.columns[:, :rows]
        added = self.keys[of_bundle:]
        self._order = np.argsort(added)
        self._added = added[self._order]

    def __getstate__(self) -> tuple[_Room, int, int]:
        return self._room, self._of_bundle, len(self)

    def __setstate__(self, state: tuple[_Room, int, int]) -> None:
        self._set(*state)

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self, keys: np.ndarray) -> np.ndarray:
        """Rows of `keys` uint64, of any shape; UNKNOWN (-1) where the table lacks one."""
        found = _find(self.keys[: self._of_bundle], keys)
        if not len(self._added):
            return found
        added = _find(self._added, keys)
        return np.where(added >= 0, self._of_bundle + self._order[added], found)

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """Vectors (..., D) float32 of rows (...) int64, zeros for UNKNOWN."""
        return self._room.vectors[rows + 1]

    def with_rows(self, keys: np.ndarray, vectors: np.ndarray, biases: np.ndarray) -> ItemTable:
        """The table after rows (N,) were set: this one, changed in place, or a longer one when some of the keys, which
        are distinct, are new."""
        rows = self.rows(keys)
        known = rows >= 0
        self._room.write(rows[known], vectors[known], biases[known])
        return self if known.all() else self._longer(keys[~known], vectors[~known], biases[~known])

    def _longer(self, keys: np.ndarray, vectors: np.ndarray, biases: np.ndarray) -> ItemTable:
        before, after = len(self), len(self) + len(keys)
        room = self._room if after <= len(self._room.keys) else self._larger(int(after * _GROWTH))
        room.keys[before:after] = keys
        room.write(np.arange(before, after), vectors, biases)
        table = ItemTable.__new__(ItemTable)
        table._set(room, self._of_bundle, after)
        return table

    def _larger(self, rows: int) -> _Room:
        kept, room = len(self), _Room.of(rows, len(self.columns))
        room.keys[:kept], room.biases[:kept] = self.keys, self.biases
        room.vectors[: kept + 1], room.columns[:, :kept] = self._room.vectors[: kept + 1], self.columns
        return room


def _find(ascending: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Places of keys in an ascending array of at least one, UNKNOWN where it lacks one."""
    places = np.searchsorted(ascending, keys)
    places[places == len(ascending)] = 0
    return np.where(ascending[places] == keys, places, UNKNOWN)
