"""Keys: what ids become inside. xxh3_64 of UTF-8 bytes, deterministic on every machine, 8 bytes.

Decision: users and items have one key however their id is spelt: white space around it does not count, nor whether
Unicode's characters are composed. Cleaning may store an event under the one spelling while a backend reads, profiles or
erases by the other; that must not be another user.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import numpy as np
from xxhash import xxh3_64_intdigest


def item_key(item_id: str) -> int:
    """Key of an item id, however it is spelt."""
    return xxh3_64_intdigest(spelt_alike(item_id).encode())


user_key = item_key
"""Key of a user id, made the same way."""


def event_key(event_id: str) -> int:
    """Key of an event id or session id, as it is spelt."""
    return xxh3_64_intdigest(event_id.encode())


def same_id(one: str, other: str) -> bool:
    """Whether two ids are those of one item or user."""
    return one == other or spelt_alike(one) == spelt_alike(other)


def spelt_alike(text: str) -> str:
    """The one spelling of an id: composed, and without white space around it unless it is nothing else."""
    trimmed = text.strip() or text
    return trimmed if trimmed.isascii() else unicodedata.normalize("NFC", trimmed)


def item_keys(item_ids: Iterable[str]) -> np.ndarray:
    """Keys (n,) uint64 of item ids."""
    return np.fromiter(map(item_key, item_ids), np.uint64)


def partition_of(key: int, partitions: int) -> int:
    """The partition that holds a user's events, 0 to partitions - 1."""
    return key % partitions


def signed(key: int) -> int:
    """A key as PostgreSQL's bigint holds it: the same 64 bits, signed."""
    return key - (1 << 64) if key >= 1 << 63 else key


def unsigned(value: int) -> int:
    """The key that `signed` made `value` of."""
    return value & 0xFFFF_FFFF_FFFF_FFFF
