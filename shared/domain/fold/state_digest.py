"""Digests of folded state, by partition: equal state gives equal digests, in memory or away, on any machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from shared.domain.digest import entry_digest, hexadecimal
from shared.domain.fold.state import State


class PartitionDigest(NamedTuple):
    """The digest of one partition as of a position, and how many users and items it covers."""

    partition: int
    position: int
    digest: str
    user_count: int
    item_count: int


class PartitionCopy(NamedTuple):
    """One partition at one moment: user records (n,), their departed items by key, digests of users that are away,
    item records (m,)."""

    partition: int
    position: int
    records: np.ndarray
    departed: dict[int, bytes]
    away: list[int]
    items: np.ndarray

    def entry_digests(self) -> Iterator[int]:
        """The digest of each user and item. Their sum is the partition's: it takes a while, the copy does not."""
        for record in self.records:
            key = int(record["user_key"])
            yield entry_digest(key, record.tobytes(), self.departed.get(key, b""))
        yield from self.away
        for record in self.items:
            yield entry_digest(int(record["item_key"]), record.tobytes())

    def digest(self, total: int) -> PartitionDigest:
        """The partition's digest, once `entry_digests` are summed up."""
        users = len(self.records) + len(self.away)
        return PartitionDigest(self.partition, self.position, hexadecimal(total), users, len(self.items))


def copy_partition(state: State, partition: int) -> PartitionCopy:
    """What the digest of a partition needs, so that folding can go on meanwhile."""

    def belongs(user_keys: np.ndarray) -> np.ndarray:
        return state.partition_of(user_keys) == partition

    users, items = state.users, state.items.records
    records, away = users.records_where(belongs), users.away.keys()
    keys = [key for key in records["user_key"].tolist() if key in users.departed]
    return PartitionCopy(
        partition,
        state.positions[partition],
        records,
        {key: users.stored_departed_of(key) for key in keys},
        [users.away.digest_of(key) for key in away[belongs(away)].tolist()],
        items[items["partition"] == partition],
    )


def digests(state: State, partitions: Iterable[int]) -> list[PartitionDigest]:
    """The digests of `partitions`, ascending."""
    copies = (copy_partition(state, partition) for partition in sorted(partitions))
    return [copy.digest(sum(copy.entry_digests())) for copy in copies]


def combined(partition_digests: Iterable[PartitionDigest]) -> str:
    """One digest over those of distinct partitions; positions do not count, since some of the log has no effect."""
    return hexadecimal(sum(entry_digest(each.partition, each.digest.encode()) for each in partition_digests))


def digest(state: State) -> str:
    """One digest over all partitions of a state."""
    return combined(digests(state, state.positions))
