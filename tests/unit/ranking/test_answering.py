"""How much work answers are."""

from __future__ import annotations

from services.ranking.answers.answering import CANDIDATE_COST, cost
from services.ranking.answers.candidates import Candidates
from services.ranking.answers.policy import Wish
from shared.adapters.codecs.keys import item_keys
from tests.unit.ranking.model import ITEMS, NO_KEYS

TABLE = 1_000


def test_a_page_costs_the_scores_of_the_whole_table():
    assert cost([Wish(20, NO_KEYS), Wish(500, NO_KEYS)], TABLE) == 2 * TABLE


def test_probabilities_cost_the_same_whoever_chose_the_items():
    chosen, page = Candidates(ITEMS, item_keys(ITEMS)), Wish(len(ITEMS), NO_KEYS, with_probabilities=True)
    assert cost([chosen], TABLE) == CANDIDATE_COST * len(ITEMS)
    assert cost([page], TABLE) == TABLE + cost([chosen], TABLE)
