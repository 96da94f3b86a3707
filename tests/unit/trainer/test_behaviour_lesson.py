"""What becomes of a stretch of the log: a head for behaviours with labels enough, judged on the newest of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from services.trainer.model.behaviours.lesson import Foretelling, Traffic, learn_behaviours
from services.trainer.model.mixing.mixture import MixedModel, learn_experts
from services.trainer.model.sequences import EventRoles
from shared.domain.events.event_columns import EventColumns
from shared.domain.models.mixture import Mixture
from shared.domain.presets.behaviours import SAMPLED, SHOWN
from tests.unit.trainer.builders import PLAN, PURCHASE, VIEW, random_model

SHOW, CLICK = 1, 3
ITEMS = 12
OBJECTIVES = {"click": frozenset({CLICK}), "like": frozenset({4}), "purchase": frozenset({PURCHASE})}
BEFORE = 500
READING_CLICKS = replace(PLAN, roles=EventRoles(history=frozenset({CLICK, PURCHASE})))


def log(users: int, purchases: int, shown: bool = True) -> EventColumns:
    """Everybody is shown six items and clicks the first of them; the first so many buy it, too."""
    rows: list[tuple[int, int, int]] = []
    generator = np.random.default_rng(0)
    for user in range(1, users + 1):
        items = generator.permutation(ITEMS)[:6] + 1
        rows += [(user, item, SHOW) for item in items] if shown else []
        rows.append((user, items[0], CLICK))
        rows += [(user, items[0], PURCHASE)] * (user * purchases // users - (user - 1) * purchases // users)
    user, item, kind = np.array(rows).T
    order = np.arange(len(rows))
    nothing = np.full(len(rows), np.nan, np.float32)
    return EventColumns(
        order + 1,
        user.astype(np.uint64),
        item.astype(np.uint64),
        kind.astype(np.int64),
        order * 1000,
        nothing,
    )


def lesson(
    columns: EventColumns, later_than: int = BEFORE, exposed: EventColumns | None = None
) -> Foretelling:
    model = random_model(n_items=ITEMS)
    mixed = MixedModel(model, learn_experts(columns, model.item_keys, EventRoles()), Mixture())
    traffic = Traffic(columns, later_than, exposed or EventColumns.empty())
    return learn_behaviours(mixed, traffic, OBJECTIVES, READING_CLICKS)


def test_a_behaviour_with_labels_enough_has_a_probability_and_is_judged():
    found = lesson(log(users=300, purchases=0))
    assert (found.behaviours.objectives, found.behaviours.given) == (("click",), SHOWN)
    assert found.metrics["behaviour/click/base_log_loss"] == pytest.approx(0.4506, abs=0.02)
    assert found.metrics["behaviour/click/log_loss"] < 1.1 * found.metrics["behaviour/click/base_log_loss"]
    assert found.metrics["behaviour/click/ece"] < 0.1


def test_a_behaviour_with_too_few_labels_has_none_and_says_how_many_there_were():
    found = lesson(log(users=300, purchases=20))
    assert found.behaviours.objectives == ("click",)
    told = {name for name in found.metrics if name.startswith("behaviour/purchase/")}
    assert told == {"behaviour/purchase/labels"}
    assert 0 < found.metrics["behaviour/purchase/labels"] < 20


def test_a_behaviour_that_never_happened_is_not_spoken_of():
    assert not [name for name in lesson(log(users=300, purchases=0)).metrics if "like" in name]


def test_without_labels_there_is_no_head():
    found = lesson(log(users=300, purchases=0), later_than=10**6)
    assert (found.head, found.behaviours, found.metrics) == (None, None, {})


def test_without_showings_a_probability_is_that_of_an_item_among_all():
    found = lesson(log(users=600, purchases=0, shown=False), later_than=100)
    assert found.behaviours.given == SAMPLED
    share = 1 / ITEMS
    expected = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert found.metrics["behaviour/click/base_log_loss"] == pytest.approx(expected)
    assert found.metrics["behaviour/click/ece"] < 0.05


def test_the_base_rate_of_sampled_rows_is_taken_back_in_what_is_served():
    found = lesson(log(users=600, purchases=0, shown=False), later_than=100)
    model = random_model(n_items=ITEMS)
    users = torch.randn(50, model.item_vectors.shape[1], generator=torch.Generator().manual_seed(0))
    items = torch.from_numpy(model.item_vectors).expand(50, -1, -1)
    with torch.no_grad():
        foretold = found.head(users, items, torch.zeros(50, ITEMS), torch.zeros(50, ITEMS))
    assert float(foretold.mean()) == pytest.approx(1 / ITEMS, rel=0.35)


def test_the_same_log_gives_the_same_head():
    first, second = (lesson(log(users=300, purchases=0)) for _ in range(2))
    assert first.metrics == second.metrics
    states = (first.head.state_dict(), second.head.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_events_up_to_the_models_end_teach_and_judge_nothing():
    columns = log(users=300, purchases=0)
    other = columns.take(slice(None))
    before = other.position <= BEFORE
    other.event_type[before & (other.event_type == CLICK)] = VIEW
    assert (
        lesson(columns).metrics["behaviour/click/labels"] == lesson(other).metrics["behaviour/click/labels"]
    )


def test_exposures_stand_for_impressions_that_nobody_reports():
    columns = log(users=300, purchases=0)
    shown = columns.event_type == SHOW
    assert lesson(columns.take(~shown)).behaviours.given == SAMPLED
    found = lesson(columns.take(~shown), exposed=columns.take(shown))
    assert found.behaviours.given == SHOWN
    reported = lesson(columns).metrics
    assert found.metrics["behaviour/click/labels"] == reported["behaviour/click/labels"]
    assert found.metrics["behaviour/click/base_log_loss"] == pytest.approx(
        reported["behaviour/click/base_log_loss"], rel=0.02
    )


def test_exposures_of_users_whose_impressions_are_reported_count_for_nothing():
    columns = log(users=300, purchases=0)
    exposed = columns.take(columns.event_type == SHOW)
    assert lesson(columns, exposed=exposed).metrics == lesson(columns).metrics
