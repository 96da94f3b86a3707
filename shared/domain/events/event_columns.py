"""Events as columns: the form in which the trainer reads the log.

One row stands for one (event, item) pair; rows are in log order. Columns are numpy arrays of equal length, so
a million events take about 44 MB and every operation on them is vectorised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

_DTYPES = {
    "position": np.int64,
    "user_key": np.uint64,
    "item_key": np.uint64,
    "event_type": np.int64,
    "time_ms": np.int64,
    "value": np.float32,
}


@dataclass(frozen=True, slots=True, eq=False)
class EventColumns:
    """N rows of (event, item) in log order.

    Columns, all of shape ``(N,)``:
        position: int64, the log sequence of the event; nondecreasing: an event of several items repeats it.
        user_key: uint64, ``xxh3_64`` of the user id.
        item_key: uint64, ``xxh3_64`` of the item id.
        event_type: int64, a code of the event vocabulary (1 and up; 0 is padding and never stands in a row).
        time_ms: int64, event time in milliseconds since the epoch; need not be ordered.
        value: float32, such as a rating; NaN where the event carries none.

    Raises:
        ValueError: a column is not one-dimensional, its length or dtype differs, or positions decrease.
    """

    position: np.ndarray
    user_key: np.ndarray
    item_key: np.ndarray
    event_type: np.ndarray
    time_ms: np.ndarray
    value: np.ndarray

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            _check_column(name, getattr(self, name), dtype, len(self.position))
        if np.any(self.position[1:] < self.position[:-1]):
            raise ValueError("position must be nondecreasing: rows stand in log order")

    def __len__(self) -> int:
        return len(self.position)

    @classmethod
    def empty(cls) -> EventColumns:
        """Columns of no rows."""
        return cls(**{name: np.empty(0, dtype) for name, dtype in _DTYPES.items()})

    def take(self, selection: np.ndarray | slice) -> EventColumns:
        """The selected rows: a boolean mask ``(N,)``, an ascending index array, or a slice.

        Raises:
            ValueError: the selection leaves log order.
            IndexError: an index is out of range, or a mask has another length.
        """
        return EventColumns(**{field.name: getattr(self, field.name)[selection] for field in fields(self)})

    def pairs(self) -> np.ndarray:
        """``(N,) int64``: the number of each row's pair of user and item, from 0."""
        users = np.unique(self.user_key, return_inverse=True)[1]
        known, items = np.unique(self.item_key, return_inverse=True)
        numbered: np.ndarray = np.unique(users * len(known) + items, return_inverse=True)[1]
        return numbered

    @staticmethod
    def concatenate(parts: Sequence[EventColumns]) -> EventColumns:
        """The parts one after the other; they must follow each other in the log.

        Raises:
            ValueError: a part starts before the end of the part ahead of it.
        """
        if not parts:
            return EventColumns.empty()
        return EventColumns(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _DTYPES}
        )


def _check_column(name: str, column: np.ndarray, dtype: type, length: int) -> None:
    if column.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {column.shape}")
    if len(column) != length:
        raise ValueError(f"{name} has {len(column)} rows, position has {length}")
    if column.dtype != dtype:
        raise ValueError(f"{name} must be {np.dtype(dtype).name}, got {column.dtype.name}")
