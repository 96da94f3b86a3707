"""Answers to a batch of calls of both kinds, each kind together. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.ranking.answers.candidates import Candidates, rank_candidates, with_probabilities
from services.ranking.answers.policy import Answer, Fallback, Wish, rank
from services.ranking.features.user_state import UserState
from services.ranking.model.model_slot import ServingModel

CANDIDATE_COST = 64
"""Scores of a whole table that take about as long as one candidate's score and probabilities."""
_KINDS: tuple[tuple[type, Any], ...] = ((Wish, rank), (Candidates, rank_candidates))


def answers(
    wishes: Sequence[Wish | Candidates],
    states: Sequence[UserState],
    model: ServingModel | None,
    fallback: Fallback,
) -> list[Answer]:
    """One answer per wish."""
    found: dict[int, Answer] = {}
    for kind, answer in _KINDS:
        places = [place for place, wish in enumerate(wishes) if isinstance(wish, kind)]
        if places:
            of_kind = ([wishes[place] for place in places], [states[place] for place in places])
            found |= zip(places, answer(*of_kind, model, fallback), strict=True)
    places = [place for place in found if _lacks_probabilities(wishes[place], found[place])]
    if places and model is not None:
        lacking = ([found[place] for place in places], [states[place] for place in places])
        found |= zip(places, with_probabilities(*lacking, model), strict=True)
    return [found[place] for place in range(len(wishes))]


def _lacks_probabilities(wish: Wish | Candidates, answer: Answer) -> bool:
    return isinstance(wish, Wish) and wish.with_probabilities and bool(answer.items)


def cost(wishes: Sequence[Wish | Candidates], items: int) -> int:
    """How much work the answers are, in scores of a table of so many items."""
    return sum(_scored(wish, items) + CANDIDATE_COST * _judged(wish) for wish in wishes)


def _scored(wish: Wish | Candidates, items: int) -> int:
    return items if isinstance(wish, Wish) else 0


def _judged(wish: Wish | Candidates) -> int:
    """Of how many items it wants probabilities."""
    if isinstance(wish, Candidates):
        return len(wish.item_keys)
    return wish.page_size if wish.with_probabilities else 0
