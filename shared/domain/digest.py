"""Digests of state: equal state has an equal digest, in whatever order and memory it lies, on any machine."""

from __future__ import annotations

import hashlib

MODULUS = 1 << 256


def entry_digest(key: int, *parts: bytes) -> int:
    """sha256 of one entry's key and stored bytes, as a number below 2^256.

    The digest of a set of entries is the sum of theirs modulo 2^256: entries may be added in any order, and one that
    changes is taken out and put in again (an additive set hash, Bellare and Micciancio 1997).
    """
    hasher = hashlib.sha256(key.to_bytes(8, "little"))
    for part in parts:
        hasher.update(len(part).to_bytes(4, "little"))
        hasher.update(part)
    return int.from_bytes(hasher.digest(), "little")


def hexadecimal(digest: int) -> str:
    """64 digits."""
    return f"{digest % MODULUS:064x}"
