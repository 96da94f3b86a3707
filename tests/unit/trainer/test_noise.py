"""Random clicks in what is learned from: what leaving out the least likely events saves."""

from dataclasses import replace

import numpy as np
import pytest

from services.trainer.model.answering.evaluation import judge, leave_one_out
from services.trainer.model.answering.scoring import ModelScorer
from services.trainer.model.encoders.registry import config_of
from services.trainer.model.fitting.plan import TrainingPlan
from services.trainer.model.fitting.training import train
from shared.domain.events.event_columns import EventColumns
from tests.unit.trainer.builders import PLAN, walks

NOISE = 0.3
SEEDS = range(3)
LONG = replace(
    PLAN,
    encoder=replace(config_of("transformer", "small", 16), dropout=0.0),
    epochs=60,
    learning_rate=2e-2,
    batch_tokens=512,
    window=10,
)
"""Long and without dropout: enough to learn noise by heart."""


def with_random_clicks(columns: EventColumns, seed: int) -> EventColumns:
    generator = np.random.default_rng(seed)
    click = generator.random(len(columns)) < NOISE
    anything = generator.integers(1, columns.item_key.max() + 1, len(columns)).astype(np.uint64)
    return replace(columns, item_key=np.where(click, anything, columns.item_key))


def mean_ndcg(plan: TrainingPlan) -> float:
    """Of models that learned from noisy walks, asked what comes next in clean ones."""
    found = []
    for seed in SEEDS:
        split = leave_one_out(walks(n_users=40, length=10, seed=seed))
        model = train(with_random_clicks(split.train, seed), replace(plan, seed=seed))
        found.append(judge(split.cases, {"model": ModelScorer(model)}, k=3)["model"].ndcg)
    return float(np.mean(found))


def test_leaving_out_the_least_likely_events_saves_a_quarter_of_what_noise_costs():
    lost, lost_when_trimmed = 1 - mean_ndcg(LONG), 1 - mean_ndcg(replace(LONG, trim_share=NOISE))
    assert lost_when_trimmed < 0.75 * lost


def test_nothing_is_left_out_before_the_model_knows_what_is_regular():
    plan = TrainingPlan(trim_share=0.2, trim_warm_up=0.25)
    assert [plan.trim_share_at(progress) for progress in (0.0, 0.25, 0.5, 1.0)] == [0.0, 0.0, 0.2, 0.2]


@pytest.mark.parametrize("wrong", [{"trim_share": 1.0}, {"trim_share": -0.1}, {"loss": "hinge"}])
def test_a_plan_without_meaning_is_refused(wrong):
    with pytest.raises(ValueError, match=r"trim_share|loss"):
        TrainingPlan(**wrong)
