"""Users that left memory: their keys and the digests of what was stored of them, about 55 bytes each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.domain.key_index import OTHER_ODD, KeyIndex

_DIGEST_BYTES = 32


class AwayUsers:
    """A set of keys with a digest each."""

    def __init__(self) -> None:
        self._index = KeyIndex(OTHER_ODD)
        self._digests = np.zeros((64, _DIGEST_BYTES), np.uint8)
        self._free: list[int] = []
        self._rows = 0

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, user_key: int) -> bool:
        return self._index.find_one(user_key) >= 0

    def among(self, user_keys: np.ndarray) -> np.ndarray:
        """Which of keys (n,) uint64 are away, (n,) bool."""
        if not len(self._index):
            return np.zeros(len(user_keys), bool)
        return self._index.find(user_keys) >= 0

    def add(self, user_keys: np.ndarray, digests: Sequence[int]) -> None:
        """Add distinct users (n,) uint64 who are not among them. digests: a number below 2^256 of each."""
        rows = self._new_rows(len(user_keys))
        raw = b"".join([digest.to_bytes(_DIGEST_BYTES, "little") for digest in digests])
        self._digests[rows] = np.frombuffer(raw, np.uint8).reshape(-1, _DIGEST_BYTES)
        self._index.add(user_keys, rows)

    def _new_rows(self, count: int) -> np.ndarray:
        reused = [self._free.pop() for _ in range(min(count, len(self._free)))]
        first = self._rows
        self._rows += count - len(reused)
        if self._rows > len(self._digests):
            room = max(self._rows, 2 * len(self._digests)) - len(self._digests)
            self._digests = np.concatenate([self._digests, np.zeros((room, _DIGEST_BYTES), np.uint8)])
        return np.array([*reused, *range(first, self._rows)], np.int32)

    def remove(self, user_key: int) -> bool:
        """Remove a user. False when they were not among them."""
        if (row := self._index.find_one(user_key)) < 0:
            return False
        self._index.remove(np.array([user_key], np.uint64))
        self._free.append(row)
        return True

    def keys(self) -> np.ndarray:
        """All keys (n,) uint64, in no set order."""
        return self._index.entries()[0]

    def digest_of(self, user_key: int) -> int:
        """The digest of a user who is among them."""
        return int.from_bytes(self._digests[self._index.find_one(user_key)].tobytes(), "little")
