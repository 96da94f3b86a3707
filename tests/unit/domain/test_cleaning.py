"""Cleaning is declared in presets; a bad declaration names its place."""

from __future__ import annotations

import pytest

from shared.adapters.presets import load_preset, shipped_presets
from shared.domain.cleaning import STEPS, cleaning_rules
from shared.domain.flood import TokenBucket
from shared.domain.visits import Visit


@pytest.mark.parametrize("name", shipped_presets())
def test_every_shipped_preset_declares_every_step(name):
    rules = load_preset(name).cleaning
    assert all(getattr(rules, step.replace("-", "_")) is not None for step in STEPS)


def test_a_step_that_is_not_declared_is_off():
    assert cleaning_rules({"normalise": None}).fill_session is None


@pytest.mark.parametrize(
    "content, place",
    [
        ({"polish": {}}, "polish"),
        ({"fill-session": {"minutes": 3}}, "fill-session"),
        ({"fill-session": {"idle_minutes": "long"}}, "idle_minutes"),
        ({"refuse-floods": {"burst": -1}}, "burst"),
        ({"drop-accidental-clicks": {"event_types": ["stare"]}}, "stare"),
        ({"fill-defaults": {"placement": 3}}, "placement"),
    ],
)
def test_a_bad_declaration_names_its_place(content, place):
    with pytest.raises(ValueError, match=place):
        cleaning_rules(content)


def test_a_bucket_holds_a_burst_and_fills_with_time():
    bucket = TokenBucket(2.0, 100.0)
    taken = [bucket.take(seconds, 2.0, 1.0) for seconds in (100.0, 100.0, 100.0, 101.0, 101.0)]
    assert taken == [True, True, False, True, False]


def test_a_time_before_one_seen_earlier_gains_nothing():
    bucket = TokenBucket(1.0, 100.0)
    assert [bucket.take(seconds, 1.0, 1.0) for seconds in (100.0, 50.0, 100.5)] == [True, False, False]


def test_a_visit_reaches_an_idle_time_to_both_sides():
    visit = Visit("s", 1000.0)
    assert [visit.holds(seconds, 60.0) for seconds in (939.0, 940.0, 1060.0, 1061.0)] == [
        False,
        True,
        True,
        False,
    ]
