"""What a user has consumed of items that have left their history."""

from __future__ import annotations

from array import array

import numpy as np

ITEM_BYTES = 12
"""Of an item: its key, and a bit for each event type."""


class Departed:
    """Items in the order they left, and by which event types each was consumed: a refund takes back a purchase, not
    what the user thought of the item."""

    __slots__ = ("_keys", "_types")

    def __init__(self, stored: bytes = b"") -> None:
        """stored: what `stored` gave."""
        keys = len(stored) // ITEM_BYTES * 8
        self._keys, self._types = array("Q", stored[:keys]), array("I", stored[keys:])

    def add(self, item_key: int, event_type: int) -> None:
        """An entry has left."""
        at = self._find(item_key)
        if at < 0:
            self._keys.append(item_key)
            self._types.append(1 << event_type)
        else:
            self._types[at] |= 1 << event_type

    def take_back(self, item_key: int, event_type: int) -> bool:
        """Whether the item had been consumed by an event of this type; it has not been any more."""
        at = self._find(item_key)
        if at < 0 or not self._types[at] >> event_type & 1:
            return False
        self._types[at] ^= 1 << event_type
        if not self._types[at]:
            del self._keys[at], self._types[at]
        return True

    def _find(self, item_key: int) -> int:
        """Where an item is, -1 for nowhere. array.index takes 50 times as long, at each event of a long history."""
        if not self._keys:
            return -1
        fits = np.frombuffer(self._keys, np.uint64) == item_key
        at = int(fits.argmax())
        return at if fits[at] else -1

    @property
    def item_keys(self) -> np.ndarray:
        """Distinct items (m,) uint64, in the order they left."""
        return np.array(self._keys, np.uint64)

    @property
    def stored(self) -> bytes:
        """All of it."""
        return self._keys.tobytes() + self._types.tobytes()
