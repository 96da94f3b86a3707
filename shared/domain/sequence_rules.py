"""Sequence rules: which items come soon behind which, counted. Served beside the model and mixed with it.

Sequential rules (Ludewig & Jannach 2018, section 3.1.2, "SR"): a directed count of items that follow each other in one
user's history, less the further they are apart, divided by the counts of the item they follow. They know nothing of
tastes and everything of what just happened, and one event is enough to teach them; a sequence model is the reverse. So
the two are mixed as a product of experts (Hinton 2002, eq. 1):

    score[v] = model_score[v] + weight * log(1 + rules[v] / floor)
    rules[v] = sum over the newest events k = 1, 2, ... of (1 / k) * share[item_k, v]

Pure: arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HISTORY_EVENTS = 20
"""How many of the newest events fire rules."""
_DENSE = 32
"""Summing in an array of all items is quicker than sorting while it is at most so many times the entries."""


@dataclass(frozen=True, slots=True, eq=False)
class SequenceRules:
    """Followers of each of V items, as compressed rows.

    start: (V + 1,) int64, row i owns entries start[i] to start[i + 1]. follower: (R,) int32, rows of items. share:
    (R,) float32, in [0, 1]: how much of what follows item i is this item.
    """

    start: np.ndarray
    follower: np.ndarray
    share: np.ndarray

    def __len__(self) -> int:
        return len(self.start) - 1

    def called(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the newest events call for: places (n,) int64 in a flattened (B, V), ascending, and scores (n,) float32
        above 0.

        rows: (B, T) int64, items of histories, the newest at T - 1; negative where no rule fires.
        """
        user, entry, weight = self._fired(rows[:, -HISTORY_EVENTS:])
        place, amount = user * len(self) + self.follower[entry], weight * self.share[entry]
        if len(rows) * len(self) <= _DENSE * len(place):
            summed = np.bincount(place, amount)
            places = np.flatnonzero(summed)
            return places, summed[places].astype(np.float32)
        places, which = np.unique(place, return_inverse=True)
        return places, np.bincount(which, amount, minlength=len(places)).astype(np.float32)

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """The same for every item, (B, V) float32, 0 where nothing calls for it."""
        scores = np.zeros(len(rows) * len(self), np.float32)
        places, amounts = self.called(rows)
        scores[places] = amounts
        return scores.reshape(len(rows), len(self))

    def _fired(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """User, entry and weight of each entry that the events of `rows` (B, L) fire."""
        user, place = np.nonzero(rows >= 0)
        item = rows[user, place]
        size = self.start[item + 1] - self.start[item]
        behind = np.repeat(np.cumsum(size) - size, size)
        entry = np.repeat(self.start[item], size) + np.arange(len(behind)) - behind
        return np.repeat(user, size), entry, np.repeat(1.0 / (rows.shape[1] - place), size)


@dataclass(frozen=True, slots=True)
class Mixture:
    """How rules and a model are put together.

    weight: 0 or more, 0 is the model alone. floor: above 0, the rules' score from which on they count. event_types:
    codes of the events that fire rules; others, such as dislikes, do not.
    """

    weight: float = 0.0
    floor: float = 1e-3
    event_types: tuple[int, ...] = ()

    def add(self, scores: np.ndarray, rules: SequenceRules, rows: np.ndarray) -> None:
        """Add what rules call for to a model's `scores` (B, V) float32, in place. rows: as `SequenceRules.called`."""
        places, amounts = rules.called(rows)
        gained = np.float32(self.weight) * np.log1p(amounts / np.float32(self.floor))
        scores.reshape(-1)[places] += gained

    def firing(self, rows: np.ndarray, event_type: np.ndarray) -> np.ndarray:
        """Rows (B, T) int64 with -1 for events that fire no rule. event_type: (B, T) int64."""
        return np.where(np.isin(event_type, self.event_types), rows, -1)
