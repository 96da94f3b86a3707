"""A run learns, repeats itself, can be stopped, and ends in time."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from services.trainer.model.answering.evaluation import judge, leave_one_out
from services.trainer.model.answering.scoring import Histories, ModelScorer
from services.trainer.model.encoders.names import KINDS
from services.trainer.model.encoders.registry import config_of
from services.trainer.model.fitting.callbacks import Callbacks
from services.trainer.model.fitting.plan import NotEnoughEvents, TrainingPlan
from services.trainer.model.fitting.plateau import PATIENCE
from services.trainer.model.fitting.training import continue_training, train
from services.trainer.model.mixing.baselines import most_popular
from services.trainer.model.sequences import EventRoles, by_user
from shared.domain.events.event_columns import EventColumns
from tests.unit.trainer.builders import DISLIKE, PLAN, VIEW, events, random_model, walks


def test_a_model_beats_popularity_where_order_tells_the_next_item():
    split = leave_one_out(walks(n_users=60))
    model = train(split.train, replace(PLAN, epochs=15, learning_rate=5e-3))
    found = judge(split.cases, {"model": ModelScorer(model), "popular": most_popular(split.train)}, k=3)
    assert found["model"].ndcg > 2 * found["popular"].ndcg


def test_the_sampled_softmax_learns_too():
    split = leave_one_out(walks(n_users=60))
    plan = replace(PLAN, epochs=15, learning_rate=5e-3, exact_up_to=1, n_negatives=16)
    found = judge(split.cases, {"model": ModelScorer(train(split.train, plan))}, k=3)
    assert found["model"].ndcg > 0.5


def test_gbce_learns_too():
    split = leave_one_out(walks(n_users=60))
    plan = replace(PLAN, epochs=15, learning_rate=5e-3, loss="gbce", n_negatives=16)
    found = judge(split.cases, {"model": ModelScorer(train(split.train, plan))}, k=3)
    assert found["model"].ndcg > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_what_users_begin_with_is_also_learned_from_those_who_did_nothing_else(kind):
    once = [(user, 1 + user % 5) for user in range(1000, 1400)]
    longer = walks(n_users=50, n_items=30, length=4)
    more = zip(longer.user_key.tolist(), (longer.item_key + np.uint64(10)).tolist(), strict=True)
    plan = TrainingPlan(encoder=config_of(kind, "small"), epochs=20, batch_tokens=64, threads=1)
    model = train(events(*once, *more), plan)
    nobody = Histories.of(by_user(EventColumns.empty()), np.zeros(1, np.uint64), 1)
    scores = ModelScorer(model)(nobody)[0]
    assert set(model.item_keys[np.argsort(-scores)[:5]].tolist()) == {1, 2, 3, 4, 5}


def test_an_item_that_some_refuse_is_worth_less_than_one_that_nobody_refuses():
    ways = [(2, VIEW), (3, VIEW), (2, DISLIKE)] * 20
    columns = events(
        *((user, item) for user, (second, _) in enumerate(ways) for item in (1, second)),
        event_type=[kind for _, second in ways for kind in (VIEW, second)],
    )
    plan = replace(PLAN, epochs=20, learning_rate=5e-3, roles=EventRoles(weights=(0, 0, 1, 0, 0, -3)))
    scores = ModelScorer(train(columns, plan))(leave_one_out(columns).cases.histories)
    assert (scores[:, 1] < scores[:, 2]).all()


def test_equal_seeds_give_equal_models():
    first, second = train(walks(), PLAN), train(walks(), PLAN)
    assert np.array_equal(first.item_vectors, second.item_vectors)
    weights = zip(first.encoder.parameters(), second.encoder.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)


def test_other_seeds_give_other_models():
    assert not np.array_equal(
        train(walks(), PLAN).item_vectors, train(walks(), replace(PLAN, seed=1)).item_vectors
    )


def test_training_leaves_torchs_own_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    train(walks(), PLAN)
    assert torch.equal(torch.rand(1), expected)


def test_a_model_has_a_row_for_every_item():
    model = train(walks(n_items=20), PLAN)
    assert model.item_keys.tolist() == list(range(1, 21))
    assert (model.item_vectors.shape, model.item_biases.shape) == ((20, 8), (20,))


def test_progress_ends_at_the_last_step():
    reports = []
    model = train(walks(), PLAN, Callbacks(reports.append))
    assert reports[-1].step == reports[-1].total_steps
    assert reports[-1].eta_seconds == 0.0
    assert tuple(reports) == model.curve


@pytest.mark.parametrize("columns", [EventColumns.empty(), events((1, 5), (2, 6)), events((1, 5), (1, 5))])
def test_without_anything_to_predict_there_is_no_model(columns):
    with pytest.raises(NotEnoughEvents):
        train(columns, PLAN)


def test_an_exhausted_time_cap_still_ends_the_run():
    model = train(walks(), replace(PLAN, epochs=1000, max_minutes=0.5 / 60))
    assert model.capped
    assert model.curve[-1].step == model.curve[-1].total_steps


def test_a_judged_run_ends_once_answers_no_longer_improve():
    found = iter([1.0, 3.0, *[2.0] * 50])
    model = train(walks(), replace(PLAN, epochs=50), judge=lambda _: np.full(1, next(found)))
    assert model.passes == 2
    assert len(list(found)) == 50 - PATIENCE


def test_a_judged_run_gives_the_model_that_answered_best():
    models = []

    def judge(model):
        models.append(model)
        return np.full(1, -abs(len(models) - 3.0))

    model = train(walks(), replace(PLAN, epochs=50), judge=judge)
    assert np.array_equal(model.item_vectors, models[2].item_vectors)


def test_a_continuation_that_never_answers_better_gives_the_model_that_it_began_with():
    log = walks()
    begun = train(log, PLAN)
    worse = iter(range(0, -50, -1))
    gone_on = continue_training(
        begun, log, replace(PLAN, learned_to=200), judge=lambda _: np.full(1, next(worse))
    )
    assert np.array_equal(gone_on.item_vectors, begun.item_vectors)
    histories = leave_one_out(log).cases.histories
    assert np.array_equal(ModelScorer(gone_on)(histories), ModelScorer(begun)(histories))


def test_a_judged_run_out_of_time_gives_the_best_so_far():
    plan = replace(PLAN, epochs=1000, max_minutes=0.5 / 60)
    model = train(walks(), plan, judge=lambda model: np.full(1, len(model.curve)))
    assert model.capped
    assert 0 < model.passes < 1000


def test_more_events_take_fewer_passes():
    plan = TrainingPlan()
    assert [plan.epochs_for(n) for n in (1_000, 100_000, 1_000_000, 10**9)] == [60, 25, 8, 6]


def test_continuing_learns_new_items_and_keeps_the_old_model():
    model = train(walks(n_items=20), PLAN)
    before = model.item_vectors.copy()
    grown = continue_training(model, walks(n_items=25), PLAN)
    assert grown.item_keys.tolist() == list(range(1, 26))
    assert np.isfinite(grown.item_vectors).all()
    assert np.array_equal(model.item_vectors, before)


def test_continuing_keeps_items_that_no_longer_occur():
    grown = continue_training(random_model(n_items=12), walks(n_items=5), PLAN)
    assert grown.item_keys.tolist() == list(range(1, 13))
