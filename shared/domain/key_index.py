"""Where the rows of a table are, by key: open addressing in two numpy arrays, so that an entry takes about 20 bytes
and a batch of keys is looked up at once.

The place is the upper half of key times an odd number (Fibonacci hashing, Knuth, The Art of Computer Programming,
volume 3, section 6.4), with linear probing (algorithm L there); removed entries leave a mark that the next growth
clears.
"""

from __future__ import annotations

import numpy as np

_EMPTY, _REMOVED = -1, -2
_LEAST_PLACES = 64
_FULL = 0.6
_GROWTH = 1.35
_FEW = 12
"""Up to so many keys are looked up quicker one by one."""
_HALF = np.uint64(32)
ODD = 0x9E37_79B9_7F4A_7C15
OTHER_ODD = 0xD6E8_FEB8_6659_FD93
_MASK = 0xFFFF_FFFF_FFFF_FFFF


class KeyIndex:
    """Row numbers (int32, 0 and up) by key (uint64). odd: decides the places. An index that takes keys over from
    another needs one of its own: keys that lie side by side there would crowd into the same places here."""

    def __init__(self, odd: int = ODD) -> None:
        self._odd = odd
        self._count = 0
        self._taken = 0
        self._reserve(_LEAST_PLACES)

    def __len__(self) -> int:
        return self._count

    def _reserve(self, places: int) -> None:
        self._places = places
        self._keys = np.zeros(places, np.uint64)
        self._rows = np.full(places, _EMPTY, np.int32)

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Rows (n,) int32 of keys (n,) uint64; -1 for a key that is not there."""
        if len(keys) <= _FEW:
            return np.array([self.find_one(key) for key in keys.tolist()], np.int32)
        found = np.full(len(keys), -1, np.int32)
        place, left = self._home(keys), np.arange(len(keys))
        while len(left):
            rows = self._rows[place]
            hit = (self._keys[place] == keys[left]) & (rows >= 0)
            found[left[hit]] = rows[hit]
            on = ~hit & (rows != _EMPTY)
            left, place = left[on], self._next(place[on])
        return found

    def find_one(self, key: int) -> int:
        """Row of one key; -1 when it is not there."""
        place = ((key * self._odd & _MASK) >> 32) * self._places >> 32
        while (row := self._rows.item(place)) != _EMPTY:
            if row >= 0 and self._keys.item(place) == key:
                return row
            place = place + 1 if place + 1 < self._places else 0
        return -1

    def add(self, keys: np.ndarray, rows: np.ndarray) -> None:
        """Add distinct keys (n,) uint64 that are not there, with their rows (n,)."""
        if self._taken + len(keys) > _FULL * self._places:
            self._grow(self._count + len(keys))
        self._place(keys, rows)
        self._count += len(keys)

    def _place(self, keys: np.ndarray, rows: np.ndarray) -> None:
        self._taken += len(keys)
        place, left = self._home(keys), np.arange(len(keys))
        while len(left):
            free = self._rows[place] == _EMPTY
            self._rows[place[free]] = rows[left[free]]  # of several that want one place the last one gets it
            self._keys[place[free]] = keys[left[free]]
            placed = free & (self._rows[place] == rows[left])
            left, place = left[~placed], self._next(place[~placed])

    def remove(self, keys: np.ndarray) -> None:
        """Remove distinct keys (n,) uint64 that are there."""
        place, left = self._home(keys), np.arange(len(keys))
        while len(left):
            hit = (self._keys[place] == keys[left]) & (self._rows[place] >= 0)
            self._rows[place[hit]] = _REMOVED
            left, place = left[~hit], self._next(place[~hit])
        self._count -= len(keys)

    def entries(self) -> tuple[np.ndarray, np.ndarray]:
        """All keys (n,) uint64 and their rows (n,) int32, in no set order."""
        held = self._rows >= 0
        return self._keys[held], self._rows[held]

    def _grow(self, count: int) -> None:
        keys, rows = self.entries()
        self._taken = 0
        self._reserve(max(_LEAST_PLACES, int(count / _FULL * _GROWTH) + 1))
        self._place(keys, rows)

    def _home(self, keys: np.ndarray) -> np.ndarray:
        scrambled = (keys * np.uint64(self._odd)) >> _HALF
        return ((scrambled * np.uint64(self._places)) >> _HALF).astype(np.int64)

    def _next(self, place: np.ndarray) -> np.ndarray:
        place = place + 1
        place[place == self._places] = 0
        return place
