"""A shop's log, a bundle made of it, and later traffic: the probabilities that ranking gives hold there."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from deploy.local.shop import history
from deploy.local.shop.catalogue import make_catalogue
from deploy.local.shop.history import past_behaviours
from deploy.local.shop.shopper import category_page, make_shoppers, random_page
from services.ranking.answers.candidates import judge
from services.ranking.features.user_state import UserState
from services.trainer.learning.learning import learn, plan_of
from services.trainer.model.behaviours.examples import Examples, shown_examples
from services.trainer.model.behaviours.inputs import histories_before
from shared.adapters.codecs.bundle import Bundle, unpack
from shared.adapters.codecs.keys import item_keys, user_key
from shared.adapters.presets import load_preset
from shared.domain.events.event import EVENT_CODE_BY_WORD
from shared.domain.events.event_columns import EventColumns
from shared.domain.metrics.probability_metrics import (
    auc,
    base_rate_log_loss,
    expected_calibration_error,
    log_loss,
)
from shared.domain.presets.behaviours import SHOWN, objectives_of
from tests.unit.ranking.model import serving
from tests.unit.trainer_service.builders import JOB

EVENTS, LEARNED = 37_000, 30_000
NOW = datetime(2026, 5, 1, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
BATCH = 500


@pytest.fixture(scope="module")
def log() -> EventColumns:
    """What shoppers did with pages of a category, and those of the control group with random pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            history, "category_page", lambda *of: (random_page if of[0].control else category_page)(*of)
        )
        catalogue = make_catalogue(1, 300)
        past = list(past_behaviours(make_shoppers(1, 200), catalogue, 1, EVENTS, NOW))
    keys = item_keys(catalogue.item_ids)
    items = [each.behaviour.items for each in past]
    spread = np.repeat(np.arange(len(past)), [len(each) for each in items])
    users = np.array([user_key(each.shopper.user_id) for each in past], np.uint64)
    kinds = np.array([EVENT_CODE_BY_WORD[each.behaviour.event_type] for each in past], np.int64)
    times = np.array([int(each.time.timestamp() * 1000) for each in past], np.int64)
    nothing = np.full(len(spread), np.nan, np.float32)
    return EventColumns(
        spread + 1, users[spread], keys[np.concatenate(items)], kinds[spread], times[spread], nothing
    )


@pytest.fixture(scope="module")
def bundle(log, tmp_path_factory) -> Bundle:
    """Learned from the first events of the log, as a run of the trainer does that has little time: any score that
    tells something will do to foretell by."""
    job = JOB._replace(
        domain="e-commerce",
        directory=str(tmp_path_factory.mktemp("job")),
        encoder="mf",
        preset="small",
        max_minutes=0.1,
        hold_out_share=0.15,
        hold_out_rows=200_000,
        history_length=50,
        to_position=LEARNED,
    )
    finished = learn(log.take(log.position <= LEARNED), job, lambda report: None)
    with open(finished.bundle, "rb") as file:
        return unpack(file.read())


@pytest.fixture(scope="module")
def later(log, bundle) -> Examples:
    """What was shown afterwards, and what came of it."""
    objectives = objectives_of(load_preset("e-commerce"))
    names = bundle.manifest.behaviours.objectives
    return shown_examples(log.take(log.position > LEARNED), [objectives[name] for name in names], SHOWN)


@pytest.fixture(scope="module")
def foretold(log, bundle, later) -> np.ndarray:
    """Probabilities (N, O) of what was shown later, as ranking gives them at the time."""
    plan = plan_of(JOB._replace(domain="e-commerce"), len(log))
    model = serving(made=bundle)
    parts = []
    for start in range(0, len(later), BATCH):
        some = later.take(np.arange(start, min(start + BATCH, len(later))))
        before = histories_before(log, some, plan.roles, 50)
        times = NOW_MS - (before.age_seconds * 1000).astype(np.int64)
        states = [
            UserState(keys, kinds.astype(np.uint8), time, np.empty(0, np.uint64), 1)
            for keys, kinds, time in zip(before.item_keys, before.event_type, times, strict=True)
        ]
        judged = judge(states, list(some.item_key[:, None]), model)
        parts += [each.probabilities[0] for each in judged]
    return np.stack(parts)


def test_the_shops_behaviours_are_foretold(bundle):
    behaviours = bundle.manifest.behaviours
    assert (behaviours.given, behaviours.objectives) == (SHOWN, ("cart", "click", "purchase"))


@pytest.mark.parametrize(
    "number, most_error, most_loss", [(0, 0.004, 1.0), (1, 0.015, 0.99)], ids=["cart", "click"]
)
def test_later_behaviours_are_foretold_better_than_by_their_share_and_as_often_as_they_come(
    later, foretold, number, most_error, most_loss
):
    asked = later.asked[:, number]
    labels, found = later.labels[asked, number], foretold[asked, number]
    assert log_loss(labels, found) < most_loss * base_rate_log_loss(labels)
    assert auc(labels, found) > 0.55
    assert expected_calibration_error(labels, found) < most_error


def test_a_rare_behaviour_is_foretold_as_often_as_it_comes(later, foretold):
    """Some sixty labels teach and calibrate it: enough for its share, hardly for more."""
    asked = later.asked[:, 2]
    labels, found = later.labels[asked, 2], foretold[asked, 2]
    assert log_loss(labels, found) < 1.005 * base_rate_log_loss(labels)
    assert expected_calibration_error(labels, found) < 0.002


def test_probabilities_of_other_items_and_users_do_not_hold(later, foretold):
    asked = later.asked[:, 1]
    others = np.random.default_rng(0).permutation(foretold[:, 1])
    assert log_loss(later.labels[asked, 1], others[asked]) > base_rate_log_loss(later.labels[asked, 1])


def test_what_the_run_judged_is_told(bundle):
    told = bundle.manifest.metrics
    assert told["behaviour/click/log_loss"] < told["behaviour/click/base_log_loss"]
    assert told["behaviour/click/judged_labels"] >= 5
    assert 0.5 < told["behaviour/click/auc"] <= 1
    assert 0 <= told["behaviour/click/ece"] < 0.05
