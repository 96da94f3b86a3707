"""Behaviours whose probabilities a model foretells: which event types are labels, and what a probability means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.domain.preset import DomainPreset
from shared.domain.sequence_rules import Mixture, SequenceRules

SHOWN, VIEWED, SAMPLED = "shown", "viewed", "sampled"
MEANINGS = (SHOWN, VIEWED, SAMPLED)
RANKER_INPUTS = ("user_vector", "item_vectors", "item_bias", "rule_score")
RANKER_OUTPUT = "probabilities"


@dataclass(frozen=True)
class Behaviours:
    """What a model's probabilities are.

    objectives: names, in the order of the ranker's output. given: what each probability is of, one of MEANINGS. SHOWN:
    that the behaviour comes within the window after the item is shown to the user. VIEWED: after the user looks at it.
    SAMPLED: that it is this item, of all the model knows, that the user's next such behaviour is about. window_seconds:
    of the first two.
    """

    objectives: tuple[str, ...]
    given: str
    window_seconds: float

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Behaviours:
        """From a manifest. Raises KeyError, TypeError, and ValueError that says what does not fit."""
        made = cls(tuple(values["objectives"]), str(values["given"]), float(values["window_seconds"]))
        if not made.objectives or len(set(made.objectives)) != len(made.objectives):
            raise ValueError(f"objectives {made.objectives} must be one or more, each once")
        if made.given not in MEANINGS:
            raise ValueError(
                f"probabilities given {made.given!r} are unknown; known are {', '.join(MEANINGS)}"
            )
        return made


def objectives_of(preset: DomainPreset) -> dict[str, frozenset[int]]:
    """Codes of the event types that are the label of each objective, by the objective's name, in the order of names."""
    found: dict[str, set[int]] = {}
    for event_type, meaning in preset.meanings.items():
        if meaning.objective:
            found.setdefault(meaning.objective, set()).add(int(event_type))
    return {name: frozenset(found[name]) for name in sorted(found)}


def rule_scores(mixture: Mixture, rules: SequenceRules, fired: np.ndarray, items: np.ndarray) -> np.ndarray:
    """What rules add to the scores of a few items, ``(B, N) float32``: as `Mixture.add`, which does it for all.

    fired: ``(B, T) int64``, as `Mixture.firing` gives them. items: ``(B, N) int64``, rows of the rules' items; negative
    ones get 0.
    """
    places, amounts = rules.called(fired)
    if not len(places):
        return np.zeros(items.shape, np.float32)
    wanted = np.arange(len(items))[:, None] * len(rules) + items
    at = np.minimum(np.searchsorted(places, wanted), len(places) - 1)
    called = (places[at] == wanted) & (items >= 0)
    amount = np.where(called, amounts[at], np.float32(0))
    return np.float32(mixture.weight) * np.log1p(amount / np.float32(mixture.floor))
