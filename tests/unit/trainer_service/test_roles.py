"""What each event type is to the model, by the domain's preset."""

import numpy as np
import pytest

from services.trainer.roles import roles_of
from shared.adapters.presets import load_preset, shipped_presets
from shared.domain.events.event import EventType

VIDEO = roles_of(load_preset("video"))


def test_events_of_the_history_are_read():
    assert {EventType.CLICK, EventType.DISLIKE, EventType.SKIP} <= VIDEO.history
    assert EventType.VIEW_ITEM_LIST not in VIDEO.history


def test_only_positive_events_are_predicted():
    assert {EventType.CLICK, EventType.RATE} <= VIDEO.target
    assert not {EventType.DISLIKE, EventType.SKIP, EventType.SEARCH} & VIDEO.target


def test_an_event_counts_with_its_weight_and_a_negative_one_says_no():
    weights = VIDEO.weight_of(
        np.array([EventType.CLICK, EventType.RATE, EventType.DISLIKE, EventType.VIEW_ITEM_LIST])
    )
    assert weights.tolist() == [1.0, 4.0, -3.0, 0.0]


def test_consumed_items_are_excluded():
    assert EventType.MEDIA_COMPLETE in VIDEO.seen
    assert EventType.CLICK not in VIDEO.seen


@pytest.mark.parametrize("domain", shipped_presets())
def test_every_domain_has_something_to_predict_from_what_is_read(domain):
    roles = roles_of(load_preset(domain))
    assert roles.target
    assert roles.target <= roles.history
