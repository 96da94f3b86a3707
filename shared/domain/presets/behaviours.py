"""Behaviours whose probabilities a model foretells: which event types are labels, and what a probability means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.domain.presets.preset import DomainPreset

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
