"""Every declared feature: given events, when it is read, then values computed by hand."""

from __future__ import annotations

import math

import pytest

from shared.domain.events.event import Event, EventType, ItemReference
from shared.domain.fold.features import (
    ITEM_FEATURES,
    USER_FEATURES,
    Feature,
    FeatureValue,
    read_item,
    read_user,
)
from shared.domain.fold.state import fold_events
from shared.domain.items.item_features import PRIOR_EVENTS, PRIOR_RATE, ItemReading
from shared.domain.users.user_features import ItemFacts, UserReading
from tests.builders import DAY_MS, START_MS, VIDEO, event, state

FACTS = {
    1: ItemFacts("drama-1", ("Drama",), "Acme", 10.0),
    2: ItemFacts("drama-2", ("Drama", "War"), "Acme", 20.0),
    3: ItemFacts("war-3", ("War",), "Bolt", 40.0, START_MS - 7 * DAY_MS),
}
CLICK, RATE, LIST = EventType.CLICK, EventType.RATE, EventType.VIEW_ITEM_LIST


def facts(key: int) -> ItemFacts:
    return FACTS.get(key, ItemFacts())


def at(position: int, seconds: float, event_type: EventType = CLICK, items=(1,), **fields) -> Event:
    return event(
        position, event_type=event_type, time_ms=START_MS + int(seconds * 1000), items=items, **fields
    )


def of_user(*log: Event) -> dict[str, dict[str, float]]:
    user = fold_events(state(), list(log)).users.read(7)
    assert user is not None
    return {each.feature.name: each.values for each in read_user(UserReading(user, VIDEO, facts))}


def of_item(key: int, *log: Event) -> dict[str, dict[str, float]]:
    record = fold_events(state(), list(log)).items.of_items([key])
    return {each.feature.name: each.values for each in read_item(ItemReading(record, VIDEO, facts))}


HOUR = [at(1, 0), at(2, 3000), at(3, 3590, RATE), at(4, 3600)]


def test_every_feature_is_declared_once():
    for declared in (USER_FEATURES, ITEM_FEATURES):
        names = [feature.name for feature in declared]
        assert len(set(names)) == len(names)
        assert all(feature.version >= 1 and feature.unit and feature.entity for feature in declared)


def test_adding_a_feature_is_one_declaration():
    declared = Feature(
        "newest_item", 1, "user", "key", "history", lambda r: {"": r.user.history["item_key"][-1]}
    )
    user = fold_events(state(), [at(1, 0, items=(3,))]).users.read(7)
    assert FeatureValue(declared, declared.read(UserReading(user, VIDEO, facts))).values == {"": 3}


def test_event_count():
    assert of_user(*HOUR)["event_count"] == {"click": 3, "rate": 1}


def test_event_count_in_window():
    counts = of_user(*HOUR)["event_count_in_window"]
    assert {name: counts[name] for name in counts if name.startswith("click")} == {
        "click:1m": 1, "click:1h": 2, "click:1d": 3, "click:7d": 3,
    }  # fmt: skip
    assert counts["rate:1m"] == 1


def test_event_rate():
    half_life_days = VIDEO.half_life_ms[CLICK] / DAY_MS
    log = [at(1, -half_life_days * 86_400), at(2, 0)]
    assert of_user(*log)["event_rate"]["click"] == pytest.approx(1.5 * math.log(2) / half_life_days)


def test_recency():
    assert of_user(*HOUR)["recency"] == {"click": 0, "rate": 10}


def test_tenure():
    assert of_user(*HOUR)["tenure"] == {"": 3600}


def test_mean_value():
    rated = [
        Event(n, n, 7, RATE, START_MS, (ItemReference(n, 1, value),)) for n, value in enumerate((5, 2), 1)
    ]
    assert of_user(*rated, at(3, 0))["mean_value"] == {"rate": 3.5}


def test_price_band():
    log = [at(n, 0, items=(n,)) for n in (1, 2, 3)]
    assert of_user(*log)["price_band"] == {"p25": 15.0, "p50": 20.0, "p75": 30.0}


def test_category_affinity():
    log = [at(n, 0, items=(n,)) for n in (1, 2, 3)]
    assert of_user(*log)["category_affinity"] == {"Drama": 0.5, "War": 0.5}


def test_what_is_disliked_gives_no_affinity():
    log = [at(1, 0, items=(1,)), at(2, 0, EventType.DISLIKE, items=(3,))]
    assert of_user(*log)["category_affinity"] == {"Drama": 1.0}


def test_brand_affinity():
    log = [at(n, 0, items=(n,)) for n in (1, 2, 3)]
    assert of_user(*log)["brand_affinity"] == pytest.approx({"Acme": 2 / 3, "Bolt": 1 / 3})


def test_the_session_is_the_newest_visit():
    log = [at(1, -86_400, items=(3,)), at(2, 0, items=(1,)), at(3, 60, items=(2,))]
    read = of_user(*log)
    assert read["session_event_count"] == {"": 2}
    assert read["session_age"] == {"": 60}
    assert read["session_history"] == {"drama-1": 60, "drama-2": 0}


def test_an_event_that_comes_late_makes_no_item_of_the_session_older():
    read = of_user(at(1, 60, items=(1,)), at(2, 20, items=(1,)), at(3, 90, items=(2,)))
    assert read["session_history"] == {"drama-1": 30, "drama-2": 0}


SHOWN = [at(n, 0, LIST, user_key=n) for n in range(1, 11)] + [at(n, 0, user_key=n) for n in range(11, 13)]


def test_impressions_and_clicks():
    read = of_item(1, *SHOWN)
    assert (read["impressions"]["1d"], read["clicks"]["1d"]) == (10, 2)


def test_click_rate_is_drawn_to_the_prior():
    expected = (2 + PRIOR_RATE * PRIOR_EVENTS) / (10 + PRIOR_EVENTS)
    assert of_item(1, *SHOWN)["click_rate"]["1d"] == pytest.approx(expected)


def test_purchases_and_their_rate_follow_refunds():
    log = [*SHOWN, at(20, 0, EventType.PURCHASE), at(21, 1, EventType.PURCHASE), at(22, 2, EventType.REFUND)]
    read = of_item(1, *log)
    assert read["purchases"]["7d"] == 1
    assert read["purchase_rate"]["7d"] == pytest.approx((1 + PRIOR_RATE * PRIOR_EVENTS) / (2 + PRIOR_EVENTS))


def test_trending_score_averages_a_day_7_and_28_days():
    weight = VIDEO.weight[CLICK]
    expected = 2 * weight * (1 + 1 / 7 + 1 / 28) / 3
    assert of_item(1, *SHOWN)["trending_score"][""] == pytest.approx(expected, rel=1e-4)


def test_trending_velocity_is_the_day_over_the_week():
    assert of_item(1, *SHOWN)["trending_velocity"] == {"": 7.0}


def test_item_age_counts_from_when_it_could_be_had():
    assert of_item(3, at(1, 0, items=(3,)))["item_age"] == {"": 7 * 86_400}
    assert of_item(1, at(1, 0), at(2, 50))["item_age"] == {"": 50}


def test_co_visits():
    log = [at(1, 0, items=(1,)), at(2, 10, items=(2,)), at(3, 20, items=(1,))]
    assert of_item(1, *log)["co_visits"] == {"drama-2": 2}
