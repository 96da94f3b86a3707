"""Which rows of a group came before a given moment, for many moments at once."""

from __future__ import annotations

import numpy as np


class Timeline:
    """Rows of a log grouped by a key, each group in log order.

    Attributes:
        rows: ``(M,) int64``, indices of the log's rows, group after group.
    """

    def __init__(self, keys: np.ndarray, moments: np.ndarray, rows: np.ndarray) -> None:
        """Groups some rows.

        Args:
            keys: ``(N,)``, the group of each row of the log.
            moments: ``(N,) int64``, nondecreasing from 0: rows of one event share their moment.
            rows: ``(M,) int64``, ascending: the rows that count.
        """
        self._groups, group = np.unique(keys[rows], return_inverse=True)
        self._moments = int(moments[-1]) + 2 if len(moments) else 1
        order = np.argsort(group, kind="stable")
        self.rows = rows[order]
        self._codes = group[order] * self._moments + moments[self.rows]
        self._starts = np.searchsorted(self._codes, np.arange(len(self._groups)) * self._moments)

    def before(self, keys: np.ndarray, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where in ``rows`` each group's rows before a moment lie.

        Args:
            keys: ``(Q,)``, groups; one without rows gets an empty span.
            moments: ``(Q,) int64``.

        Returns:
            Start and end, ``(Q,) int64`` each.
        """
        if not len(self._groups):
            return np.zeros(len(keys), np.int64), np.zeros(len(keys), np.int64)
        group = np.minimum(np.searchsorted(self._groups, keys), len(self._groups) - 1)
        start = self._starts[group]
        end = np.searchsorted(self._codes, group * self._moments + moments)
        return start, np.where(self._groups[group] == keys, end, start)

    def counts_before(self, keys: np.ndarray, moments: np.ndarray) -> np.ndarray:
        """``(Q,) int64``: how many rows of each group came before a moment."""
        start, end = self.before(keys, moments)
        return end - start


def spread(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spans laid out one after the other.

    Args:
        start: ``(Q,) int64``.
        end: ``(Q,) int64``, >= start.

    Returns:
        The indices in all spans ``(S,) int64``, and where each span lies in them ``(Q + 1,) int64``.
    """
    counts = end - start
    offsets = np.append(0, np.cumsum(counts))
    return np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], counts), offsets


def moments_of(position: np.ndarray) -> np.ndarray:
    """``(N,) int64``: 0 for the rows of the first event, 1 for those of the next, from positions ``(N,)``."""
    if not len(position):
        return np.empty(0, np.int64)
    return np.append(0, np.cumsum(position[1:] != position[:-1]))
