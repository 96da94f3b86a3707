"""A set of ids that forgets what they were: it says "certainly not here" or "perhaps" (Bloom 1970).

20 bits and 8 probes an id let about 1 of 7,000 ids that are not here pass as "perhaps". It grows by further filters,
each twice as large as the one before (Almeida, Baquero, Preguica and Hutchison 2007).
"""

from __future__ import annotations

import numpy as np

BITS_PER_ID = 20
_PROBES = np.arange(8, dtype=np.uint64)
_FIRST_CAPACITY = 500_000


class IdFilter:
    """Ids as pairs of hashes, (n, 2) uint64."""

    def __init__(self, first_capacity: int = _FIRST_CAPACITY) -> None:
        self._capacity = first_capacity
        self._held = 0
        self._filters = [self._new()]

    def _new(self) -> np.ndarray:
        return np.zeros(self._capacity * BITS_PER_ID // 8 + 1, np.uint8)

    def add(self, hashes: np.ndarray) -> None:
        """Add ids."""
        if self._held + len(hashes) > self._capacity:
            self._capacity, self._held = max(2 * self._capacity, len(hashes)), 0
            self._filters.append(self._new())
        self._held += len(hashes)
        byte, bit = _places(hashes, self._filters[-1])
        np.bitwise_or.at(self._filters[-1], byte.ravel(), bit.ravel())

    def perhaps(self, hashes: np.ndarray) -> np.ndarray:
        """Which ids may be here, (n,) bool; the others certainly are not."""
        found = np.zeros(len(hashes), bool)
        for each in self._filters:
            byte, bit = _places(hashes, each)
            found |= ((each[byte] & bit) != 0).all(axis=1)
        return found


def _places(hashes: np.ndarray, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bytes (n, 8) and masks (n, 8) of the probes of each id: h1 + i h2 (Kirsch and Mitzenmacher 2006)."""
    place = (hashes[:, :1] + _PROBES * (hashes[:, 1:] | np.uint64(1))) % np.uint64(len(bits) * 8)
    return (place >> np.uint64(3)).astype(np.int64), (1 << (place & np.uint64(7))).astype(np.uint8)
