"""Rules that learn in service: counts are added where they stand, and rows for new items come behind the others.

Readers hold a `view`, which may run in another thread. A view has its number of items for good; what is added to its
rows shows in it at once. Each number is written whole, and a place changes hands with a count of 0, so a reader sees
an event of a batch or does not. Only while the weakest place of a full row changes hands may a reader in another thread
take the new count for that of the follower before.
"""

from __future__ import annotations

import numpy as np

from shared.domain.models.item_rules import ItemRules, RulePlan, most_followers

SPARE_PLACES = 28
"""Places of a row that a bundle leaves to what comes after it: its own followers keep theirs."""
_GROWTH = 1.25


class LiveRules:
    """Owns arrays with room for more; `view` is what there is of them now. spare: rows for new items that there is room
    for from the start. Travels to another process with its room; a view that travels beside it is another one there."""

    def __init__(self, rules: ItemRules, plan: RulePlan | None = None, spare: int = 0) -> None:
        self._plan = plan or RulePlan()
        places = most_followers(len(rules), rules.follower.shape[1] + SPARE_PLACES)
        self._room = _copied(rules, len(rules) + spare, max(places, rules.follower.shape[1]))
        self.view = _first(self._room, len(rules))

    def __getstate__(self) -> tuple[RulePlan, ItemRules, int]:
        return self._plan, self._room, len(self)

    def __setstate__(self, state: tuple[RulePlan, ItemRules, int]) -> None:
        self._plan, self._room, items = state
        self.view = _first(self._room, items)

    def __len__(self) -> int:
        return len(self.view)

    def grow(self, items: int) -> None:
        """Rows for items up to `items`, which nothing has followed yet. `view` becomes another one."""
        before = len(self.view)
        if items > len(self._room):
            self._room = _copied(self.view, int(items * _GROWTH), self.view.follower.shape[1])
        self._room.total[before:items] = self._plan.shrinkage
        self.view = _first(self._room, items)

    def add(self, row: np.ndarray, follower: np.ndarray, count: np.ndarray) -> None:
        """Follower (P,) int followed the item of row (P,) int by count (P,) float32 more; pairs are distinct.

        Into a row without a free place a new follower comes in place of the one with the smallest count, the strongest
        new one last: a row keeps what is strong and tries what is new.
        """
        view = self.view
        np.add.at(view.total, row, count)
        held = (view.follower[row] == follower[:, None]) & self._filled(row)
        known = held.any(axis=1)
        view.count[row[known], held[known].argmax(axis=1)] += count[known]
        new = ~known
        order = np.lexsort((follower[new], count[new], row[new]))
        self._enter(row[new][order], follower[new][order], count[new][order])

    def _filled(self, row: np.ndarray) -> np.ndarray:
        return np.arange(self.view.follower.shape[1]) < self.view.used[row][:, None]

    def _enter(self, row: np.ndarray, follower: np.ndarray, count: np.ndarray) -> None:
        """New followers, sorted by row and ascending count."""
        view = self.view
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        place = view.used[row] + rank
        fits = place < view.follower.shape[1]
        view.follower[row[fits], place[fits]] = follower[fits]
        view.count[row[fits], place[fits]] = count[fits]
        np.add.at(view.used, row[fits], 1)
        for one, new, amount in zip(row[~fits], follower[~fits], count[~fits], strict=True):
            weakest = view.count[one].argmin()
            view.count[one, weakest] = 0.0
            view.follower[one, weakest] = new
            view.count[one, weakest] = amount


def _copied(rules: ItemRules, items: int, places: int) -> ItemRules:
    """The same rules with a row for each of more items, and in the first places of wider rows."""
    kept, width = len(rules), rules.follower.shape[1]
    made = ItemRules(
        np.arange(items, dtype=np.int32),
        np.zeros((items, places), np.int32),
        np.zeros((items, places), np.float32),
        np.zeros(items, np.float32),
        np.zeros(items, np.int32),
        rules.recency,
    )
    owners = np.flatnonzero(rules.used)
    made.follower[owners, :width] = rules.follower[rules.row[owners]]
    made.count[owners, :width] = rules.count[rules.row[owners]]
    made.total[:kept], made.used[:kept] = rules.total, rules.used
    return made


def _first(rules: ItemRules, items: int) -> ItemRules:
    row, follower, count, total, used = (
        each[:items] for each in (rules.row, rules.follower, rules.count, rules.total, rules.used)
    )
    return ItemRules(row, follower, count, total, used, rules.recency)
