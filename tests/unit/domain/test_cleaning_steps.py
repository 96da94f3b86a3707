"""The cleaning section of presets: what it may say, and how a mistake is named."""

from __future__ import annotations

import pytest

from shared.adapters.presets import load_preset, shipped_presets
from shared.domain.events.event import EventType
from shared.domain.presets.cleaning_steps import CleaningSteps, FillSession, StepError
from shared.domain.presets.preset import DomainPreset, PresetError


@pytest.mark.parametrize("name", shipped_presets())
def test_a_shipped_preset_normalises_fills_sessions_and_refuses_floods(name):
    steps = load_preset(name).cleaning
    assert steps.normalise and steps.fill_session and steps.refuse_floods


def test_a_step_that_is_absent_is_off():
    assert CleaningSteps.from_mapping({"fill-session": {}}) == CleaningSteps(fill_session=FillSession())
    assert CleaningSteps.from_mapping(None) == CleaningSteps()


def test_parameters_take_the_place_of_defaults():
    steps = CleaningSteps.from_mapping(
        {
            "fill-session": {"idle_minutes": 5},
            "drop-accidental-clicks": {"types": ["view-item"]},
        }
    )
    assert steps.fill_session.idle_minutes == 5.0
    assert steps.drop_accidental_clicks.types == (EventType.VIEW_ITEM,)


@pytest.mark.parametrize(
    "content, complaint",
    [
        ([1], "must be steps with their parameters"),
        ({"normalize": {}}, "unknown step 'normalize'; known are normalise, clamp"),
        ({"normalise": 3}, "normalise: must hold parameters"),
        ({"fill-session": {"idle": 3}}, r"fill-session: unknown parameters \['idle'\]; known are \['idle_min"),
        ({"fill-session": {"idle_minutes": "3"}}, "idle_minutes must be a number, not '3'"),
        ({"fill-session": {"idle_minutes": True}}, "idle_minutes must be a number"),
        ({"fill-session": {"idle_minutes": 0}}, "fill-session: idle_minutes must be above 0"),
        ({"fill-session": {"idle_minutes": float("inf")}}, "idle_minutes must be finite"),
        ({"refuse-floods": {"burst": 0}}, "burst must be at least 1"),
        ({"refuse-floods": {"burst": 1.5}}, "burst must be a whole number"),
        ({"refuse-floods": {"refill_per_second": -1}}, "refill_per_second must be at least 0"),
        ({"drop-accidental-clicks": {"types": ["stare"]}}, "types: 'stare' is no event type"),
        ({"drop-accidental-clicks": {"types": ["reversal"]}}, "a reversal cannot be taken back"),
        ({"drop-accidental-clicks": {"least_dwell_seconds": 0}}, "least_dwell_seconds must be above 0"),
        ({"fill-defaults": {"placement": "p" * 65}}, "placement must have at most 64"),
        ({"fill-defaults": {"device": 1}}, "device must be a text"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(content, complaint):
    with pytest.raises(StepError, match=complaint):
        CleaningSteps.from_mapping(content)


def test_a_mistake_in_a_preset_names_the_preset():
    events = {event_type.word: {} for event_type in EventType}
    content = {"events": events, "cleaning": {"fill-session": {"idle": 3}}}
    with pytest.raises(PresetError, match="preset mine, cleaning: fill-session: unknown"):
        DomainPreset.from_mapping("mine", content)
