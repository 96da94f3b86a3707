"""A delta: what a served model has learned since the delta before it, or since its bundle.

Deltas of a model are numbered from 1, and each names the digest of all before it: whoever applies them in order has
the same rows and rules as everybody else who does, and a missing, foreign or damaged one is found at once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np


class DeltaRefusedError(ValueError):
    """A delta that may not be applied; the message says what does not fit."""


@dataclass(frozen=True, eq=False)
class Delta:
    """Rows of new or changed items: item_keys (N,) uint64, vectors (N, D) float32, biases (N,) float32. What followed
    what, beyond what was told before: rule_keys (P,) uint64 was followed by follower_keys (P,) uint64, counts (P,)
    float32 > 0 times, distinct pairs. Rows come first: rules may name them.

    to_position: of the log, up to where everything is in it. since_ms: when the oldest of its news was read; not
    part of the digest.
    """

    model_version: str
    sequence: int
    to_position: int
    item_keys: np.ndarray
    vectors: np.ndarray
    biases: np.ndarray
    rule_keys: np.ndarray
    follower_keys: np.ndarray
    counts: np.ndarray
    digest: bytes = b""
    since_ms: int = 0

    def digest_behind(self, digest: bytes) -> bytes:
        """sha256 of the digest before it and of what it holds."""
        sizes = (
            self.sequence,
            self.to_position,
            len(self.item_keys),
            self.vectors.shape[-1],
            len(self.counts),
        )
        hashed = hashlib.sha256(digest + self.model_version.encode() + np.array(sizes, "<u8").tobytes())
        for array in self._arrays():
            hashed.update(np.ascontiguousarray(array).tobytes())
        return hashed.digest()

    def sealed(self, digest: bytes) -> Delta:
        """The delta with its digest behind the one before it."""
        return replace(self, digest=self.digest_behind(digest))

    def _arrays(self) -> tuple[np.ndarray, ...]:
        return (
            self.item_keys,
            self.vectors,
            self.biases,
            self.rule_keys,
            self.follower_keys,
            self.counts,
        )

    def check(self) -> None:
        """Raise DeltaRefusedError unless lengths fit and numbers can be reckoned with."""
        rows, pairs = len(self.item_keys), len(self.counts)
        if self.vectors.ndim != 2 or len(self.vectors) != rows or len(self.biases) != rows:
            raise DeltaRefusedError(f"{rows} items have vectors of {self.vectors.shape}")
        if len(self.rule_keys) != pairs or len(self.follower_keys) != pairs:
            raise DeltaRefusedError(f"{pairs} counts are of {len(self.rule_keys)} items")
        if len(np.unique(self.item_keys)) != rows:
            raise DeltaRefusedError("an item has two rows")
        if not (np.isfinite(self.vectors).all() and np.isfinite(self.biases).all()):
            raise DeltaRefusedError("rows hold numbers that are not finite")
        if not (np.isfinite(self.counts).all() and (self.counts > 0).all()):
            raise DeltaRefusedError("counts are not above 0")


class Chain:
    """The deltas of one model so far. sequence, digest, to_position: of the last one; 0 and empty before the first."""

    def __init__(self, model_version: str, to_position: int = 0) -> None:
        self.model_version = model_version
        self.sequence = 0
        self.digest = b""
        self.to_position = to_position

    def check(self, delta: Delta) -> None:
        """Raise DeltaRefusedError unless this is the next one, intact."""
        if delta.model_version != self.model_version:
            raise DeltaRefusedError(f"it is of model {delta.model_version}")
        if delta.sequence != self.sequence + 1:
            raise DeltaRefusedError(f"delta {delta.sequence} does not follow {self.sequence}")
        if delta.to_position < self.to_position:
            raise DeltaRefusedError(f"position {delta.to_position} lies before {self.to_position}")
        if delta.digest != delta.digest_behind(self.digest):
            raise DeltaRefusedError(f"delta {delta.sequence} has another digest than its content")
        delta.check()

    def take_up(self, delta: Delta) -> None:
        """The next stored delta, or the first that is still stored, is the last one now: what came before that has
        passed its age, and whoever applied it goes on from there. Raises DeltaRefusedError as `check`."""
        if self.sequence or delta.sequence == 1:
            self.check(delta)
        elif delta.model_version != self.model_version:
            raise DeltaRefusedError(f"it is of model {delta.model_version}")
        else:
            delta.check()
        self.advance(delta)

    def advance(self, delta: Delta) -> None:
        """A checked delta is the last one now."""
        self.sequence, self.digest, self.to_position = delta.sequence, delta.digest, delta.to_position
