"""Rules from item to item, as they are served: which items each item calls for, and how much.

Two kinds are made. Sequence rules (Ludewig & Jannach 2018, section 3.1.2, "SR"): a directed count of items that follow
each other in one user's history, less the further they are apart, divided by the counts of the item they follow. They
know nothing of tastes and everything of what just happened, and one event is enough to teach them. And the strongest
weights of EASE (Steck 2019), which tells what goes together from what merely is popular. Both answer alike:

    rules[v] = sum over the newest events k = 1, 2, ... of recency[k] * share[item_k, v]

Pure: arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

HISTORY_EVENTS = 20
"""How many of the newest events fire rules."""
HARMONIC = (1.0 / np.arange(1, HISTORY_EVENTS + 1)).astype(np.float32)
"""What the newest event, the one before it and so on weigh, (HISTORY_EVENTS,) float32: 1 / k."""
GEOMETRIC = (0.9 ** np.arange(HISTORY_EVENTS)).astype(np.float32)
"""The same as 0.9^(k - 1), for rules that tell of tastes more than of what comes next."""
_LEAST_TOTAL = 1e-9
MOST_ENTRIES = 10_000_000
"""Of one table: V times K."""
_CROWDED, _DENSE = 4, 32
"""While all items are at most so many times the entries, it is quicker to reckon with all of them; and while they are
at most so many times, to sum in an array of all of them than to sort."""


@dataclass(frozen=True, slots=True)
class RulePlan:
    """How rules are counted.

    Attributes:
        window: how many events apart two items still follow each other.
        distance_decay: weight of a follower for each event further away, in (0, 1].
        shrinkage: counts that an item's followers lack: keeps rules of rare items small, >= 0.
        followers: most followers kept of an item.
    """

    window: int = 10
    distance_decay: float = 0.9
    shrinkage: float = 20.0
    followers: int = 100


def most_followers(items: int, wanted: int) -> int:
    """How many of `wanted` followers an item may have, so that a table of so many items stays bounded."""
    return max(1, min(wanted, MOST_ENTRIES // max(items, 1)))


class Fired(NamedTuple):
    """What events call for, item by item and not yet summed. place: (n,) int64 in a flattened table of `shape` (B, V);
    amount: (n,) float32, 0 or more."""

    place: np.ndarray
    amount: np.ndarray
    shape: tuple[int, int]

    @property
    def crowded(self) -> bool:
        """Whether so much is called for that the whole table is the quicker answer."""
        return self._size <= _CROWDED * len(self.place)

    def table(self) -> np.ndarray:
        """Amounts (B, V) float32, 0 where nothing is called for."""
        return self._summed().astype(np.float32).reshape(self.shape)

    def called(self) -> tuple[np.ndarray, np.ndarray]:
        """Places (n,) int64, ascending, and amounts (n,) float32 of what is called for."""
        if self._size <= _DENSE * len(self.place):
            summed = self._summed()
            places = np.flatnonzero(summed > 0)
            return places, summed[places].astype(np.float32)
        called = self.amount > 0
        places, which = np.unique(self.place[called], return_inverse=True)
        return places, np.bincount(which, self.amount[called], minlength=len(places)).astype(np.float32)

    def _summed(self) -> np.ndarray:
        return np.bincount(self.place, self.amount, minlength=self._size)

    @property
    def _size(self) -> int:
        return self.shape[0] * self.shape[1]


@dataclass(frozen=True, slots=True, eq=False)
class ItemRules:
    """Followers of V items in K places each, so that one more event changes a few numbers and moves none. A follower is
    an item that is called for. Items without any have no places of their own: of a large catalogue EASE knows a few
    thousand items only.

    Decision: counts are kept, not shares: an event then changes one count and one total, not the whole row, and the
    division costs nothing where scores are weighted anyway.

    row: (V,) int32, of the arrays of R rows that follow; any where `used` is 0. follower: (R, K) int32, items. count:
    (R, K) float32, 0 from place `used` on. total: (V,) float32, all that ever followed the item, with the shrinkage;
    `count / total` is the share that a rule fires. used: (V,) int32. recency: HARMONIC or GEOMETRIC.
    """

    row: np.ndarray
    follower: np.ndarray
    count: np.ndarray
    total: np.ndarray
    used: np.ndarray
    recency: np.ndarray = field(default_factory=lambda: HARMONIC)

    @classmethod
    def of_rows(
        cls,
        start: np.ndarray,
        follower: np.ndarray,
        count: np.ndarray,
        total: np.ndarray,
        recency: np.ndarray = HARMONIC,
    ) -> ItemRules:
        """From compressed rows: item i owns entries start[i] to start[i + 1] of follower and count (R,)."""
        used = np.diff(start)
        owners = used > 0
        row = np.maximum(np.cumsum(owners) - 1, 0).astype(np.int32)
        filled = _filled(used[owners])
        places = np.zeros(filled.shape, np.int32), np.zeros(filled.shape, np.float32)
        places[0][filled], places[1][filled] = follower, count
        return cls(row, *places, total, used.astype(np.int32), recency)

    def to_rows(self) -> dict[str, np.ndarray]:
        """What `of_rows` takes, by name; it is a fraction of the size where most items have few followers."""
        start = np.append(0, np.cumsum(self.used, dtype=np.int64))
        owners = np.flatnonzero(self.used)
        row, filled = self.row[owners], _filled(self.used[owners], self.follower.shape[1])
        follower, count = self.follower[row][filled], self.count[row][filled]
        return {"start": start, "follower": follower, "count": count, "total": self.total}

    def moved(self, rows: np.ndarray, items: int) -> ItemRules:
        """The same rules in a table of `items` items, where each item stands at its place of `rows` (V,) int64, which
        ascend; the others call for nothing and are not called for."""
        used, total = np.zeros(items, np.int64), np.ones(items, np.float32)
        used[rows], total[rows] = self.used, self.total
        kept, start = self.to_rows(), np.append(0, np.cumsum(used))
        return ItemRules.of_rows(start, rows[kept["follower"]], kept["count"], total, self.recency)

    def __len__(self) -> int:
        return len(self.total)

    def followers_of(self, item: int) -> tuple[np.ndarray, np.ndarray]:
        """Followers (n,) int32 of one item and their counts (n,) float32."""
        own = slice(self.row[item], self.row[item] + 1), slice(self.used[item])
        return self.follower[own].ravel(), self.count[own].ravel()

    def fire(self, rows: np.ndarray, items: int = 0) -> Fired:
        """What the newest events call for.

        rows: (B, T) int64, items of histories, the newest at T - 1; negative where no rule fires. items: V, where there
        are items behind those that the rules know, which call for nothing; 0 for none.
        """
        rows, items = rows[:, -HISTORY_EVENTS:], max(items, len(self))
        user, at = np.nonzero((rows >= 0) & (rows < len(self)))
        item = rows[user, at]
        calls = self.used[item] > 0
        user, at, item = user[calls], at[calls], item[calls]
        row, width = self.row[item], int(self.used[item].max(initial=0))
        follower = self.follower[row, :width]
        weight = self.recency[rows.shape[1] - 1 - at] / np.maximum(self.total[item], _LEAST_TOTAL)
        amount = self.count[row, :width] * weight[:, None].astype(np.float32)
        if follower.size and follower.max() >= len(self):  # the table has grown behind this view of it
            outside = follower >= len(self)
            follower, amount = np.where(outside, 0, follower), np.where(outside, np.float32(0), amount)
        place = (user * items)[:, None] + follower
        return Fired(place.ravel(), amount.ravel(), (len(rows), items))

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """The same for every item, (B, V) float32, 0 where nothing calls for it. rows: as `fire`."""
        return self.fire(rows).table()


def _filled(used: np.ndarray, places: int = 0) -> np.ndarray:
    """Which places hold followers, (R, K) bool, of rows that use so many. places: K; 0 for what the longest uses."""
    wide = max(1, places or int(used.max(initial=0)))
    return np.arange(wide, dtype=used.dtype) < used[:, None]
