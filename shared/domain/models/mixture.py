"""How a model and rules from item to item are put together.

A sequence model knows tastes and learns slowly; sequence rules know what just happened and learn from one event; EASE
knows what goes together. So they are mixed as a product of experts (Hinton 2002, eq. 1):

    score[v] = model_score[v] + sum over kinds of rules of weight * log(1 + rules[v] / floor)

Pure: arrays in, arrays out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from shared.domain.models.item_rules import ItemRules

_CODES = 256
"""Codes of event types fit into a byte."""


@dataclass(frozen=True, slots=True, eq=False)
class Experts:
    """What is served beside a model, over its V items, or the first of them; None for none.

    sequence: sequence rules, recency HARMONIC. ease: weights of EASE, recency GEOMETRIC.
    """

    sequence: ItemRules | None = None
    ease: ItemRules | None = None


class Voice(NamedTuple):
    """One expert with its say in the mixture; weight above 0."""

    rules: ItemRules
    weight: float
    floor: float

    def gains(self, amounts: np.ndarray) -> np.ndarray:
        """What amounts (...) float32 that rules call for add to scores.

        Decision: the logarithm of 1 + x, not `log1p`, which took seven times as long, most of the time of rules. What
        that is better at, x below 1e-4, changes no score by more than 1e-7.
        """
        gains = amounts / np.float32(self.floor)
        gains += np.float32(1)
        np.log(gains, out=gains)
        gains *= np.float32(self.weight)
        return gains


@dataclass(frozen=True, slots=True)
class Mixture:
    """How much each kind of rules counts beside a model.

    weight, ease_weight: of sequence rules and of EASE, 0 or more; 0 and 0 is the model alone. floor, ease_floor: above
    0, the rules' score from which on they count. event_types: codes of the events that fire rules; others, such as
    dislikes, do not.
    """

    weight: float = 0.0
    floor: float = 1e-3
    event_types: tuple[int, ...] = ()
    ease_weight: float = 0.0
    ease_floor: float = 1e-2

    def voices(self, experts: Experts) -> Iterator[Voice]:
        """The experts that are there and count."""
        if experts.sequence is not None and self.weight > 0:
            yield Voice(experts.sequence, self.weight, self.floor)
        if experts.ease is not None and self.ease_weight > 0:
            yield Voice(experts.ease, self.ease_weight, self.ease_floor)

    def add(self, scores: np.ndarray, experts: Experts, rows: np.ndarray) -> None:
        """Add what rules call for to a model's `scores` (B, V) float32, in place. rows: as `ItemRules.fire`."""
        for voice in self.voices(experts):
            fired = voice.rules.fire(rows, scores.shape[1])
            if fired.crowded:
                scores += voice.gains(fired.table())
            else:
                places, amounts = fired.called()
                scores.reshape(-1)[places] += voice.gains(amounts)

    def candidate_gains(self, experts: Experts, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """What `add` gives a few items, (B, N) float32. items: (B, N) int64, rows of the table; negative ones get 0."""
        user = np.repeat(np.arange(len(items)), items.shape[1])
        return self.pair_gains(experts, rows, user, items.ravel()).reshape(items.shape)

    def pair_gains(
        self, experts: Experts, rows: np.ndarray, user: np.ndarray, items: np.ndarray
    ) -> np.ndarray:
        """The same of pairs of a history and an item, (n,) float32. user: (n,) int64, which of the B histories; items:
        (n,) int64. Each history fires once, however many items are asked of it."""
        gains = np.zeros(items.shape, np.float32)
        for voice in self.voices(experts):
            gains += voice.gains(_amounts(voice.rules, rows, user, items))
        return gains

    def firing(self, rows: np.ndarray, event_type: np.ndarray) -> np.ndarray:
        """Rows (B, T) int64 with -1 for events that fire no rule. event_type: (B, T) int64."""
        fires = np.zeros(_CODES, bool)
        fires[list(self.event_types)] = True
        return np.where(fires[event_type], rows, -1)


def _amounts(rules: ItemRules, rows: np.ndarray, user: np.ndarray, items: np.ndarray) -> np.ndarray:
    """What rules call for of pairs, (n,) float32."""
    last = max(len(rules), int(items.max(initial=0)) + 1)
    places, amounts = rules.fire(rows, last).called()
    if not len(places):
        return np.zeros(items.shape, np.float32)
    wanted = user * last + items
    at = np.minimum(np.searchsorted(places, wanted), len(places) - 1)
    called = (places[at] == wanted) & (items >= 0)
    return np.where(called, amounts[at], np.float32(0))
