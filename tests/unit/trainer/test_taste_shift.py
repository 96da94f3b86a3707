"""What live histories and learning on are worth, where taste and fashion change in the midst of a shop's log."""

from functools import partial

import numpy as np
import pytest

from deploy.local.shop.simulation import Simulation, simulate
from services.trainer.model.answering.evaluation import CaseOptions
from services.trainer.model.contest.contestants import encoders
from services.trainer.model.encoders.gru import PRESETS
from services.trainer.model.fitting.plan import TrainingPlan, ignore_progress
from services.trainer.model.mixing.learners import BASELINES
from services.trainer.model.protocols.outcome import Contestant
from services.trainer.model.protocols.prequential import PrequentialOptions, prequential
from services.trainer.model.protocols.scoreboard import LEARNING_ON, LIVE_HISTORY, scoreboard
from services.trainer.roles import roles_of
from shared.adapters.presets import load_preset
from shared.domain.events.event import EVENT_CODE_BY_WORD
from shared.domain.events.event_columns import EventColumns

EVENTS = 8_000
ROLES = roles_of(load_preset("e-commerce"))


@pytest.fixture(scope="module")
def log() -> EventColumns:
    """A shop in which everybody's taste, and what is in fashion, changes after six tenths of the events."""
    shop = Simulation(events=EVENTS, shoppers=150, items=120, shift=0.6, new_share=0.3, seed=0)
    past = simulate(shop)[1]
    users = [int(each.shopper.user_id.removeprefix("shopper-")) for each in past]
    return EventColumns(
        np.arange(1, EVENTS + 1),
        np.array(users, np.uint64),
        np.array([each.behaviour.items[0] for each in past], np.uint64),
        np.array([EVENT_CODE_BY_WORD[each.behaviour.event_type] for each in past]),
        np.array([int(1000 * each.time.timestamp()) for each in past]),
        np.full(EVENTS, np.nan, np.float32),
    )


def gru() -> Contestant:
    """A small encoder with rules that learns quickly and goes on twice."""
    shape = PRESETS["small"]
    plan = TrainingPlan(encoder=shape, roles=ROLES, epochs=3, batch_tokens=512, window=20, threads=1)
    return encoders({"gru+rules": plan}, EVENTS // 5, lambda _: ignore_progress)[0]


@pytest.mark.parametrize(
    "contestant", [Contestant("rules", partial(BASELINES["rules"], ROLES)), gru()], ids=lambda each: each.name
)
def test_live_histories_and_learning_on_are_each_clearly_worth_something(log, contestant):
    way = PrequentialOptions(EVENTS // 2, 512, CaseOptions(ROLES, 20))
    gains = {gain.of: gain.difference for gain in scoreboard(prequential(log, [contestant], way)).gains}
    assert gains[LIVE_HISTORY].low > 0
    assert gains[LEARNING_ON].low > 0
