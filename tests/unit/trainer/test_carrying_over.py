"""Probabilities that were judged with one model hold for the model that is served in its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.trainer.model.behaviours.carrying_over import carried_over
from services.trainer.model.behaviours.examples import Examples
from services.trainer.model.behaviours.fitting import log_odds_of
from services.trainer.model.behaviours.inputs import inputs_of
from services.trainer.model.behaviours.lesson import Foretelling, Traffic, learn_behaviours
from services.trainer.model.mixing.mixture import MixedModel
from services.trainer.model.sequences import EventRoles
from shared.domain.events.event_columns import EventColumns
from shared.domain.models.mixture import Experts, Mixture
from tests.unit.trainer.builders import PLAN, events, random_model

SHOW, CLICK, ITEMS, USERS = 1, 3, 12, 200
ROLES = EventRoles(history=frozenset({CLICK}))
READING = replace(PLAN, roles=ROLES)
JUDGED = MixedModel(random_model(n_items=ITEMS), Experts(), Mixture())


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    """Everybody is shown items in turn, and clicks the half of them that has the higher numbers."""
    generator = np.random.default_rng(0)
    shown = [
        (user, int(item))
        for _ in range(10)
        for user, item in enumerate(generator.integers(1, ITEMS + 1, USERS))
    ]
    rows = [(each, kind) for each in shown for kind in ((SHOW, CLICK) if each[1] > ITEMS // 2 else (SHOW,))]
    columns = events(*[each for each, _ in rows], event_type=[kind for _, kind in rows])
    return Traffic(columns, len(columns) // 4, EventColumns.empty())


@pytest.fixture(scope="module")
def foretelling(traffic) -> Foretelling:
    """What was learned with the judged model."""
    return learn_behaviours(JUDGED, traffic, {"click": frozenset({CLICK})}, READING)


def foretold(found: Foretelling, mixed: MixedModel, traffic: Traffic) -> np.ndarray:
    """Calibrated log-odds of each user's next showing of a random item."""
    generator = np.random.default_rng(1)
    users, items = np.arange(USERS, dtype=np.uint64), generator.choice(mixed.model.item_keys, USERS)
    end = np.full(USERS, int(traffic.columns.position[-1]) + 1)
    nothing = np.zeros((USERS, 0), bool)
    asked = Examples(users, items, end, end * 1000, nothing, nothing, 1.0, "")
    log_odds = log_odds_of(found.head, inputs_of(asked, traffic.columns, mixed, ROLES, READING.window))
    return (log_odds * found.head.slope.numpy() + found.head.shift.numpy())[:, 0]


def test_with_a_model_of_another_scale_probabilities_are_about_what_they_were(foretelling, traffic):
    scaled = replace(JUDGED.model, item_biases=JUDGED.model.item_biases + 3.0)
    served = MixedModel(replace(scaled, item_vectors=scaled.item_vectors * 2), Experts(), Mixture())
    wanted, off = foretold(foretelling, JUDGED, traffic), foretold(foretelling, served, traffic)
    found = foretold(carried_over(foretelling, JUDGED, served, traffic, READING), served, traffic)
    assert abs(found.mean() - wanted.mean()) < 0.2 * abs(off.mean() - wanted.mean())
    assert found.std() == pytest.approx(wanted.std(), rel=0.2)


def test_with_the_same_model_nothing_changes(foretelling, traffic):
    same = carried_over(foretelling, JUDGED, JUDGED, traffic, READING)
    assert foretold(same, JUDGED, traffic) == pytest.approx(foretold(foretelling, JUDGED, traffic), abs=1e-5)


def test_the_judged_head_stays_as_it_is_and_so_do_the_figures(foretelling, traffic):
    other = MixedModel(random_model(n_items=ITEMS + 3), Experts(), Mixture())
    before = foretelling.head.shift.clone()
    carried = carried_over(foretelling, JUDGED, other, traffic, READING)
    assert (foretelling.head.shift == before).all()
    assert carried.metrics == foretelling.metrics


def test_without_a_head_there_is_none_to_carry_over(traffic):
    assert carried_over(Foretelling(), JUDGED, JUDGED, traffic, READING).head is None
