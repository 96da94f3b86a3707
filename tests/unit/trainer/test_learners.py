"""Learners give what training on everything at once gives."""

from dataclasses import replace

import numpy as np
import pytest

from services.trainer.model.answering.evaluation import leave_one_out
from services.trainer.model.contest.encoder_learners import (
    EncoderLearner,
    MixedLearner,
    validated,
    whole_lesson,
)
from services.trainer.model.mixing.baselines import most_popular, recently_popular
from services.trainer.model.mixing.ease import ease_rules
from services.trainer.model.mixing.learners import (
    BASELINES,
    PopularityLearner,
    Recounted,
    Unchanging,
)
from services.trainer.model.sequences import EventRoles
from shared.domain.events.event_columns import EventColumns
from tests.unit.trainer.builders import PLAN, PURCHASE, VIEW, events, walks

LOG = events((1, 5), (2, 9), (1, 6), (3, 5), (2, 5), event_type=[VIEW, PURCHASE, VIEW, PURCHASE, VIEW])

ANYBODY = leave_one_out(walks(n_users=1)).cases.histories


def scores(scorer) -> dict[int, float]:
    """Scores by item, the same for everybody."""
    return dict(zip(scorer.item_keys.tolist(), scorer(ANYBODY)[0].tolist(), strict=True))


def in_parts(learner, columns: EventColumns, size: int = 2):
    """The learner after the columns, a few at a time."""
    for start in range(0, len(columns), size):
        learner.learn(columns.take(slice(start, start + size)))
    return learner


@pytest.mark.parametrize("roles", [EventRoles(), EventRoles(target=frozenset({PURCHASE}))])
def test_popularity_in_parts_is_popularity_at_once(roles):
    assert scores(in_parts(PopularityLearner(roles), LOG).scorer()) == scores(most_popular(LOG, roles))


def test_recent_popularity_in_parts_is_recent_popularity_at_once():
    learner = in_parts(PopularityLearner(EventRoles(), half_life_seconds=2.0), LOG)
    assert scores(learner.scorer()) == pytest.approx(scores(recently_popular(LOG, half_life_seconds=2.0)))


def test_nothing_to_learn_changes_nothing():
    learner = in_parts(PopularityLearner(EventRoles()), LOG)
    learner.learn(EventColumns.empty())
    assert scores(learner.scorer()) == scores(most_popular(LOG))


def test_what_is_unchanging_does_not_learn():
    scorer = most_popular(LOG)
    assert in_parts(Unchanging(scorer), LOG).scorer() is scorer


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_learns_and_scores_what_it_has_learned(name):
    learner = BASELINES[name](EventRoles())
    learner.learn(walks(n_users=6))
    assert learner.scorer().item_keys.tolist() == np.unique(walks(n_users=6).item_key).tolist()


@pytest.mark.parametrize("quick, counted", [(20, 2), (19, 1)])
def test_what_is_recounted_waits_no_longer_than_it_may_where_it_is_counted_quickly(
    monkeypatch, quick, counted
):
    monkeypatch.setattr("services.trainer.model.mixing.learners.EXACT_UP_TO", quick)
    counts = []
    learner = Recounted(
        lambda columns: counts.append(0) or most_popular(columns), lambda events, items: 9_999
    )
    learner.at_latest = 30
    in_parts(learner, walks(n_items=20), size=120)
    assert len(counts) == counted


def test_what_is_recounted_waits_until_enough_events_have_come():
    log = walks()
    learner = Recounted(most_popular, lambda events, items: 20)
    counted = []
    for start in range(0, 50, 10):
        learner.learn(log.take(slice(start, start + 10)))
        counted.append(scores(learner.scorer()))
    assert counted[0] == counted[1] == scores(most_popular(log.take(slice(0, 10))))
    assert counted[2] == counted[3] == scores(most_popular(log.take(slice(0, 30))))
    assert counted[4] == scores(most_popular(log.take(slice(0, 50))))


def test_an_encoder_goes_on_training_when_enough_events_have_come():
    log = walks()
    learner = EncoderLearner(replace(PLAN, epochs=1), continue_every=20)
    learner.learn(log.take(slice(0, 180)))
    first = learner.scorer()
    learner.learn(log.take(slice(180, 195)))
    assert learner.scorer().model is first.model
    learner.learn(log.take(slice(195, 210)))
    assert learner.scorer().model is not first.model


@pytest.mark.parametrize(("pass_seconds", "shortened"), [(1e-6, False), (1e9, True)])
def test_a_model_whose_last_lesson_time_made_shorter_says_that_it_need_not_repeat(pass_seconds, shortened):
    log = walks()
    first = validated(log, PLAN)[0]
    assert not first.capped
    timed = replace(first, passes=2, pass_seconds=pass_seconds)
    assert whole_lesson(timed, log, PLAN).capped is shortened


def test_of_many_items_ease_is_not_solved_with_every_lesson_and_keeps_up_with_the_items(monkeypatch):
    monkeypatch.setattr("services.trainer.model.contest.encoder_learners.EXACT_UP_TO", 5)
    monkeypatch.setattr("services.trainer.model.contest.encoder_learners.ease_every", lambda _: 1_000)
    solved = []
    ease = lambda columns, *given: solved.append(len(columns)) or ease_rules(columns, *given)  # noqa: E731
    monkeypatch.setattr("services.trainer.model.mixing.mixture.ease_rules", ease)
    later = walks(n_users=9, n_items=24, seed=1)
    log = EventColumns.concatenate([walks(), replace(later, position=later.position + 240)])
    learner = in_parts(MixedLearner(replace(PLAN, epochs=1), continue_every=72), log, size=240)
    items = learner.model.item_keys
    assert (len(solved), len(items), len(learner._experts.ease)) == (2, 24, 24)
    assert learner._experts.ease.scores(np.array([[0], [23]])).any(axis=1).tolist() == [True, False]
